import { keep, kept } from './kept'

/** A tab that is gone holds the others up for that long at most, in milliseconds. */
const LEASE = 30_000
/** How long it takes until another tab sees what was kept, generously, in milliseconds. */
const LOOK = 40

/** Does one thing at a time, whatever other tabs of this browser do. */
export function alone<T>(name: string, task: () => Promise<T>): Promise<T> {
  // Not there without https, nor in Safari before 15.4.
  const { locks } = navigator as { locks?: LockManager | null }
  if (locks) return locks.request(name, task) as Promise<T>
  return oneAfterTheOther(async () => {
    const free = await lease(name)
    try {
      return await task()
    } finally {
      free()
    }
  })
}

let last: Promise<unknown> = Promise.resolve()

function oneAfterTheOther<T>(task: () => Promise<T>): Promise<T> {
  const mine = last.then(task, task)
  last = mine.catch(() => undefined)
  return mine
}

/** Waits until no other tab has the lease, and takes it; whoever wrote last has it. */
async function lease(name: string): Promise<() => void> {
  const me = Math.random().toString(36).slice(2)
  for (;;) {
    const now = Date.now()
    const until = Number((kept(name) ?? '').split(' ')[1] ?? 0)
    // One that is longer than any lease was written before the clock was set back.
    if (until <= now || until > now + LEASE) {
      keep(name, `${me} ${now + LEASE}`)
      await pause(LOOK)
      if (kept(name)?.startsWith(`${me} `)) break
    }
    await pause(LOOK)
  }
  return () => {
    if (kept(name)?.startsWith(`${me} `)) keep(name, `${me} 0`)
  }
}

function pause(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time))
}
