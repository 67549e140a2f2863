import { createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import type { DescService } from '@bufbuild/protobuf'

import { setByAnswer } from './clock'
import { renewing } from './session'

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

/** Calls a service through the gateway, as whoever has signed in here. */
export function clientOf<T extends DescService>(service: T): Client<T> {
  return createClient(service, transport)
}
