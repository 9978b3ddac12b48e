/** An inbox that is divided by sender between three workers, while workers go and come back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Cluster, startProvisionedCluster } from '../../cluster/index.js'
import { initPki, openPki, provision } from '../../pki/index.js'
import type { Bus } from '../../src/bus.js'
import { connect } from '../../src/connect.js'
import { sharedSeen } from '../../src/reliability/shared-seen.js'
import { startRedis, type TestServer } from '../support/servers.js'

const PARTITIONS = 3
const HUBS = Array.from({ length: 8 }, (_, i) => `heh-000${i + 1}`)
const folder = mkdtempSync(join(tmpdir(), 'sealbus-cluster-partitions-'))
const dir = join(folder, 'pki')
let cluster: Cluster
let redis: TestServer
const buses = new Set<Bus>()
const clients: { destroy(): void }[] = []

beforeAll(async () => {
  const passphrase = 'for this test only'
  await initPki({ dir, domain: 'field', passphrase })
  const policyFile = join(dir, 'policy.json')
  const policy = JSON.parse(readFileSync(policyFile, 'utf8')) as { roles: Record<string, object> }
  policy.roles['vpp'] = { inbox: 'quorum', declare: true, partitions: PARTITIONS }
  writeFileSync(policyFile, JSON.stringify(policy))
  const devices = HUBS.map(name => ({ name, role: 'heh' }))
  await provision(openPki({ dir, passphrase }), [{ name: 'vpp-0001', role: 'vpp' }, ...devices])
  redis = await startRedis()
  cluster = await startProvisionedCluster({
    ...{ nodes: 1, name: 'partitions', dir: join(folder, 'cluster'), pki: dir, ephemeral: true },
    passphrase: () => Promise.resolve(passphrase),
  })
}, 300_000)
afterEach(async () => {
  await Promise.all([...buses].map(bus => bus.close()))
  for (const client of clients.splice(0)) client.destroy()
})
afterAll(async () => {
  await Promise.allSettled([cluster.down(), redis.remove()])
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

interface Handled {
  readonly hub: string
  readonly n: number
  readonly worker: number
}

const ledger: Handled[] = []
const told: string[] = []

async function open(name: string, options: Partial<Parameters<typeof connect>[0]> = {}): Promise<Bus> {
  const identity = join(dir, 'devices', name)
  const bus = await connect({ identity, state: join(folder, `${name}-${buses.size}`), ...options })
  buses.add(bus)
  return bus
}

/** A worker whose part is `partition`. */
async function worker(partition: number): Promise<Bus> {
  const client = createClient({ url: redis.url })
  clients.push(client)
  client.on('error', () => undefined)
  await client.connect()
  const bus = await open('vpp-0001', { partition, seen: sharedSeen({ client }) })
  for (const name of ['partition-taken', 'partition-given-back', 'skipped', 'seen-lost']) {
    bus.on(name, event => told.push(`${partition} ${name} ${JSON.stringify(event)}`))
  }
  await bus.consume(report => {
    const { n } = report.json() as { n: number }
    ledger.push({ hub: report.from?.address ?? '', n, worker: partition })
  })
  return bus
}

async function leave(bus: Bus): Promise<void> {
  buses.delete(bus)
  await bus.drain()
}

/** Every hub sends numbers in order, until it is told to stop. Resolves with how many. */
function load(hubs: readonly Bus[]): { stop(): Promise<number> } {
  const over = new AbortController()
  const all = (async (): Promise<number> => {
    const sending: Promise<unknown>[] = []
    let n = 0
    for (; !over.signal.aborted; n++) {
      for (const hub of hubs) sending.push(hub.send('vpp-0001', { type: 'report', payload: { n } }))
      await sleep(25)
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

/** Who has handled what came since then. */
function handlers(since: number): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>()
  for (const { hub, worker: by } of ledger.slice(since)) {
    const workers = found.get(hub) ?? new Set<number>()
    found.set(hub, workers.add(by))
  }
  return found
}

test('each sender has one worker at a time; one that leaves and comes back costs neither message nor order', async () => {
  const workers: Bus[] = []
  for (let partition = 1; partition <= PARTITIONS; partition++) workers.push(await worker(partition))
  await sleep(8_000) // n.b. the first has taken all; each gets its own back
  const hubs = await Promise.all(HUBS.map(name => open(name)))
  const sending = load(hubs)
  await sleep(2_000)
  const before = handlers(0)
  expect([...before.values()].every(by => by.size === 1)).toBe(true)
  expect(new Set([...before.values()].flatMap(by => [...by])).size).toBeGreaterThan(1)

  const leaving = workers.pop()
  if (leaving) await leave(leaving)
  await sleep(4_000)
  const without = ledger.length
  await sleep(1_000)
  expect([...handlers(without).values()].every(by => by.size === 1 && !by.has(PARTITIONS))).toBe(true)

  workers.push(await worker(PARTITIONS))
  await sleep(8_000)
  const again = ledger.length
  await sleep(1_000)
  const sent = await sending.stop()
  expect(handlers(again)).toEqual(before)

  await expect.poll(() => ledger.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(sent * HUBS.length)
  await sleep(500)
  const numbers = Array.from({ length: sent }, (_, n) => n)
  for (const hub of HUBS)
    expect(
      ledger.filter(each => each.hub === hub).map(({ n }) => n),
      hub,
    ).toEqual(numbers)
  expect(told.filter(line => line.includes('skipped'))).toEqual([])
})

test('request is refused while several workers share the inbox', async () => {
  const [one] = [await worker(1), await worker(2)]
  await sleep(4_000)
  const asking = one.request('heh-0001', { type: 'get_report', payload: {} }, { timeoutMs: 10_000 })
  await expect(asking).rejects.toMatchObject({ code: 'request-refused' })
})

test('a partition without a memory that workers share is refused', async () => {
  await expect(open('vpp-0001', { partition: 1 })).rejects.toMatchObject({ code: 'configuration' })
})
