import { ref } from 'vue'

import { forget, keep, kept } from './kept'

/*
 * The session is in cookies that no script reads. What is kept here is that there is one, so that
 * pages know what to show before they have asked, and the token by which the device is known.
 */

/** A mark of the session, made here: it tells sessions apart, and says nothing of whose they are. */
const SIGNED_IN = 'zhiyuan.signed-in'
/** A mark of when it was renewed last. No time: clocks are set back. */
const RENEWED = 'zhiyuan.renewed'
const DEVICE = 'zhiyuan.device'

/** The session that this page shows. */
let shown = kept(SIGNED_IN)

/** The mark of the session that this page shows; `null` if nobody has signed in. */
export function shownSession(): string | null {
  return shown
}

/** Whether that session is still the one of this browser. */
export function isCurrent(session: string): boolean {
  return kept(SIGNED_IN) === session
}

/** When the session was renewed last, as a mark. */
export function lastRenewal(): string | null {
  return kept(RENEWED)
}

/** The session was renewed. */
export function renewed(): void {
  keep(RENEWED, mark())
}

/** Whether somebody has signed in here, as far as is known. */
export const signedIn = ref(shown !== null)

/** How a session ended: by the person on this page, or otherwise. */
export type Ending = 'left' | 'lost'

const listeners = new Set<(how: Ending) => void>()

/** Tells whenever the session of this page is over. */
export function onOver(tell: (how: Ending) => void): () => void {
  listeners.add(tell)
  return () => listeners.delete(tell)
}

/** A session has begun. Of the one before, if there was one, nothing stays in memory. */
export function begun(deviceToken: string): void {
  if (shown !== null) listeners.forEach((tell) => tell('left'))
  if (deviceToken !== '') keep(DEVICE, deviceToken)
  shown = mark()
  keep(SIGNED_IN, shown)
  signedIn.value = true
}

/** The session is over. */
export function over(how: Ending = 'lost'): void {
  forget(SIGNED_IN)
  forget(RENEWED)
  ended(how)
}

/** By which the suite knows this device; empty if it doesn't. */
export function deviceToken(): string {
  return kept(DEVICE) ?? ''
}

/** The account is no more by which the device was known. */
export function forgetDevice(): void {
  forget(DEVICE)
}

function ended(how: Ending): void {
  if (!signedIn.value) return
  shown = null
  signedIn.value = false
  listeners.forEach((tell) => tell(how))
}

/** Follows what other tabs have done, also while this page was put away. */
function follow(): void {
  const now = kept(SIGNED_IN)
  if (now === shown) return
  if (now === null) return ended('lost')
  if (shown !== null) return location.reload() // Of what this page shows nothing stays.
  shown = now
  signedIn.value = true
}

window.addEventListener('storage', ({ key }) => {
  if (key === SIGNED_IN || key === null) follow()
})
window.addEventListener('pageshow', follow)
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') follow()
})

function mark(): string {
  return Math.random().toString(36).slice(2)
}
