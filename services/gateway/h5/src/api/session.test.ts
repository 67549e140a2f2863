import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect'
import { beforeEach, expect, test, vi } from 'vitest'

import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { CredentialService } from '@/gen/zhiyuan/identity/v1/credential_pb'
import { SessionService } from '@/gen/zhiyuan/identity/v1/session_pb'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'

type Session = typeof import('./session') & typeof import('./renewing')

const MARK = 'zhiyuan.signed-in'

/** The suite as far as sessions go: a refresh token is good once, and the cookie is all tabs'. */
function suite() {
  const state = { cookie: 1, good: 1, access: true, renewals: 0, calls: 0, lose: false }
  function refuse(reason: string): never {
    throw new ConnectError('', Code.Unauthenticated, undefined, [
      { desc: ErrorInfoSchema, value: { reason, domain: 'zhiyuan' } },
    ])
  }
  function tab(session: Session) {
    const transport = createRouterTransport(
      ({ service }) => {
        service(SignInService, {
          refreshSession: async () => {
            const sent = state.cookie
            await pause()
            if (sent !== state.good) {
              state.good = 0
              refuse('SESSION_OVER')
            }
            state.renewals += 1
            state.good += 1
            state.access = true
            if (state.lose) throw new ConnectError('', Code.Unavailable)
            state.cookie = state.good
            return {}
          },
        })
        service(SessionService, {
          listSessions: async () => {
            state.calls += 1
            const { access } = state
            await pause()
            return access ? {} : refuse('TOKEN_INVALID')
          },
        })
        service(CredentialService, {
          changePassword: () => {
            state.calls += 1
            return refuse('PASSWORD_WRONG')
          },
        })
      },
      { transport: { interceptors: [session.renewing(() => transport)] } },
    )
    return transport
  }
  return { state, tab }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

/** A page of its own, with the storage of the browser. */
async function opened(): Promise<Session> {
  vi.resetModules()
  return { ...(await import('./session')), ...(await import('./renewing')) }
}

beforeEach(() => localStorage.clear())

test('a call whose token has ended is sent again after one renewal', async () => {
  const { state, tab } = suite()
  const session = await opened()
  session.begun('device')
  const client = createClient(SessionService, tab(session))
  state.access = false
  await Promise.all([1, 2, 3, 4].map(() => client.listSessions({})))
  expect(state).toMatchObject({ renewals: 1, good: 2 })
  expect(session.signedIn.value).toBe(true)
  expect(session.deviceToken()).toBe('device')
})

test('two tabs renew once between them', async () => {
  const { state, tab } = suite()
  const first = await opened()
  first.begun('')
  const second = await opened()
  expect(second.signedIn.value).toBe(true)
  const [one, other] = [first, second].map((session) => createClient(SessionService, tab(session)))
  state.access = false
  await Promise.all([one?.listSessions({}), other?.listSessions({})])
  expect(state).toMatchObject({ renewals: 1, good: 2 })
  state.access = false
  await other?.listSessions({})
  expect(state).toMatchObject({ renewals: 2, good: 3 })
})

test('a session that ended elsewhere is over here, and the pages are told', async () => {
  const { state, tab } = suite()
  const session = await opened()
  session.begun('')
  const told = vi.fn()
  session.onOver(told)
  state.access = false
  state.good = 0
  await expect(createClient(SessionService, tab(session)).listSessions({})).rejects.toThrow()
  expect(session.signedIn.value).toBe(false)
  expect(told.mock.calls).toEqual([['lost']])
  expect(localStorage.getItem(MARK)).toBeNull()
})

test('of the session before nothing stays when another one begins', async () => {
  const session = await opened()
  session.begun('')
  const told = vi.fn()
  session.onOver(told)
  session.begun('')
  expect(told.mock.calls).toEqual([['left']])
  expect(session.signedIn.value).toBe(true)
})

test('a lost answer to a renewal keeps the session until the suite says that it is over', async () => {
  const { state, tab } = suite()
  const session = await opened()
  session.begun('')
  const client = createClient(SessionService, tab(session))
  state.access = false
  state.lose = true
  await expect(client.listSessions({})).rejects.toMatchObject({ code: Code.Unavailable })
  expect(session.signedIn.value).toBe(true)
  state.access = false
  await expect(client.listSessions({})).rejects.toMatchObject({ code: Code.Unauthenticated })
  expect(session.signedIn.value).toBe(false)
})

test('a wrong password is not sent twice', async () => {
  const { state, tab } = suite()
  const session = await opened()
  session.begun('')
  const client = createClient(CredentialService, tab(session))
  await expect(client.changePassword({})).rejects.toMatchObject({ code: Code.Unauthenticated })
  expect(state).toMatchObject({ calls: 1, renewals: 0 })
})

test('a call of one person is never sent again as another one', async () => {
  const { state, tab } = suite()
  const session = await opened()
  session.begun('')
  const call = createClient(SessionService, tab(session))
  state.access = false
  const answer = call.listSessions({})
  localStorage.setItem(MARK, 'of-another-tab')
  await expect(answer).rejects.toMatchObject({ code: Code.Unauthenticated })
  expect(state).toMatchObject({ calls: 1, renewals: 0 })
})

test('other tabs follow when somebody signs in or out', async () => {
  const session = await opened()
  const told = vi.fn()
  session.onOver(told)
  const said = () => window.dispatchEvent(new StorageEvent('storage', { key: MARK }))
  localStorage.setItem(MARK, 'of-another-tab')
  said()
  expect(session.signedIn.value).toBe(true)
  localStorage.removeItem(MARK)
  said()
  expect(session.signedIn.value).toBe(false)
  expect(told.mock.calls).toEqual([['lost']])
})

test('a page that comes back out of the cache of the browser looks whether it still counts', async () => {
  const session = await opened()
  session.begun('')
  localStorage.removeItem(MARK)
  window.dispatchEvent(new Event('pageshow'))
  expect(session.signedIn.value).toBe(false)
})

test('another session in another tab begins the page anew', async () => {
  const reload = vi.spyOn(location, 'reload').mockImplementation(() => undefined)
  const session = await opened()
  session.begun('')
  localStorage.setItem(MARK, 'of-another-person')
  window.dispatchEvent(new StorageEvent('storage', { key: MARK }))
  expect(reload).toHaveBeenCalled()
  reload.mockRestore()
})

test('the end by the person is told as such, and once', async () => {
  const session = await opened()
  session.begun('kept')
  const told = vi.fn()
  session.onOver(told)
  session.over('left')
  session.over('left')
  expect(told.mock.calls).toEqual([['left']])
  expect(session.deviceToken()).toBe('kept')
  session.forgetDevice()
  expect(session.deviceToken()).toBe('')
})

test('without storage the session lasts as long as the page', async () => {
  const broken = () => {
    throw new DOMException('denied', 'SecurityError')
  }
  const spies = (['getItem', 'setItem', 'removeItem'] as const).map((name) =>
    vi.spyOn(Storage.prototype, name).mockImplementation(broken),
  )
  const session = await opened()
  expect(session.signedIn.value).toBe(false)
  session.begun('device')
  expect(session.signedIn.value).toBe(true)
  expect(session.deviceToken()).toBe('device')
  session.over()
  expect(session.signedIn.value).toBe(false)
  spies.forEach((spy) => spy.mockRestore())
})
