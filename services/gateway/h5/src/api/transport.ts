import type { Client } from '@connectrpc/connect'
import type { DescService } from '@bufbuild/protobuf'

/**
 * A client of a service, for calls of one answer. What calls are made with is a third of all
 * scripts, and is loaded for the first one: pages are there before. Those that are opened first
 * name their services as `./services` does, so that these come later too.
 */
export function clientOf<T extends DescService>(service: T | (() => Promise<T>)): Client<T> {
  return new Proxy({} as Client<T>, {
    get:
      (_client, method) =>
      async (...sent: unknown[]) => {
        const [{ call }, described] = await Promise.all([
          import('./connecting'),
          typeof service === 'function' ? service() : service,
        ])
        return call(described, method as keyof Client<T>, ...sent)
      },
  })
}
