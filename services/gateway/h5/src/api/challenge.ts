import type { MessageInitShape } from '@bufbuild/protobuf'

import type { ChallengeSolutionSchema } from '@/gen/zhiyuan/identity/v1/challenge_pb'
import { failureOf } from './failure'

/** The solution of a challenge, as calls want it. */
export type Solution = MessageInitShape<typeof ChallengeSolutionSchema>

const ALGORITHM = 'sha256-leading-zero-bits'
/** More bits than that are no work for a phone. */
const MOST_BITS = 24
/** A challenge may be used up or time out meanwhile, and is asked for again then. */
const TRIES = 3

/**
 * Makes a call that may ask for some work of the device first, and does that work. `working` is
 * told when it begins and ends.
 */
export async function withChallenge<T>(
  call: (solution: Solution | undefined) => Promise<T>,
  working: (now: boolean) => void = () => undefined,
): Promise<T> {
  let solution: Solution | undefined
  for (let tries = 0; ; tries += 1) {
    try {
      return await call(solution)
    } catch (thrown) {
      const { reason, metadata } = failureOf(thrown)
      const bits = Number(metadata['difficulty_bits'])
      const known =
        reason === 'CHALLENGE_REQUIRED' && metadata['algorithm'] === ALGORITHM && bits <= MOST_BITS
      if (!known || tries >= TRIES) throw thrown
      working(true)
      try {
        const challenge = metadata['challenge'] ?? ''
        solution = { challenge, nonce: await solve(challenge, bits) }
      } finally {
        working(false)
      }
    }
  }
}

function solve(challenge: string, bits: number): Promise<string> {
  const worker = new Worker(new URL('./solver.ts', import.meta.url), { type: 'module' })
  return new Promise<string>((resolve, reject) => {
    worker.onmessage = (event: MessageEvent<string>) => resolve(event.data)
    worker.onerror = () => reject(new Error('the challenge was not solved'))
    worker.postMessage({ challenge, bits })
  }).finally(() => worker.terminate())
}
