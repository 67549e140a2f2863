import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const TREE = resolve(import.meta.dirname, '../../../..')

/** The pages as `npm run build` left them. */
export const BUILT = resolve(process.env['ZHIYUAN_PAGES'] ?? join(import.meta.dirname, '../dist'))

/** The first start makes a cluster, and loads all organizations of Anhui. */
const READY_WITHIN = 90_000
const STOPS_WITHIN = 30_000

/**
 * The suite on free ports: the standalone, and before it a gateway as it runs in production, which
 * serves the pages that were built. (`cargo run` would build them itself, into the folder that the
 * journeys run from.)
 */
export class Suite {
  private processes: ChildProcess[] = []

  private constructor(
    private readonly ports: { suite: number; simulator: number; gateway: number },
    /** What it keeps. */
    readonly data: string,
  ) {}

  /** A new one, with nobody registered. */
  static async start(): Promise<Suite> {
    if (!existsSync(join(BUILT, 'index.html'))) {
      throw new Error(`no pages in ${BUILT}: type \`npm run build\` in services/gateway/h5`)
    }
    const [suite, simulator, gateway] = await Promise.all([freePort(), freePort(), freePort()])
    const data = mkdtempSync(join(tmpdir(), 'zhiyuan-journeys-'))
    const started = new Suite({ suite, simulator, gateway }, data)
    try {
      await started.run('--fresh')
    } catch (error) {
      await started.end()
      throw error
    }
    return started
  }

  /** Where the pages are, and whatever they call. */
  get gateway(): string {
    return `http://127.0.0.1:${this.ports.gateway}`
  }

  get simulator(): string {
    return `http://127.0.0.1:${this.ports.simulator}`
  }

  /** Starts it again where it was: same ports, same data. */
  async startAgain(): Promise<void> {
    await this.run()
  }

  /** Stops it as an operator does, and waits until nothing is left running. */
  async stop(): Promise<void> {
    const stopped = this.processes.reverse()
    this.processes = []
    for (const child of stopped) await end(child)
  }

  /** Stops it for good. */
  async end(): Promise<void> {
    await this.stop()
    rmSync(this.data, { recursive: true, force: true })
  }

  private async run(...more: string[]): Promise<void> {
    const { suite, simulator, gateway } = this.ports
    const standalone = findProgram('zhiyuan-standalone')
    const ports = ['--port', `${suite}`, '--simulator-port', `${simulator}`]
    const options = [...ports, '--data-dir', this.data, '--no-pages', ...more]
    await ready(this.spawn(standalone, options), standalone, 'is ready after')

    const program = findProgram('zhiyuan-gateway')
    const config = join(this.data, 'config/gateway.toml')
    const child = this.spawn(program, ['--config', config, 'serve'], {
      ZHIYUAN_GATEWAY__SERVER__LISTEN: `127.0.0.1:${gateway}`,
      ZHIYUAN_GATEWAY__PAGES__FOLDER: BUILT,
    })
    await ready(child, program, 'pages are served')
    await until(async () => (await fetch(`${this.gateway}/readyz`)).ok)
  }

  private spawn(program: string, options: string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn(program, options, {
      cwd: TREE,
      env: { ...process.env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.processes.push(child)
    // Whatever becomes of us, it doesn't outlive us.
    const kill = () => child.kill('SIGTERM')
    process.once('exit', kill)
    child.once('exit', () => process.off('exit', kill))
    return child
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  child.kill('SIGTERM')
  const last = setTimeout(() => child.kill('SIGKILL'), STOPS_WITHIN)
  await ended
  clearTimeout(last)
}

/** Until the gateway takes connections; each try ends by itself. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const last = Date.now() + READY_WITHIN
  while (!(await holds().catch(() => false))) {
    if (Date.now() > last) throw new Error('the gateway does not answer')
    await new Promise((done) => setTimeout(done, 50))
  }
}

/** Until the process says so. */
function ready(child: ChildProcess, program: string, sign: string): Promise<void> {
  let said = ''
  return new Promise((done, fail) => {
    const give = (why: string) => fail(new Error(`${program} ${why}; it said:\n${said}`))
    const late = setTimeout(() => {
      child.kill('SIGTERM')
      give(`was not ready within ${READY_WITHIN / 1000} s`)
    }, READY_WITHIN)
    const hear = (piece: Buffer) => {
      said += piece.toString()
      if (!said.includes(sign)) return
      said = ''
      clearTimeout(late)
      done()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.once('error', (error) => give(`can not be started (${error.message})`))
    child.once('exit', (code) => {
      clearTimeout(late)
      give(`ended with ${code}`)
    })
  })
}

/** A program as cargo built it, or beside the one that was named. */
function findProgram(name: string): string {
  const target = process.env['CARGO_TARGET_DIR'] ?? join(TREE, 'target')
  const named = process.env['ZHIYUAN_SUITE']
  const program = join(named === undefined ? join(target, 'debug') : dirname(named), name)
  try {
    accessSync(program, constants.X_OK)
    return program
  } catch {
    throw new Error(
      `there is no ${program}: type \`cargo build -p zhiyuan-standalone -p zhiyuan-gateway\`, ` +
        'or name a built zhiyuan-standalone in ZHIYUAN_SUITE',
    )
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((done) => server.close(() => done()))
  return port
}
