/** The receiver with a store whose mark stands in the handler's transaction. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { SeenMark, SeenStore } from '../../src/reliability/seen.js'
import { AlreadySeen, StoreUnavailable } from '../../src/reliability/store-errors.js'
import { envelope, ledger, type Rig, rig, wire } from '../support/receiving.js'

beforeEach(() => void vi.useFakeTimers({ now: Date.now() }))
afterEach(() => void vi.useRealTimers())

interface Database {
  readonly store: SeenStore<string>
  readonly steps: string[]
  readonly marks: Map<number, SeenMark>
  /** Transactions that fail at their begin. */
  unavailable: number
}

/** A database of one table, in which a transaction's mark is undone where it fails. */
function database(): Database {
  const steps: string[] = []
  const marks = new Map<number, SeenMark>()
  const self: Database = { store: {} as SeenStore<string>, steps, marks, unavailable: 0 }
  const store: SeenStore<string> = {
    kind: 'transactional',
    start: () => Promise.resolve({ epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: false }),
    recall: () => Promise.resolve({ record: undefined, closedBefore: undefined }),
    check: () => undefined,
    transaction: async run => {
      if (self.unavailable > 0) {
        self.unavailable -= 1
        steps.push('unavailable')
        throw new StoreUnavailable('away')
      }
      const before = new Map(marks)
      try {
        const result = await run('tx')
        steps.push('commit')
        return result
      } catch (error) {
        marks.clear()
        for (const [seq, mark] of before) marks.set(seq, mark)
        steps.push('rollback')
        throw error
      }
    },
    mark: (mark, tx) => {
      const known = marks.get(mark.seq)
      if (known && tx !== undefined)
        return Promise.reject(new AlreadySeen({ mark: known.mark, hash: known.hash }))
      marks.set(mark.seq, mark)
      steps.push(tx === undefined ? `mark ${mark.seq} ${mark.mark}` : `mark ${mark.seq} in ${tx}`)
      return Promise.resolve()
    },
    ...{ note: () => undefined, forget: () => undefined, time: () => undefined },
    close: () => Promise.resolve(),
  }
  return Object.assign(self, { store })
}

function receiving(made: Database): Rig {
  return rig({ seen: made.store as unknown as SeenStore })
}

const later = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const message = (seq: number): ReturnType<typeof envelope> =>
  envelope(seq, [wire(String(seq), { receiptWanted: true })])

test('the mark stands before the handler, and both are committed before the body is acknowledged', async () => {
  const made = database()
  const { receiver, broker, send } = receiving(made)
  await receiver.start((delivery, tx) => {
    made.steps.push(`handler ${delivery.text()} in ${String(tx)}, ${broker.acked} acknowledged`)
  })
  send(message(0))
  await later(50)
  expect(made.steps).toEqual(['mark 0 in tx', 'handler 0 in tx, 0 acknowledged', 'commit'])
  expect(broker.acked).toBe(1)
})

test('a handler that fails is rolled back with its mark, and run again; at last it is parked, and that remembered', async () => {
  const made = database()
  const { receiver, parked, send } = receiving(made)
  await receiver.start(
    () => {
      throw new Error('no')
    },
    { retries: 1 },
  )
  send(message(0))
  await later(5_000)
  expect(made.steps).toEqual(['mark 0 in tx', 'rollback', 'mark 0 in tx', 'rollback', 'mark 0 parked'])
  expect(parked).toHaveLength(1)
})

test('a database that is away for long costs no attempt of the handler', async () => {
  const made = database()
  made.unavailable = 20
  const { receiver, parked, send, names } = receiving(made)
  const { texts, handler } = ledger()
  await receiver.start(handler, { retries: 0 })
  send(message(0))
  await later(60_000)
  expect(texts).toEqual(['0'])
  expect([parked, names().includes('handler-failed')]).toEqual([[], false])
})

test('what another worker has committed is acknowledged without the handler, with its receipt', async () => {
  const made = database()
  const { receiver, broker, receipts, send } = receiving(made)
  const { texts, handler } = ledger()
  await receiver.start(handler)
  const opened = message(0)
  const { domain, address } = opened.from
  made.marks.set(0, {
    ...{ domain, address, epoch: opened.epoch, seq: 0, mark: 'handled' },
    ...{ hash: opened.contentHash.slice(0, 16), createdAtMs: 0 },
  })
  send(opened)
  await later(50)
  expect(texts).toEqual([])
  expect(broker.acked).toBe(1)
  expect(receipts).toMatchObject([{ seq: 0, outcome: 'handled' }])
})

test('stopping does not wait for a database that is away', async () => {
  const made = database()
  made.unavailable = Infinity
  const { receiver, send } = receiving(made)
  await receiver.start(ledger().handler)
  send(message(0))
  await later(1_000)
  const stopping = receiver.stop()
  await later(100)
  expect(await stopping).toBe(1)
})
