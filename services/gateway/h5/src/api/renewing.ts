import {
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from '@connectrpc/connect'

import { ErrorInfoSchema } from '@/gen/google/rpc/error_details_pb'
import { SignInService } from '@/gen/zhiyuan/identity/v1/sign_in_pb'
import { alone } from './alone'
import { isCurrent, lastRenewal, over, renewed, shownSession } from './session'

/** Renewing may take longer than other calls: without the answer the session is lost. */
const PATIENCE = 28_000

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
    const session = shownSession()
    const before = lastRenewal()
    try {
      return await next(request)
    } catch (thrown) {
      const stale = isOfToken(thrown) && !OF_SESSION.has(request.method.name)
      if (!stale || session === null) throw thrown
      await alone('zhiyuan.session', () => renew(transport(), session, before))
      // Whoever has signed in meanwhile has not asked for this.
      if (!isCurrent(session)) throw thrown
      return await next(request)
    }
  }
}

async function renew(transport: Transport, session: string, before: string | null): Promise<void> {
  if (!isCurrent(session) || lastRenewal() !== before) return
  try {
    await createClient(SignInService, transport).refreshSession({}, { timeoutMs: PATIENCE })
    renewed()
  } catch (thrown) {
    const refused = ConnectError.from(thrown).code === Code.Unauthenticated
    if (refused && isCurrent(session)) over()
    throw thrown
  }
}

function isOfToken(thrown: unknown): boolean {
  const error = ConnectError.from(thrown)
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason
  return error.code === Code.Unauthenticated && (reason === undefined || OF_TOKEN.has(reason))
}
