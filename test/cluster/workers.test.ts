/** Several workers of one inbox, as processes of their own, that are killed and shut down: examples 04 and 05. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startProvisionedCluster } from '../../cluster/index.js'
import { initPki, provision } from '../../pki/index.js'
import type { Bus } from '../../src/bus.js'
import { connect } from '../../src/connect.js'
import { build, ROOT } from '../support/program.js'
import { startPostgres, startRedis, type TestServer } from '../support/servers.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-cluster-workers-'))
const dir = join(folder, 'pki')
let cluster: Cluster
let postgres: TestServer
let redis: TestServer

beforeAll(async () => {
  const passphrase = 'for this test only'
  const { pki } = await initPki({ dir, domain: 'field', passphrase })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
    { name: 'heh-0002', role: 'heh' },
  ])
  await build()
  ;[postgres, redis, cluster] = await Promise.all([
    startPostgres(),
    startRedis(),
    startProvisionedCluster({
      ...{ nodes: 1, name: 'workers', dir: join(folder, 'cluster'), pki: dir, ephemeral: true },
      passphrase: () => Promise.resolve(passphrase),
    }),
  ])
}, 300_000)
afterAll(async () => {
  await Promise.allSettled([cluster.down(), postgres.remove(), redis.remove()])
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

interface Handled {
  readonly n: number
  readonly worker: number
  readonly atMs: number
}

/** One process that consumes. */
class Worker {
  readonly id: number
  readonly #process: ChildProcess
  readonly #exit: Promise<unknown>
  readonly ready: Promise<void>

  constructor(id: number, example: string, database: string, handled: (line: Handled) => void) {
    this.id = id
    const args = [join(ROOT, 'dist', 'examples', example), dir, database, join(folder, `state-${id}`)]
    this.#process = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#exit = new Promise(resolve => this.#process.once('exit', resolve))
    const { stdout } = this.#process
    if (!stdout) throw new Error('no output')
    const lines = createInterface(stdout)
    this.ready = new Promise(resolve => {
      lines.on('line', line => {
        const n = Number(line.split(' ')[1])
        if (line === 'consuming') resolve()
        else handled({ n, worker: id, atMs: performance.now() })
      })
    })
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#process.kill(signal)
    await this.#exit
  }
}

let ids = 0
const running = new Set<Worker>()
const ledger: Handled[] = []

async function start(example: string, database: string): Promise<Worker> {
  ids += 1
  const worker = new Worker(ids, example, database, line => ledger.push(line))
  running.add(worker)
  await worker.ready
  return worker
}

async function end(worker: Worker, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  running.delete(worker)
  await worker.end(signal)
}

afterEach(async () => {
  await Promise.all([...running].map(worker => end(worker, 'SIGKILL')))
  ledger.length = 0
})

/** Sends numbers in order, some at a time, until it is told to stop. Resolves with how many. */
function load(sender: Bus, from = 0): { stop(): Promise<number> } {
  const over = new AbortController()
  const sending: Promise<unknown>[] = []
  const all = (async (): Promise<number> => {
    let n = from
    for (; !over.signal.aborted; n++) {
      sending.push(sender.send('vpp-0001', { type: 'report', payload: { n } }))
      await sleep(4)
    }
    await Promise.all(sending)
    return n
  })()
  return {
    stop: () => {
      over.abort()
      return all
    },
  }
}

async function withSender(run: (sender: Bus) => Promise<void>): Promise<void> {
  ids += 1
  const state = join(folder, `sender-${ids}`)
  const sender = await connect({ identity: join(dir, 'devices', 'heh-0001'), state })
  try {
    await run(sender)
  } finally {
    await sender.close()
  }
}

const numbersUpTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n)

describe('in the transaction of the application', () => {
  test('a worker that is killed at any moment leaves every effect exactly once, and in order', {
    timeout: 240_000,
  }, async () => {
    const kills = 10
    const pool = new pg.Pool({ connectionString: postgres.url })
    pool.on('error', () => undefined)
    const workers = [await start('04-transactional.js', postgres.url)]
    workers.push(await start('04-transactional.js', postgres.url))
    let sent = 0
    await withSender(async sender => {
      const sending = load(sender)
      for (let i = 0; i < kills; i++) {
        await sleep(300 + Math.random() * 1_200)
        const victim = workers.shift()
        if (victim) await end(victim, 'SIGKILL')
        workers.push(await start('04-transactional.js', postgres.url))
      }
      sent = await sending.stop()
    })
    const count = async (): Promise<number> =>
      Number(
        (await pool.query<{ count: string }>('SELECT count(DISTINCT n) AS count FROM reports')).rows[0]
          ?.count,
      )
    await expect.poll(count, { timeout: 60_000, interval: 500 }).toBe(sent)
    const { rows } = await pool.query<{ n: number }>('SELECT n FROM reports ORDER BY id')
    expect(rows.map(({ n }) => n)).toEqual(numbersUpTo(sent))
    await pool.end()
  })
})

describe('with a memory that is shared', () => {
  /** The longest silence at the handlers around `sinceMs`. */
  function gapMs(sinceMs: number): number {
    const times = ledger.map(({ atMs }) => atMs)
    return Math.max(...times.map((atMs, i) => (atMs > sinceMs ? atMs - (times[i - 1] ?? sinceMs) : 0)))
  }

  async function takeOver(
    signal: 'SIGKILL' | 'SIGTERM',
  ): Promise<{ numbers: number[]; sent: number; gap: number }> {
    const [first] = [
      await start('05-several-workers.js', redis.url),
      await start('05-several-workers.js', redis.url),
    ]
    let sent = 0
    let gap = 0
    await withSender(async sender => {
      const sending = load(sender)
      await expect.poll(() => ledger.length, { timeout: 20_000 }).toBeGreaterThan(100)
      expect(new Set(ledger.map(({ worker }) => worker))).toEqual(new Set([first.id]))
      const sinceMs = performance.now()
      await end(first, signal)
      await expect.poll(() => ledger.at(-1)?.worker, { timeout: 20_000 }).not.toBe(first.id)
      await sleep(1_000)
      gap = gapMs(sinceMs)
      sent = await sending.stop()
      await expect.poll(() => new Set(ledger.map(({ n }) => n)).size, { timeout: 30_000 }).toBe(sent)
    })
    console.info(
      `${signal}: the next worker's first message came ${Math.round(gap)} ms after the last one's last`,
    )
    return { numbers: ledger.map(({ n }) => n), sent, gap }
  }

  test('an active worker that is shut down leaves every message handled once, in order, within 3 s', async () => {
    const { numbers, sent, gap } = await takeOver('SIGTERM')
    expect(numbers).toEqual(numbersUpTo(sent))
    expect(gap).toBeLessThan(3_000)
  })

  test('an active worker that is killed: the next goes on within 3 s, in order; at most the one in its handler comes twice', async () => {
    const { numbers, sent, gap } = await takeOver('SIGKILL')
    const twice = numbers.filter((n, i) => numbers.indexOf(n) !== i)
    expect(twice.length).toBeLessThanOrEqual(1)
    expect(numbers.filter((n, i) => numbers.indexOf(n) === i)).toEqual(numbersUpTo(sent))
    expect(gap).toBeLessThan(3_000)
  })
})
