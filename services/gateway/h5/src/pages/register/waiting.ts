import { forget, keep, kept } from '@/api/kept'

/*
 * A registration that was sent and waits for the register or for a person. What is kept of it says
 * nothing of who it is; it goes when there is an answer, or when there can be none any more.
 */

const KEY = 'zhiyuan.registration'
/** A check and a review end after 7 days, and so does what is kept. */
const LONGEST = 8 * 24 * 3_600_000

export interface Waiting {
  requestId: string
  /** Whether somebody else's number is claimed. */
  claim: boolean
  /** Whom to ask. */
  organizationCode: string
  since: number
}

export function loadWaiting(now = Date.now()): Waiting | undefined {
  try {
    const found = JSON.parse(kept(KEY) ?? 'null') as Waiting | null
    if (found === null) return undefined
    if (typeof found.requestId === 'string' && Math.abs(now - found.since) < LONGEST) return found
  } catch {
    // Not ours.
  }
  forgetWaiting()
  return undefined
}

export function keepWaiting(waiting: Waiting): void {
  keep(KEY, JSON.stringify(waiting))
}

export function forgetWaiting(): void {
  forget(KEY)
}
