import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { Bridge } from './bridge.ts'

const TREE = resolve(import.meta.dirname, '../../../..')

/** The pages as `npm run build` left them. */
export const BUILT = resolve(process.env['ZHIYUAN_PAGES'] ?? join(import.meta.dirname, '../dist'))

/** The first start makes a cluster, and loads all organizations of Anhui. */
const READY_WITHIN = 90_000
const STOPS_WITHIN = 30_000

/** The standalone suite, a process of its own on free ports. */
export class Suite {
  private process: ChildProcess | undefined
  private bridge: Bridge | undefined

  private constructor(
    private readonly program: string,
    private readonly port: number,
    private readonly simulatorPort: number,
    /** What it keeps. */
    readonly data: string,
  ) {}

  /** A new one, with nobody registered. */
  static async start(): Promise<Suite> {
    const program = findProgram()
    if (!existsSync(join(BUILT, 'index.html'))) {
      throw new Error('the pages are not built: type `npm run build` in services/gateway/h5')
    }
    const [port, simulatorPort] = await Promise.all([freePort(), freePort()])
    const data = mkdtempSync(join(tmpdir(), 'zhiyuan-journeys-'))
    const suite = new Suite(program, port, simulatorPort, data)
    if (process.env['ZHIYUAN_PAGES_PROXY'] === '1') {
      suite.bridge = await Bridge.start(BUILT, `http://127.0.0.1:${port}`)
    }
    await suite.run('--fresh')
    return suite
  }

  get gateway(): string {
    return this.bridge?.address ?? `http://127.0.0.1:${this.port}`
  }

  get simulator(): string {
    return `http://127.0.0.1:${this.simulatorPort}`
  }

  /** Starts it again where it was: same ports, same data. */
  async startAgain(): Promise<void> {
    await this.run()
  }

  /** Stops it as an operator does, and waits until nothing is left running. */
  async stop(): Promise<void> {
    const child = this.process
    this.process = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    child.kill('SIGTERM')
    const last = setTimeout(() => child.kill('SIGKILL'), STOPS_WITHIN)
    await ended
    clearTimeout(last)
  }

  /** Stops it for good. */
  async end(): Promise<void> {
    await this.stop()
    await this.bridge?.stop()
    rmSync(this.data, { recursive: true, force: true })
  }

  private async run(...more: string[]): Promise<void> {
    const options = ['--port', `${this.port}`, '--simulator-port', `${this.simulatorPort}`]
    const child = spawn(this.program, [...options, '--data-dir', this.data, ...more], {
      cwd: TREE,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process = child
    // Whatever becomes of us, it doesn't outlive us.
    const kill = () => child.kill('SIGTERM')
    process.once('exit', kill)
    child.once('exit', () => process.off('exit', kill))
    await ready(child, this.program)
  }
}

function ready(child: ChildProcess, program: string): Promise<void> {
  let said = ''
  return new Promise((done, fail) => {
    const give = (why: string) => fail(new Error(`${program} ${why}; it said:\n${said}`))
    const late = setTimeout(() => {
      child.kill('SIGTERM')
      give(`was not ready within ${READY_WITHIN / 1000} s`)
    }, READY_WITHIN)
    const hear = (piece: Buffer) => {
      said += piece.toString()
      if (!said.includes('is ready after')) return
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

/** The program, as it was named, or as cargo built it. */
function findProgram(): string {
  const named = process.env['ZHIYUAN_SUITE']
  const target = process.env['CARGO_TARGET_DIR'] ?? join(TREE, 'target')
  const program = named ?? join(target, 'debug/zhiyuan-standalone')
  try {
    accessSync(program, constants.X_OK)
    return program
  } catch {
    throw new Error(
      `there is no ${program}: type \`cargo build -p zhiyuan-standalone\`, ` +
        'or name a built one in ZHIYUAN_SUITE',
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
