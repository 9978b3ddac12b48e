/** Several workers and one memory: the shared seen store over a real Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { EpochMemory } from '../../src/reliability/epoch.js'
import type { EpochKey, Mark, SeenHooks, SeenMark, SeenStore } from '../../src/reliability/seen.js'
import { sharedSeen } from '../../src/reliability/shared-seen.js'
import { startRedis, type TestServer } from '../support/servers.js'

const newClient = (url: string) =>
  createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: 50 } })
type Client = ReturnType<typeof newClient>

let redis: TestServer
const clients: Client[] = []
const stores: SeenStore[] = []

beforeAll(async () => {
  redis = await startRedis()
}, 120_000)
afterEach(async () => {
  await Promise.all(stores.splice(0).map(store => store.close()))
  for (const client of clients.splice(0)) client.destroy()
})
afterAll(async () => {
  await redis.remove()
})

async function connected(url = redis.url): Promise<Client> {
  const client = newClient(url)
  client.on('error', () => undefined)
  clients.push(client)
  await client.connect()
  return client
}

interface Worker {
  readonly store: SeenStore
  readonly client: Client
  readonly told: string[]
}

/** A worker of its own connection; what its store tells is written down. */
async function worker(
  options: { leaseMs?: number; url?: string; onLost?: () => void } = {},
): Promise<Worker> {
  const client = await connected(options.url)
  const told: string[] = []
  const hooks: SeenHooks = {
    lifetimeMs: 3_600_000,
    lost: () => {
      told.push('lost')
      options.onLost?.()
    },
    waiting: () => told.push('waiting'),
    resumed: () => told.push('resumed'),
    overtaken: (_, seq) => told.push(`overtaken ${seq}`),
  }
  const store = sharedSeen({ client, leaseMs: options.leaseMs ?? 500 })
  stores.push(store)
  await store.start(hooks)
  return { store, client, told }
}

let made = 0
/** An epoch that no other test uses. */
function newKey(): EpochKey {
  made += 1
  return { domain: 'field', address: 'heh-0001', epoch: made.toString(16).padStart(16, '0') }
}

function marked(key: EpochKey, seq: number, mark: Mark = 'handled', hash = 'ab'.repeat(8)): SeenMark {
  return { ...key, seq, mark, hash, createdAtMs: 1_000 + seq }
}

describe('a number that two workers have', () => {
  test('is handled by the first; the other waits for its mark', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    expect(await a.store.check(key, 0)).toBeUndefined()
    const others = b.store.check(key, 0)
    const early = await Promise.race([others, sleep(300, 'waits')])
    expect(early).toBe('waits')
    await a.store.mark(marked(key, 0))
    expect(await others).toEqual({ mark: 'handled', hash: 'ab'.repeat(8) })
  })

  test('goes to the other when the first gives it back, at once', async () => {
    const [a, b] = [await worker({ leaseMs: 600_000 }), await worker({ leaseMs: 600_000 })]
    const key = newKey()
    await a.store.check(key, 7)
    a.store.release?.(key, 7)
    expect(await b.store.check(key, 7)).toBeUndefined()
  })

  test('goes to the other when the first gives it back before it was granted', async () => {
    const [a, b] = [await worker({ leaseMs: 600_000 }), await worker({ leaseMs: 600_000 })]
    const key = newKey()
    void a.store.check(key, 7)
    a.store.release?.(key, 7)
    await a.store.close()
    expect(await b.store.check(key, 7)).toBeUndefined()
  })

  test('goes to the other when the first is dead and its lease is over, and not before', async () => {
    const [a, b] = [await worker({ leaseMs: 1_000 }), await worker({ leaseMs: 1_000 })]
    const key = newKey()
    await a.store.check(key, 1)
    a.client.destroy() // n.b. as if it had died: nothing is renewed any more
    const since = performance.now()
    expect(await b.store.check(key, 1)).toBeUndefined()
    const waited = performance.now() - since
    expect(waited).toBeGreaterThan(500)
    expect(waited).toBeLessThan(3_000)
  })

  test('stays with a living worker for longer than its lease', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    await a.store.check(key, 1)
    const others = b.store.check(key, 1)
    expect(await Promise.race([others, sleep(2_000, 'waits')])).toBe('waits')
    await a.store.mark(marked(key, 1))
    expect((await others)?.mark).toBe('handled')
    expect([...a.told, ...b.told]).toEqual([])
  })

  test('is told to the worker that stood still for longer than its lease', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    await a.store.check(key, 1)
    await a.client.close() // n.b. no renewal arrives
    await b.store.check(key, 1)
    await b.store.mark(marked(key, 1))
    await a.client.connect()
    await a.store.mark(marked(key, 1))
    expect(a.told.filter(word => word.startsWith('overtaken'))).toEqual(['overtaken 1'])
  })
})

