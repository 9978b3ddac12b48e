/** Mark and effect in one transaction: the transactional seen store over a real PostgreSQL. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EpochMemory } from '../../src/reliability/epoch.js'
import { postgresSeen } from '../../src/reliability/postgres-seen.js'
import type { EpochKey, Mark, SeenHooks, SeenMark, SeenStore } from '../../src/reliability/seen.js'
import { AlreadySeen, RolledBack, StoreUnavailable } from '../../src/reliability/store-errors.js'
import { startPostgres, type TestServer } from '../support/servers.js'

let postgres: TestServer
let pool: pg.Pool
const stores: SeenStore<pg.PoolClient>[] = []

beforeAll(async () => {
  postgres = await startPostgres()
}, 120_000)
beforeEach(async () => {
  pool = new pg.Pool({ connectionString: postgres.url, max: 8 })
  pool.on('error', () => undefined)
  await pool.query('CREATE TABLE IF NOT EXISTS effects (what TEXT NOT NULL)')
  await pool.query('TRUNCATE effects')
})
afterEach(async () => {
  await Promise.all(stores.splice(0).map(store => store.close()))
  await pool.end()
})
afterAll(async () => {
  await postgres.remove()
})

async function worker(): Promise<{ store: SeenStore<pg.PoolClient>; told: string[] }> {
  const told: string[] = []
  const hooks: SeenHooks = {
    lifetimeMs: 3_600_000,
    lost: () => told.push('lost'),
    waiting: () => told.push('waiting'),
    resumed: () => told.push('resumed'),
    overtaken: () => told.push('overtaken'),
  }
  const store = postgresSeen<pg.PoolClient>(pool)
  stores.push(store)
  await store.start(hooks)
  return { store, told }
}

let made = 0
function newKey(): EpochKey {
  made += 1
  return { domain: 'field', address: 'heh-0001', epoch: made.toString(16).padStart(16, '0') }
}

function marked(key: EpochKey, seq: number, mark: Mark = 'handled', hash = 'ab'.repeat(8)): SeenMark {
  return { ...key, seq, mark, hash, createdAtMs: 1_000 + seq }
}

/** As the receiver does it: the mark, then the handler. */
function handle(
  store: SeenStore<pg.PoolClient>,
  mark: SeenMark,
  handler: (tx: pg.PoolClient) => Promise<unknown> = effect('done'),
): Promise<void> {
  return store.transaction(async tx => {
    await store.mark(mark, tx)
    await handler(tx)
  })
}

function effect(what: string): (tx: pg.PoolClient) => Promise<unknown> {
  return tx => tx.query('INSERT INTO effects (what) VALUES ($1)', [what])
}

async function effects(): Promise<string[]> {
  const { rows } = await pool.query<{ what: string }>('SELECT what FROM effects ORDER BY what')
  return rows.map(({ what }) => what)
}

