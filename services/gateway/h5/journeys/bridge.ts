import { readFileSync, existsSync, statSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.webmanifest': 'application/manifest+json',
}

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
  "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; " +
  "form-action 'self'; frame-ancestors 'none'"

/** Serves built pages as the gateway will, and passes calls on to it. */
export class Bridge {
  private constructor(
    private readonly server: ReturnType<typeof createServer>,
    readonly address: string,
  ) {}

  static async start(folder: string, gateway: string): Promise<Bridge> {
    const server = createServer((asked, answer) => {
      if (asked.url?.startsWith('/zhiyuan.')) pass(asked, answer, gateway)
      else serve(asked.url ?? '/', answer, folder)
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    return new Bridge(server, `http://127.0.0.1:${port}`)
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise<void>((done) => this.server.close(() => done()))
  }
}

function serve(url: string, answer: ServerResponse, folder: string): void {
  const path = new URL(url, 'http://pages').pathname
  const named = join(folder, path)
  const found = existsSync(named) && statSync(named).isFile()
  if (!found && extname(path) !== '') {
    answer.writeHead(404).end()
    return
  }
  const file = found ? named : join(folder, 'index.html')
  const type = TYPES[extname(file)] ?? 'application/octet-stream'
  const plain = readFileSync(file)
  const small = /text|json|svg/.test(type)
  answer.writeHead(200, {
    'content-type': type,
    'content-security-policy': POLICY,
    'cache-control': path.startsWith('/assets/')
      ? 'public, max-age=31536000, immutable'
      : 'no-cache',
    ...(small ? { 'content-encoding': 'br' } : {}),
  })
  answer.end(small ? brotliCompressSync(plain) : plain)
}

function pass(asked: IncomingMessage, answer: ServerResponse, gateway: string): void {
  const target = new URL(asked.url ?? '/', gateway)
  const onward = request(
    target,
    { method: asked.method ?? 'GET', headers: { ...asked.headers } },
    (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers)
      got.pipe(answer)
    },
  )
  onward.on('error', () => answer.destroy())
  asked.pipe(onward)
}
