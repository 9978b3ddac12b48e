import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Delivery, Sender } from '../../src/bus.js'
import { EPOCH, EPOCH2, envelope, HEH, type Rig, rig, turns, wire } from '../support/receiving.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const OTHER: Sender = { ...HEH, address: 'other' }

/** A handler whose database can be down, and that does not take everything. */
function database(): {
  isDown: boolean
  texts: string[]
  runs: number
  handler: (delivery: Delivery) => void
} {
  const state = {
    isDown: false,
    texts: [] as string[],
    runs: 0,
    handler: (delivery: Delivery): void => {
      state.runs += 1
      if (state.isDown || delivery.text().startsWith('bad')) throw new TypeError('no')
      state.texts.push(delivery.text())
    },
  }
  return state
}

function sendMany(
  { send }: Rig,
  count: number,
  from: Sender,
  text: (seq: number) => string,
  first = 0,
): void {
  const epoch = from === OTHER ? EPOCH2 : EPOCH
  for (let seq = first; seq < first + count; seq++) send(envelope(seq, [wire(text(seq))], { from, epoch }))
}

describe('while the handler’s database is down', () => {
  test('messages wait, unacknowledged, and parking takes a handful; afterwards all the others are handled in order', async () => {
    const world = rig({ prefetch: 50 })
    const { receiver, broker, parked } = world
    broker.elastic = false
    const db = database()
    await receiver.start(delivery => db.handler(delivery), { retries: 0 })
    db.isDown = true
    sendMany(world, 100, HEH, seq => `m${seq}`)
    await advance(110_000)
    expect(parked).toHaveLength(4)
    expect(receiver.state).toBe('paused')
    expect(receiver.hindrance).toMatchObject({ code: 'handler-failing', message: /TypeError/ })
    expect(db.runs).toBe(5 + 3)
    expect([broker.unacked.size, broker.queue.length]).toEqual([50, 46])
    db.isDown = false
    await advance(31_000)
    expect(db.texts).toEqual(Array.from({ length: 96 }, (_, i) => `m${i + 4}`))
    expect([receiver.state, receiver.hindrance]).toEqual(['running', undefined])
    expect(parked).toHaveLength(4)
    expect(receiver.counts).toMatchObject({ paused: 1, resumed: 1, 'sender-paused': 1, 'sender-resumed': 1 })
  })

  test('no gap is given up, since what would fill it cannot come', async () => {
    const world = rig({ prefetch: 10 })
    const { receiver, broker, names } = world
    broker.elastic = false
    const db = database()
    await receiver.start(delivery => db.handler(delivery), { retries: 0 })
    db.isDown = true
    sendMany(world, 9, OTHER, seq => `o${seq}`)
    await advance(1_000)
    sendMany(world, 9, HEH, seq => `m${seq}`, 1) // what goes before them stays in the queue
    sendMany(world, 1, HEH, seq => `m${seq}`)
    await advance(600_000)
    db.isDown = false
    await advance(31_000)
    expect(names()).not.toContain('skipped')
    expect(db.texts.filter(text => text.startsWith('m'))).toEqual(
      Array.from({ length: 10 }, (_, i) => `m${i}`),
    )
  })

  test('the message that is tried is parked only after five minutes, so that a run of bad ones passes in the end', async () => {
    const world = rig()
    const db = database()
    await world.receiver.start(delivery => db.handler(delivery), { retries: 0 })
    sendMany(world, 6, HEH, seq => `bad${seq}`)
    sendMany(world, 1, HEH, () => 'good', 6)
    await advance(299_000)
    expect(world.parked).toHaveLength(4)
    await advance(302_000)
    expect(world.parked).toHaveLength(6)
    await advance(31_000)
    expect(db.texts).toEqual(['good'])
  })
})

describe('a sender whose messages keep failing', () => {
  test('is paused, with an event; others are handled, and its messages pass one by one', async () => {
    const world = rig()
    const { receiver, parked, events } = world
    const db = database()
    await receiver.start(delivery => db.handler(delivery), { retries: 0 })
    sendMany(world, 1, OTHER, seq => `o${seq}`)
    await turns()
    sendMany(world, 8, HEH, seq => `bad${seq}`)
    sendMany(world, 2, HEH, seq => `m${seq}`, 8)
    sendMany(world, 5, OTHER, seq => `o${seq}`, 1)
    await advance(1_000)
    expect(db.texts).toEqual(['o0', 'o1', 'o2', 'o3', 'o4', 'o5'])
    expect(parked).toHaveLength(4)
    expect([receiver.state, receiver.hindrance]).toEqual(['running', undefined])
    expect(events.filter(([name]) => name === 'sender-paused')).toEqual([
      ['sender-paused', { from: 'field/heh-0001', error: 'TypeError', alarm: true }],
    ])
    for (let seq = 6; seq < 11; seq++) {
      await advance(30_000)
      sendMany(world, 1, OTHER, () => `o${seq}`, seq)
    }
    await advance(31_000)
    expect(parked).toHaveLength(8)
    expect(db.texts.filter(text => text.startsWith('m'))).toEqual(['m8', 'm9'])
    expect(receiver.counts).toMatchObject({ 'sender-paused': 1, 'sender-resumed': 1 })
  })

  test('does not take the place of others', async () => {
    const world = rig({ prefetch: 20 })
    const { receiver, broker } = world
    broker.elastic = false
    const db = database()
    await receiver.start(delivery => db.handler(delivery), { retries: 0 })
    sendMany(world, 1, OTHER, seq => `o${seq}`)
    await turns()
    sendMany(world, 40, HEH, seq => `bad${seq}`)
    sendMany(world, 5, OTHER, seq => `o${seq}`, 1)
    await advance(5_000)
    expect(db.texts).toEqual(['o0', 'o1', 'o2', 'o3', 'o4', 'o5'])
    expect(receiver.counts['displaced']).toBeGreaterThan(0)
  })

  test('cannot be paused by what is not permitted, nor by what does not open', async () => {
    const world = rig({ policy: { permit: (_f, _t, type) => (type === 'report' ? {} : undefined) } })
    const db = database()
    await world.receiver.start(delivery => db.handler(delivery), { retries: 0 })
    for (let seq = 0; seq < 20; seq++) world.send(envelope(seq, [wire('x', { type: 'no' })]))
    for (let i = 0; i < 20; i++) world.broker.deliver(new Uint8Array(100))
    sendMany(world, 1, HEH, seq => `m${seq}`, 20)
    await turns()
    expect(db.texts).toEqual(['m20'])
    expect(world.names()).not.toContain('sender-paused')
  })
})

describe('a handler that hangs for all senders', () => {
  test('pauses the inbox; one that ends after all lets it go on', async () => {
    const world = rig()
    const { receiver, send } = world
    const finish: (() => void)[] = []
    await receiver.start(() => new Promise<void>(resolve => finish.push(resolve)), { timeoutMs: 1_000 })
    for (let i = 0; i < 10; i++) send(envelope(0, [wire(`m${i}`)], { epoch: `${i}`.padStart(16, '0') }))
    await advance(6_200)
    expect(receiver.counts).toMatchObject({ 'lane-halted': 10, paused: 1 })
    for (const end of finish) end()
    await advance(100)
    expect(receiver.counts).toMatchObject({ handled: 10, resumed: 1 })
    expect(receiver.state).toBe('running')
  })
})