describe('mark and effect', () => {
  test('stand or fall together', async () => {
    const { store } = await worker()
    const key = newKey()
    const failing = handle(store, marked(key, 0), async tx => {
      await effect('of a handler that failed')(tx)
      throw new Error('the handler fails')
    })
    await expect(failing).rejects.toThrow('the handler fails')
    expect(await effects()).toEqual([])
    await handle(store, marked(key, 0))
    await expect(handle(store, marked(key, 0))).rejects.toThrow(AlreadySeen)
    expect(await effects()).toEqual(['done'])
  })

  test('of a copy that two workers have: the second waits for the first, and finds it handled', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    let finish = (): void => undefined
    const first = handle(a.store, marked(key, 0), async tx => {
      await effect('a')(tx)
      await new Promise<void>(resolve => {
        finish = resolve
      })
    })
    await expect.poll(() => finish.length).toBe(0)
    const second = handle(b.store, marked(key, 0), effect('b')).catch((error: unknown) => error)
    expect(await Promise.race([second, sleep(300, 'waits')])).toBe('waits')
    finish()
    await first
    expect(await second).toMatchObject({ known: { mark: 'handled', hash: 'ab'.repeat(8) } })
    expect(await effects()).toEqual(['a'])
  })

  test('of a copy whose first handler fails: the second handles it', async () => {
    const [a, b] = [await worker(), await worker()]
    const key = newKey()
    let fail: (reason: Error) => void = () => undefined
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    const first = handle(a.store, marked(key, 0), () => failed).catch((error: unknown) => error)
    await sleep(100)
    const second = handle(b.store, marked(key, 0), effect('b'))
    await sleep(100)
    fail(new Error('no'))
    await Promise.all([first, second])
    expect(await effects()).toEqual(['b'])
  })

  test('a handler that goes on after a statement had failed is told that nothing was kept', async () => {
    const { store } = await worker()
    const careless = handle(store, marked(newKey(), 0), async tx => {
      await effect('lost')(tx)
      await tx.query('SELECT nonsense').catch(() => undefined)
    })
    await expect(careless).rejects.toThrow(RolledBack)
    expect(await effects()).toEqual([])
  })

  test('of two handlers that deadlock, one is run again and both take effect', async () => {
    const [a, b] = [await worker(), await worker()]
    await pool.query("INSERT INTO effects VALUES ('x'), ('y')")
    const touch = (first: string, second: string) => async (tx: pg.PoolClient) => {
      await tx.query('UPDATE effects SET what = what WHERE what = $1', [first])
      await sleep(200)
      await tx.query('UPDATE effects SET what = what WHERE what = $1', [second])
      await effect(`after ${first}`)(tx)
    }
    const key = newKey()
    await Promise.all([
      handle(a.store, marked(key, 0), touch('x', 'y')),
      handle(b.store, marked(key, 1), touch('y', 'x')),
    ])
    expect(await effects()).toEqual(['after x', 'after y', 'x', 'y'])
  })
})

describe('what a worker that comes later learns', () => {
  test('is what the receiver itself would have remembered, whatever was marked, in transactions or not', async () => {
    const { store } = await worker()
    for (let round = 0; round < 6; round++) {
      const key = newKey()
      const memory = EpochMemory.first(key, 20, 0)
      store.note(memory.record())
      for (let i = 0; i < 40; i++) {
        const seq = Math.floor(Math.random() * 45)
        if (memory.state(seq) !== 'unseen') continue
        const mark: Mark = Math.random() < 0.2 ? 'parked' : 'handled'
        memory.use(seq, mark, `${seq}`, 1_000 + seq)
        if (mark === 'parked') await store.mark(marked(key, seq, mark, `${seq}`))
        else await handle(store, marked(key, seq, mark, `${seq}`))
      }
      memory.skip(memory.next, memory.next + 1)
      store.note(memory.record())
      await store.mark(marked(newKey(), 0)) // n.b. after the notes
      const recalled = (await store.recall?.(key))?.record
      expect(recalled && tidy(recalled)).toEqual(tidy(memory.record()))
    }
  })

  test('a number that was skipped is told as skipped, and may be parked after all', async () => {
    const { store } = await worker()
    const key = newKey()
    const memory = EpochMemory.first(key, 0, 0)
    memory.skip(0, 2)
    store.note(memory.record())
    await store.mark(marked(key, 2))
    await expect(handle(store, marked(key, 1))).rejects.toMatchObject({ known: { mark: 'skipped' } })
    await store.mark(marked(key, 1, 'parked'))
    await expect(handle(store, marked(key, 1))).rejects.toMatchObject({ known: { mark: 'parked' } })
    expect((await store.recall?.(key))?.record).toMatchObject({ skipped: [0], parked: [1], next: 3 })
  })

  test('closed epochs and the highest time stay', async () => {
    const { store } = await worker()
    const key = newKey()
    store.forget(key, 12_345)
    store.forget(key, 11_111)
    store.time(777)
    await store.mark(marked(key, 0))
    const later = postgresSeen<pg.PoolClient>(pool)
    stores.push(later)
    expect((await later.start()).highestTimeMs).toBe(777)
    expect((await later.recall?.(key))?.closedBefore).toBe(12_345)
  })

  test('rows of a long run are dropped in time, and its numbers stay used up', async () => {
    const { store } = await worker()
    const key = newKey()
    const rows = async (): Promise<number> => {
      const { rows: found } = await pool.query<{ count: string }>(
        'SELECT count(*) AS count FROM sealbus_seen WHERE epoch = $1',
        [key.epoch],
      )
      return Number(found[0]?.count)
    }
    store.note(EpochMemory.first(key, 0, 0).record())
    const mark = (from: number): Promise<unknown> =>
      Promise.all(Array.from({ length: 1_000 }, (_, i) => store.mark(marked(key, from + i))))
    await mark(0) // the run is written
    const run = async (): Promise<unknown> =>
      (await pool.query('SELECT run_from, run_to FROM sealbus_epoch WHERE epoch = $1', [key.epoch])).rows[0]
    await expect.poll(run).toEqual({ run_from: '0', run_to: expect.stringMatching(/^\d{3,4}$/) as string })
    expect(await rows()).toBe(1_000)
    await pool.query('UPDATE sealbus_epoch SET run_at_ms = 1') // ten minutes later
    await mark(1_000)
    await expect.poll(rows).toBeLessThan(1_600)
    await expect(handle(store, marked(key, 3))).rejects.toThrow(AlreadySeen)
    expect((await store.recall?.(key))?.record).toMatchObject({ start: 0, next: 2_000 })
    expect(await effects()).toEqual([])
  })
})

