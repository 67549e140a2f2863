import {
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from '@connectrpc/connect'
import { ref } from 'vue'

import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { alone } from './alone'
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

/** Renewing may take longer than other calls: without the answer the session is lost. */
const PATIENCE = 28_000

/** The session that this page shows. */
let shown = kept(SIGNED_IN)

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

/** Calls that renew or end the session themselves. */
const OF_SESSION = new Set(['SignIn', 'RefreshSession', 'SignOut'])
/** Wrong passwords are `UNAUTHENTICATED` too: those calls are not to be sent again. */
const OF_TOKEN = new Set(['UNAUTHENTICATED', 'TOKEN_INVALID'])

/**
 * Renews the session when a call says that it has to be, and sends the call again. A refresh token
 * is good once, and the cookie is that of all tabs: one tab renews at a time, and whoever waited
 * looks first whether another one has.
 */
export function renewing(transport: () => Transport): Interceptor {
  return (next) => async (request) => {
    const session = shown
    const before = kept(RENEWED)
    try {
      return await next(request)
    } catch (thrown) {
      const stale = isOfToken(thrown) && !OF_SESSION.has(request.method.name)
      if (!stale || session === null) throw thrown
      await alone('zhiyuan.session', () => renew(transport(), session, before))
      // Whoever has signed in meanwhile has not asked for this.
      if (kept(SIGNED_IN) !== session) throw thrown
      return await next(request)
    }
  }
}

async function renew(transport: Transport, session: string, before: string | null): Promise<void> {
  if (kept(SIGNED_IN) !== session || kept(RENEWED) !== before) return
  try {
    await createClient(SignInService, transport).refreshSession({}, { timeoutMs: PATIENCE })
    keep(RENEWED, mark())
  } catch (thrown) {
    const refused = ConnectError.from(thrown).code === Code.Unauthenticated
    if (refused && kept(SIGNED_IN) === session) over()
    throw thrown
  }
}

function isOfToken(thrown: unknown): boolean {
  const error = ConnectError.from(thrown)
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason
  return error.code === Code.Unauthenticated && (reason === undefined || OF_TOKEN.has(reason))
}

function mark(): string {
  return Math.random().toString(36).slice(2)
}
