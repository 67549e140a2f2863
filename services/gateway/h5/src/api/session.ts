import {
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from '@connectrpc/connect'
import { ref } from 'vue'

import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'

/*
 * The session is in cookies that no script reads. What is kept here is that there is one, so that
 * pages know what to show before they have asked, and the token by which the device is known.
 */

const SIGNED_IN = 'zhiyuan.signed-in'
const RENEWED = 'zhiyuan.renewed'
const DEVICE = 'zhiyuan.device'

/** Whether somebody has signed in here, as far as is known. */
export const signedIn = ref(localStorage.getItem(SIGNED_IN) !== null)

window.addEventListener('storage', (event) => {
  if (event.key === SIGNED_IN) signedIn.value = event.newValue !== null
})

/** A session has begun. */
export function begun(deviceToken: string): void {
  if (deviceToken !== '') localStorage.setItem(DEVICE, deviceToken)
  localStorage.setItem(SIGNED_IN, '1')
  signedIn.value = true
}

/** The session is over. */
export function over(): void {
  localStorage.removeItem(SIGNED_IN)
  localStorage.removeItem(RENEWED)
  signedIn.value = false
}

/** By which the suite knows this device; empty if it doesn't. */
export function deviceToken(): string {
  return localStorage.getItem(DEVICE) ?? ''
}

/** Calls that renew or end the session themselves. */
const OF_SESSION = new Set(['SignIn', 'RefreshSession', 'SignOut'])

/**
 * Renews the session when a call says that it has to be, and sends the call again. A refresh token
 * is good once, and the cookie is that of all tabs: one tab renews at a time, and whoever waited
 * looks first whether another one has.
 */
export function renewing(transport: () => Transport): Interceptor {
  return (next) => async (request) => {
    const began = Date.now()
    try {
      return await next(request)
    } catch (thrown) {
      const error = ConnectError.from(thrown)
      const ours = error.code === Code.Unauthenticated && !OF_SESSION.has(request.method.name)
      if (!ours || !signedIn.value) throw error
      await alone(() => renew(transport(), began))
      return await next(request)
    }
  }
}

async function renew(transport: Transport, since: number): Promise<void> {
  if (Number(localStorage.getItem(RENEWED) ?? 0) >= since) return
  try {
    await createClient(SignInService, transport).refreshSession({})
    localStorage.setItem(RENEWED, String(Date.now()))
  } catch (thrown) {
    if (ConnectError.from(thrown).code === Code.Unauthenticated) over()
    throw thrown
  }
}

let last: Promise<unknown> = Promise.resolve()

function alone<T>(task: () => Promise<T>): Promise<T> {
  // Browsers without https have no locks between tabs.
  if ('locks' in navigator) return navigator.locks.request('zhiyuan.session', task) as Promise<T>
  const mine = last.then(task, task)
  last = mine.catch(() => undefined)
  return mine
}
