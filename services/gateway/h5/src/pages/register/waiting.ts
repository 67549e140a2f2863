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
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Waiting | null
    if (kept === null) return undefined
    if (typeof kept.requestId === 'string' && Math.abs(now - kept.since) < LONGEST) return kept
  } catch {
    // Not ours.
  }
  forgetWaiting()
  return undefined
}

export function keepWaiting(waiting: Waiting): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(waiting))
  } catch {
    // The person is told by text message all the same.
  }
}

export function forgetWaiting(): void {
  localStorage.removeItem(KEY)
}