describe('what a worker that comes later learns', () => {
  test('is what the receiver itself would have remembered, whatever was marked', async () => {
    const { store } = await worker()
    for (let round = 0; round < 15; round++) {
      const key = newKey()
      const memory = EpochMemory.first(key, 20, 0)
      store.note(memory.record())
      for (let i = 0; i < 60; i++) {
        const seq = Math.floor(Math.random() * 45)
        if (memory.state(seq) !== 'unseen') continue
        const mark: Mark = Math.random() < 0.2 ? 'parked' : 'handled'
        memory.use(seq, mark, `${seq}`, 0)
        await store.mark(marked(key, seq, mark, `${seq}`))
        if (i % 20 !== 19) continue
        memory.skip(memory.next, memory.next + 1)
        store.note(memory.record())
      }
      const recalled = (await store.recall?.(key))?.record
      expect(recalled && tidy(recalled)).toEqual(tidy(memory.record()))
    }
  })

  test('holds numbers that were skipped, and closed epochs', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    const memory = EpochMemory.first(key, 0, 0)
    a.store.note(memory.record())
    memory.skip(0, 3)
    a.store.note(memory.record())
    a.store.forget({ ...key, epoch: 'ff'.repeat(8) }, 12_345)
    await a.store.mark(marked(key, 3))
    expect(await b.store.check(key, 1)).toEqual({ mark: 'skipped', hash: '' })
    const { record, closedBefore } = (await b.store.recall?.(key)) ?? {}
    expect(record).toMatchObject({ start: 0, next: 4, skipped: [0, 1, 2] })
    expect(closedBefore).toBe(12_345)
  })

  test('is the highest time that anybody was told', async () => {
    const { store } = await worker()
    store.time(5_000)
    store.time(4_000)
    await store.close()
    const later = sharedSeen({ client: await connected() })
    stores.push(later)
    expect((await later.start()).highestTimeMs).toBe(5_000)
  })
})

test('workers of an inbox are counted from start to close; those of another are not', async () => {
  const made = async (address: string): Promise<SeenStore> => {
    const store = sharedSeen({ client: await connected() })
    stores.push(store)
    store.join?.(address)
    await store.start()
    return store
  }
  const [a, b, other] = [await made('vpp'), await made('vpp'), await made('tso')]
  expect(await Promise.all([a.workers?.(), b.workers?.(), other.workers?.()])).toEqual([2, 2, 1])
  await b.close()
  expect(await a.workers?.()).toBe(1)
})

describe('a Redis in trouble', () => {
  test('that is away holds back marks until it is there again, and says so', async () => {
    const own = await startRedis()
    const { store, told } = await worker({ url: own.url })
    const key = newKey()
    await store.mark(marked(key, 0))
    await own.kill()
    const marking = store.mark(marked(key, 1))
    const checking = store.check(key, 0)
    expect(await Promise.race([marking, checking, sleep(500, 'waits')])).toBe('waits')
    await own.start()
    await marking
    expect((await checking)?.mark).toBe('handled')
    expect(told).toEqual(['waiting', 'resumed'])
    await own.remove()
  })

  test('that has lost everything is told as lost, and gets back what we know', async () => {
    const own = await startRedis(false)
    const key = newKey()
    const memory = EpochMemory.first(key, 0, 0)
    const a = await worker({ url: own.url, onLost: () => a.store.note(memory.record()) })
    for (const seq of [0, 1, 2, 5]) {
      memory.use(seq, 'handled', 'ab', 0)
      await a.store.mark(marked(key, seq))
    }
    await own.kill()
    await own.start()
    await a.store.mark(marked(key, 6))
    expect(a.told).toContain('lost')
    const b = await worker({ url: own.url })
    await expect.poll(async () => (await b.store.recall?.(key))?.record?.next).toBe(3)
    expect((await b.store.recall?.(key))?.record?.beyond).toEqual([5, 6])
    await own.remove()
  })

  test('that was set back to an older state is told as lost, and gets back what we know', async () => {
    const key = newKey()
    const memory = EpochMemory.first(key, 0, 0)
    const a = await worker({ onLost: () => a.store.note(memory.record()) })
    const use = async (seq: number): Promise<void> => {
      memory.use(seq, 'handled', 'ab', 0)
      await a.store.mark(marked(key, seq))
    }
    await use(0)
    const name = `{sealbus}:e:field/heh-0001/${key.epoch}`
    const [fields, count] = [await a.client.hGetAll(name), await a.client.hGet('{sealbus}:memory', 'count')]
    await use(1)
    await use(2)
    await a.client.del(name)
    await a.client.hSet(name, fields)
    await a.client.hSet('{sealbus}:memory', 'count', String(count))
    expect(a.told).toEqual([])
    await use(7)
    expect(a.told).toEqual(['lost'])
    await expect.poll(async () => (await a.store.recall?.(key))?.record?.next).toBe(3)
  })

  test('that refuses us says so at the start', async () => {
    const client = await connected()
    await client.sendCommand(['ACL', 'SETUSER', 'reader', 'on', '>secret', '~other:*', '+@all'])
    await client.sendCommand(['AUTH', 'reader', 'secret'])
    const store = sharedSeen({ client })
    await expect(store.start()).rejects.toMatchObject({ code: 'store-failed' })
  })
})

test('a lease out of range is refused', async () => {
  const client = await connected()
  expect(() => sharedSeen({ client, leaseMs: 10 })).toThrow(RangeError)
})

/** Without what is kept elsewhere, and in one order. */
function tidy(record: ReturnType<EpochMemory['record']>): object {
  const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)
  const { beyond, skipped, parked, hashes, start, next, floor } = record
  const byNumber = [...hashes].sort(([a], [b]) => a - b)
  return {
    start,
    next,
    floor,
    beyond: sorted(beyond),
    skipped: sorted(skipped),
    parked: sorted(parked),
    hashes: byNumber,
  }
}
