import { onMounted, onScopeDispose } from 'vue'

import { serverNow } from '@/api/clock'

/** Between two questions lie at least so many milliseconds, and at most so many. */
const SHORTEST = 3000
const LONGEST = 60_000
/** Who comes back to the page wants to know, unless it was asked just now. */
const JUST_NOW = 5000

/**
 * Asks again and again, politely: when the answer says that it makes sense, not while the page is
 * hidden, and never twice at once. `ask` answers when to ask next, or `undefined` for never.
 */
export function usePolling(ask: () => Promise<number | undefined>): { now: () => Promise<void> } {
  let timer: ReturnType<typeof setTimeout> | undefined
  let asking = false
  let over = false
  let last = 0

  async function now(): Promise<void> {
    if (asking || over) return
    clearTimeout(timer)
    asking = true
    last = Date.now()
    const next = await ask()
    asking = false
    if (next === undefined) over = true
    else plan(next)
  }

  function plan(next: number): void {
    clearTimeout(timer)
    if (over || document.hidden) return
    timer = setTimeout(now, pauseUntil(next, serverNow()))
  }

  function turn(): void {
    clearTimeout(timer)
    if (document.hidden || over) return
    if (Date.now() - last > JUST_NOW) void now()
    else plan(serverNow() + SHORTEST)
  }

  onMounted(() => {
    document.addEventListener('visibilitychange', turn)
    void now()
  })
  onScopeDispose(() => {
    over = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', turn)
  })
  return { now }
}

/** How long to wait for a time, within reason. */
export function pauseUntil(next: number, now: number): number {
  return Math.min(LONGEST, Math.max(SHORTEST, next - now))
}