test('workers of an inbox are counted from start to close; those of another are not', async () => {
  const made = async (address: string): Promise<SeenStore<pg.PoolClient>> => {
    const store = postgresSeen<pg.PoolClient>(pool)
    stores.push(store)
    store.join?.(address)
    await store.start()
    return store
  }
  const [a, b, other] = [await made('v_p'), await made('v_p'), await made('vxp')]
  expect(await Promise.all([a.workers?.(), b.workers?.(), other.workers?.()])).toEqual([2, 2, 1])
  await b.close()
  expect(await a.workers?.()).toBe(1)
})

test('a PostgreSQL that is killed and started again costs waiting, and no handler counts as failed', async () => {
  const { store, told } = await worker()
  const key = newKey()
  await handle(store, marked(key, 0))
  await postgres.kill()
  await expect(handle(store, marked(key, 1))).rejects.toThrow(StoreUnavailable)
  const marking = store.mark(marked(key, 2))
  expect(await Promise.race([marking, sleep(300, 'waits')])).toBe('waits')
  await postgres.start()
  await marking
  await handle(store, marked(key, 1))
  await expect(handle(store, marked(key, 0))).rejects.toThrow(AlreadySeen)
  expect(told).toEqual(['waiting', 'resumed'])
  expect(await effects()).toEqual(['done', 'done'])
})

test('a connection that dies under a handler counts as no failure of it', async () => {
  const { store } = await worker()
  const dying = handle(store, marked(newKey(), 0), async tx => {
    await effect('lost')(tx)
    const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
    await sleep(100)
    await effect('more')(tx)
  })
  await expect(dying).rejects.toThrow(StoreUnavailable)
  expect(await effects()).toEqual([])
})

test('a database that refuses says so at the start', async () => {
  await pool.query('DROP ROLE IF EXISTS reader')
  await pool.query('CREATE ROLE reader LOGIN')
  const url = new URL(postgres.url)
  url.username = 'reader'
  const other = new pg.Pool({ connectionString: url.href })
  await pool.query('CREATE SCHEMA IF NOT EXISTS elsewhere')
  await pool.query('ALTER ROLE reader SET search_path = elsewhere')
  await expect(postgresSeen(other).start()).rejects.toMatchObject({ code: 'store-failed' })
  await other.end()
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
