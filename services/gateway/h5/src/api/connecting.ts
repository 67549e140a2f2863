import { createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import type { DescService } from '@bufbuild/protobuf'

import { setByAnswer } from './clock'
import { refused } from './refused'
import { renewing } from './renewing'

/** How long a call may take before the person is told, in milliseconds. */
const PATIENCE = 15_000

const byCookie: Interceptor = (next) => async (request) => {
  request.header.set('zhiyuan-session', 'cookie')
  const answer = await next(request)
  setByAnswer(answer.header.get('date'))
  return answer
}

/** The new cookies of a session must reach the browser, even if the page is left meanwhile. */
const fetchKept: typeof fetch = (input, init) =>
  fetch(input, { ...init, keepalive: String(input).includes('.SignInService/') })

const transport: Transport = createConnectTransport({
  baseUrl: location.origin,
  fetch: fetchKept,
  defaultTimeoutMs: PATIENCE,
  interceptors: [renewing(() => transport), byCookie],
})

/** Calls a method of a service through the gateway, as whoever has signed in here. */
export async function call<T extends DescService, M extends keyof Client<T>>(
  service: T,
  method: M,
  ...sent: unknown[]
): Promise<unknown> {
  const send = createClient(service, transport)[method] as (...sent: unknown[]) => unknown
  try {
    return await send(...sent)
  } catch (thrown) {
    throw refused(thrown)
  }
}
