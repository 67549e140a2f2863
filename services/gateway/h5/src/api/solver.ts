import { solve } from './solving'

// In a worker, so that the page goes on answering to fingers.
onmessage = (event: MessageEvent<{ challenge: string; bits: number }>) => {
  postMessage(solve(event.data.challenge, event.data.bits))
}
