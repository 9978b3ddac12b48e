/** A real Redis and a real PostgreSQL for tests: own port on loopback, own folder, gone after the file's tests. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server that can be stopped, killed and started again where it was. */
export interface TestServer {
  readonly port: number
  readonly url: string
  start(): Promise<void>
  /** SIGKILL: as when the power fails. */
  kill(): Promise<void>
  /** Ends it and removes its folder. */
  remove(): Promise<void>
}

/** PostgreSQL refuses root: there it runs as nobody. */
const NOBODY = 65_534
const IS_ROOT = process.getuid?.() === 0

/** @param durable - every write is on the disk before it is answered; else nothing survives a kill */
export async function startRedis(durable = true): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-redis-'))
  const port = await freePort()
  const persistence = durable ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...persistence]
  const server = new Server(folder, port, `redis://127.0.0.1:${port}`, {
    start: () => spawn(found('redis-server'), words, { stdio: 'ignore' }),
    isReady: () => answers(found('redis-cli'), ['-p', String(port), 'ping'], 'PONG'),
  })
  await server.start()
  return server
}

export async function startPostgres(): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-postgres-'))
  const user = IS_ROOT ? 'nobody' : userInfo().username
  const as = IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {}
  if (IS_ROOT) chownSync(folder, NOBODY, NOBODY)
  const data = join(folder, 'data')
  const port = await freePort()
  const options = {
    ...as,
    cwd: folder,
    env: { ...process.env, HOME: folder, LC_ALL: 'C' },
    stdio: 'ignore' as const,
  }
  const init = ['-D', data, '-A', 'trust', '-U', user, '--locale=C', '-E', 'UTF8', '-N']
  execFileSync(postgresProgram('initdb'), init, options)
  const words = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', folder, '-c', 'shared_buffers=16MB']
  const server = new Server(folder, port, `postgres://${user}@127.0.0.1:${port}/postgres`, {
    start: () => spawn(postgresProgram('postgres'), words, options),
    isReady: () =>
      answers(postgresProgram('pg_isready'), ['-h', '127.0.0.1', '-p', String(port)], 'accepting'),
  })
  await server.start()
  return server
}

interface Program {
  start(): ChildProcess
  isReady(): boolean
}

class Server implements TestServer {
  readonly port: number
  readonly url: string
  readonly #folder: string
  readonly #program: Program
  #process: ChildProcess | undefined

  constructor(folder: string, port: number, url: string, program: Program) {
    this.#folder = folder
    this.port = port
    this.url = url
    this.#program = program
  }

  async start(): Promise<void> {
    const started = this.#program.start()
    this.#process = started
    process.once('exit', () => started.kill('SIGKILL')) // n.b. a test that fails may not come to remove it
    const deadline = Date.now() + 60_000
    while (!this.#program.isReady()) {
      if (this.#process.exitCode !== null)
        throw new Error(`${this.url}: ended with ${this.#process.exitCode}`)
      if (Date.now() > deadline) throw new Error(`${this.url}: not ready after 60 s`)
      await sleep(100)
    }
  }

  async kill(): Promise<void> {
    const running = this.#process
    this.#process = undefined
    if (!running || running.exitCode !== null) return
    const ended = new Promise(resolve => running.once('exit', resolve))
    running.kill('SIGKILL')
    await ended
    await sleep(200) // n.b. PostgreSQL's children notice it a moment later
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

function answers(program: string, words: string[], expected: string): boolean {
  try {
    return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).includes(
      expected,
    )
  } catch {
    return false
  }
}

/** Debian keeps the server's programs out of the path. */
function postgresProgram(name: string): string {
  const base = '/usr/lib/postgresql'
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : []
  const paths = versions.map(version => join(base, version, 'bin', name))
  return paths.find(path => existsSync(path)) ?? found(name)
}

function found(name: string): string {
  const path = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map(dir => join(dir, name))
    .find(file => existsSync(file))
  if (path === undefined) throw new Error(`${name} is not installed: run npm test once, which installs it`)
  return path
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
