import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Delivery } from '../../src/bus.js'
import type { Opened } from '../../src/crypto/sealing.js'
import { SealbusError } from '../../src/errors.js'
import { createMemorySeen } from '../../src/reliability/memory-seen.js'
import { encodeReceipts } from '../../src/reliability/receipts.js'
import type { ReceiverOptions } from '../../src/reliability/receiver.js'
import type { EpochRecord } from '../../src/reliability/seen.js'
import { EPOCH, EPOCH2, envelope, HEH, ledger, notOpened, rig, turns, wire } from '../support/receiving.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('order', () => {
  test('messages of a lane are handled in order of number, whatever order they come in', async () => {
    const { receiver, send, broker } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    for (const seq of [2, 0, 3, 1]) send(envelope(seq, [wire(`m${seq}`)]))
    await turns()
    expect(texts).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(broker.unacked.size).toBe(0)
    expect(receiver.counts['handled']).toBe(4)
  })

  test('a receiver new to an epoch starts at open, and still handles lower numbers down to the floor', async () => {
    const { receiver, send } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(5_000, [wire('m5000')], { open: 5_000 }))
    send(envelope(4_990, [wire('m4990')], { open: 4_990 }))
    send(envelope(4_991, [wire('m4991')], { open: 4_990 }))
    await turns()
    expect(texts).toEqual(['m5000', 'm4990', 'm4991'])
  })

  test('a gap is skipped after 90 s with an event, and what comes late is parked, never taken for seen', async () => {
    const { receiver, send, events, parked } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(1, [wire('m1')]))
    await advance(89_000)
    expect(texts).toEqual([])
    await advance(2_000)
    expect(texts).toEqual(['m1'])
    expect(events[0]).toEqual([
      'skipped',
      { from: 'field/heh-0001', epoch: EPOCH, first: 0, last: 0, reason: 'time', alarm: true },
    ])
    const late = send(envelope(0, [wire('m0')]))
    await turns()
    expect(texts).toEqual(['m1'])
    expect(parked.map(p => p.body)).toEqual([late])
    expect(receiver.counts['late']).toBe(1)
  })

  test('the floor passes a gap at once, by an envelope without messages too', async () => {
    const { receiver, send, broker, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(2, [wire('m2')]))
    send(envelope(3, [], { floor: 2 }))
    await turns()
    expect(texts).toEqual(['m2'])
    expect(names()).toEqual(['skipped'])
    expect(broker.unacked.size).toBe(0)
  })

  test('a floor that jumps by 2^50 costs nothing', async () => {
    const { receiver, send } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const far = 2 ** 50
    send(envelope(0, [wire('m0')]))
    send(envelope(far, [wire('far')], { floor: far, open: far }))
    await turns()
    expect(texts).toEqual(['m0', 'far'])
  })

  test('a number however far away waits for those before it, and nothing is parked', async () => {
    const { receiver, send, parked, broker, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('m0')]))
    send(envelope(2 ** 50, [wire('far')]))
    await advance(89_000)
    expect(texts).toEqual(['m0'])
    await advance(2_000)
    expect(texts).toEqual(['m0', 'far'])
    expect(names()).toEqual(['skipped'])
    expect(parked).toEqual([])
    expect(broker.unacked.size).toBe(0)
  })

  test('one full envelope that comes late is waited for, however many full ones pass it', async () => {
    const { receiver, send, parked, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const batch = Array.from({ length: 1_024 }, (_, i) => wire(`m${i}`))
    for (let i = 1; i <= 10; i++) send(envelope(1_024 * i, batch))
    await turns()
    expect(texts).toEqual([])
    send(envelope(0, batch))
    await turns(150_000)
    expect(texts).toHaveLength(11 * 1_024)
    expect([names(), parked]).toEqual([[], []])
  })

  test('more than 65 536 messages held behind a gap skip it', async () => {
    const { receiver, send, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const batch = Array.from({ length: 1_024 }, () => wire('x'))
    for (let i = 0; i < 65; i++) send(envelope(1 + 1_024 * i, batch))
    await turns(20)
    expect(names()).toEqual(['skipped'])
    expect(texts.length).toBeGreaterThan(0)
  })

  test.each([
    ['upwards', 0, false],
    ['upwards behind a running handler', 0, true],
    ['far below its start', 2 ** 40, false],
  ])(
    'numbers scattered %s by one sender delay nobody else and fill no memory',
    async (_, open, held) => {
      vi.useRealTimers()
      const far = await scattered(open, held, 2_000)
      const near = await scattered(0, held, 1_024)
      expect(far.beyond).toBeLessThanOrEqual(3 * 4_096)
      expect(far.cpuMs).toBeLessThan(3 * near.cpuMs + 300)
      vi.useFakeTimers()
    },
    120_000,
  )

  /** How much work another's message waits for: 100 envelopes of one sender, all expired, at every `step`th number. */
  async function scattered(
    open: number,
    held: boolean,
    step: number,
  ): Promise<{ cpuMs: number; beyond: number }> {
    const memory = createMemorySeen(() => undefined)
    const noted: EpochRecord[] = []
    const { receiver, send } = rig({ seen: { ...memory, note: record => void noted.push(record) } })
    const other = new Promise<void>(resolve => {
      void receiver.start(delivery => {
        if (delivery.from?.address === 'other') resolve()
        return new Promise(() => undefined)
      })
    })
    await turns()
    const over = { createdAtMs: Date.now() - 5_000, ttlSeconds: 1 }
    const before = process.cpuUsage() // n.b. not the time of day: a busy machine must not fail the test
    if (held) send(envelope(0, [wire('runs')]))
    for (let i = 1; i <= 100; i++) {
      send(
        envelope(
          step * i,
          Array.from({ length: 1_024 }, () => wire('x', over)),
          { open },
        ),
      )
    }
    send(envelope(0, [wire('genuine')], { from: { ...HEH, address: 'other' } }))
    await other
    const { user, system } = process.cpuUsage(before)
    return { cpuMs: (user + system) / 1000, beyond: Math.max(...noted.map(({ beyond }) => beyond.length)) }
  }

  test('the next epoch waits for the end of the one that it follows', async () => {
    const { receiver, send } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('a0')]))
    send(envelope(0, [wire('b0')], { epoch: EPOCH2, predecessor: { epoch: EPOCH, lastSeq: 2 } }))
    send(envelope(2, [wire('a2')]))
    await advance(10_000)
    expect(texts).toEqual(['a0'])
    send(envelope(1, [wire('a1')]))
    await advance(200)
    expect(texts).toEqual(['a0', 'a1', 'a2', 'b0'])
  })

  test('a predecessor of which nothing is known is waited for only a moment', async () => {
    const { receiver, send } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('b0')], { epoch: EPOCH2, predecessor: { epoch: EPOCH, lastSeq: 2 } }))
    await advance(1_200)
    expect(texts).toEqual(['b0'])
  })
})

describe('what is held', () => {
  test('held messages that fill the prefetch get more credit', async () => {
    const { receiver, send, broker } = rig({ prefetch: 50 })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    for (let seq = 1; seq <= 50; seq++) send(envelope(seq, [wire(`m${seq}`)]))
    send(envelope(0, [wire('m0')]))
    await turns()
    expect(texts).toEqual([])
    await advance(1_000)
    expect(texts).toHaveLength(51)
    expect(texts[0]).toBe('m0')
    expect(broker.credit).toBe(100)
  })

  test('without a handler credit is bounded too', async () => {
    const { receiver, send, broker } = rig({ prefetch: 50 })
    await receiver.start()
    for (let seq = 0; seq < 1_000; seq++) send(envelope(seq, [wire('x')]))
    await advance(60_000)
    expect(broker.credit).toBe(400)
  })

  test('no gap is given up for the prefetch while bodies wait to be opened', async () => {
    const { receiver, send, broker, opener, names } = rig({ prefetch: 20 })
    const { texts, handler } = ledger()
    broker.elastic = false
    await receiver.start(handler)
    const first = envelope(0, [wire('m0')])
    const slow = (): Promise<Opened> => new Promise(resolve => setTimeout(() => resolve(first), 3_000))
    broker.deliver(opener.body(slow))
    for (let seq = 1; seq < 20; seq++) send(envelope(seq, [wire(`m${seq}`)]))
    await advance(4_000)
    expect(texts[0]).toBe('m0')
    expect([texts.length, names()]).toEqual([20, []])
  })

  test('where credit cannot be added the oldest gap is skipped', async () => {
    const { receiver, send, broker, events } = rig({ prefetch: 50 })
    const { texts, handler } = ledger()
    broker.elastic = false
    await receiver.start(handler)
    for (let seq = 1; seq <= 50; seq++) send(envelope(seq, [wire(`m${seq}`)]))
    await advance(1_000)
    expect(texts).toHaveLength(50)
    expect(events[0]?.[1]).toMatchObject({ reason: 'prefetch' })
  })

  test('one sender holds at most an eighth of the bytes', async () => {
    const { receiver, send, events } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    for (let seq = 1; seq <= 8; seq++) send(envelope(seq, [wire(`m${seq}`)]), 1024 * 1024)
    await turns()
    expect(texts[0]).toBe('m1')
    expect(events[0]?.[1]).toMatchObject({ reason: 'memory' })
  })
})

describe('deduplication', () => {
  test('the same content again is acknowledged and counted; other content under its number is parked', async () => {
    const { receiver, send, broker, parked } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const first = envelope(0, [wire('m0')])
    send(first)
    await turns()
    send(first)
    send(envelope(0, [wire('forged')]))
    await turns()
    expect(texts).toEqual(['m0'])
    expect(receiver.counts).toMatchObject({ duplicate: 1, conflict: 1, parked: 1 })
    expect(parked).toHaveLength(1)
    expect(broker.unacked.size).toBe(0)
  })

  test('a redelivery of a message whose handler runs joins it', async () => {
    const { receiver, send, broker } = rig()
    let runs = 0
    let finish = (): void => undefined
    await receiver.start(() => {
      runs += 1
      return new Promise<void>(resolve => {
        finish = resolve
      })
    })
    send(envelope(0, [wire('m0')]))
    await turns()
    broker.lose()
    await turns()
    expect(broker.unacked.size).toBe(1)
    finish()
    await turns()
    expect(runs).toBe(1)
    expect(broker.unacked.size).toBe(0)
  })

  test('a batch is acknowledged only when all of its messages are final', async () => {
    const { receiver, send, broker } = rig()
    const finish: (() => void)[] = []
    await receiver.start(() => new Promise<void>(resolve => finish.push(resolve)))
    send(envelope(0, [wire('m0'), wire('m1')]))
    await turns()
    finish[0]?.()
    await turns()
    expect(finish).toHaveLength(2)
    expect(broker.acked).toBe(0)
    finish[1]?.()
    await turns()
    expect(broker.acked).toBe(1)
  })

  test('a message is remembered before it is acknowledged', async () => {
    let remember = (): void => undefined
    const seen = {
      kind: 'file' as const,
      start: () => Promise.resolve({ epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: false }),
      check: () => undefined,
      transaction: <R>(run: (tx: undefined) => Promise<R>) => run(undefined),
      mark: () => new Promise<void>(resolve => (remember = resolve)),
      note: () => undefined,
      forget: () => undefined,
      time: () => undefined,
      close: () => Promise.resolve(),
    }
    const { receiver, send, broker } = rig({ seen })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('m0')]))
    await turns()
    expect(texts).toEqual(['m0'])
    expect(broker.acked).toBe(0)
    remember()
    await turns()
    expect(broker.acked).toBe(1)
  })

  test('a store that fails stops consuming; nothing more is acknowledged', async () => {
    const { receiver, send, broker, names } = rig({
      seen: {
        kind: 'file',
        start: () => Promise.resolve({ epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: true }),
        check: () => undefined,
        transaction: run => run(undefined),
        mark: () => Promise.reject(new SealbusError('store-failed', 'disk')),
        note: () => undefined,
        forget: () => undefined,
        time: () => undefined,
        close: () => Promise.resolve(),
      },
    })
    await receiver.start(() => undefined)
    send(envelope(0, [wire('m0')]))
    await turns()
    expect(names()).toEqual(['seen-lost', 'store-failed'])
    expect(receiver.state).toBe('failed')
    expect(broker.acked).toBe(0)
  })
})

describe('the handler', () => {
  test('that throws is run three times, then the original bytes are parked with the index, its neighbours handled', async () => {
    const { receiver, send, parked, broker, names } = rig()
    const texts: string[] = []
    await receiver.start(delivery => {
      texts.push(delivery.text())
      if (delivery.text() === 'bad') throw new TypeError('no')
    })
    const body = send(envelope(0, [wire('m0'), wire('bad'), wire('m2')]))
    await advance(2_000)
    expect(texts).toEqual(['m0', 'bad', 'bad', 'bad', 'm2'])
    expect(parked).toMatchObject([{ exchange: 'parked', to: 'tso', from: 'heh-0001', body, index: 1 }])
    expect(names()).toEqual(['handler-failed', 'failed', 'parked'])
    expect(broker.unacked.size).toBe(0)
  })

  test('lanes run in parallel up to the concurrency, one message of a lane at a time', async () => {
    const { receiver, send } = rig()
    let running = 0
    let most = 0
    await receiver.start(
      async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise(resolve => setTimeout(resolve, 10))
        running -= 1
      },
      { concurrency: 2 },
    )
    for (const epoch of ['aa', 'bb', 'cc']) {
      for (const seq of [0, 1]) send(envelope(seq, [wire('x')], { epoch: epoch.repeat(8) }))
    }
    await advance(15)
    expect(running).toBe(2)
    await advance(100)
    expect(receiver.counts['handled']).toBe(6)
    expect(most).toBe(2)
  })

  test('that hangs gets its signal, then its lane is halted; it is never run twice, others go on', async () => {
    const { receiver, send, names } = rig()
    const seen: string[] = []
    let signalled = false
    let finish = (): void => undefined
    await receiver.start(
      delivery => {
        seen.push(delivery.text())
        if (delivery.text() !== 'hang') return undefined
        delivery.signal.addEventListener('abort', () => (signalled = true))
        return new Promise<void>(resolve => (finish = resolve))
      },
      { timeoutMs: 1_000 },
    )
    const hanging = envelope(0, [wire('hang'), wire('after')])
    send(hanging)
    await advance(1_200)
    expect(signalled).toBe(true)
    await advance(5_000)
    expect(names()).toEqual(['lane-halted', 'unhealthy'])
    send(hanging)
    send(envelope(0, [wire('other')], { epoch: EPOCH2 }))
    await advance(60_000)
    expect(seen).toEqual(['hang', 'other'])
    finish()
    await advance(100)
    expect(seen).toEqual(['hang', 'other', 'after'])
    expect(names()).toContain('lane-resumed')
  })

  test('parking that is full halts the lane until it takes the body', async () => {
    let full = true
    const { receiver, send, broker, names } = rig({
      park: () => (full ? Promise.reject(new SealbusError('buffer-full', 'full')) : Promise.resolve()),
    })
    const texts: string[] = []
    await receiver.start(
      delivery => {
        texts.push(delivery.text())
        if (delivery.text() === 'bad') throw new Error('no')
      },
      { retries: 0 },
    )
    send(envelope(0, [wire('bad'), wire('m1')]))
    await advance(1_000)
    expect(texts).toEqual(['bad'])
    expect(names()).toContain('lane-halted')
    full = false
    await advance(31_000)
    expect(texts).toEqual(['bad', 'm1'])
    expect(broker.unacked.size).toBe(0)
  })

  test('that refuses many of a batch parks 16 of them alone, and one copy for all others', async () => {
    const { receiver, send, parked } = rig()
    const handler = (delivery: Delivery): void => {
      if (delivery.text() === 'bad') throw new Error('no')
    }
    await receiver.start(handler, { retries: 0 })
    send(
      envelope(
        0,
        Array.from({ length: 80 }, (_, i) => wire(i % 2 === 0 ? 'bad' : 'good')),
      ),
    )
    await turns(10_000)
    expect(receiver.counts['failed']).toBe(40)
    expect(parked.map(p => p.index)).toEqual([...Array.from({ length: 16 }, (_, i) => 2 * i), undefined])
  })

  test('sees no payload when a delivery is printed, and gets text, JSON, sender and dates', async () => {
    const { receiver, send } = rig()
    let delivery: Delivery | undefined
    await receiver.start(message => {
      delivery = message
    })
    send(envelope(0, [wire('{"secret":1}', { headers: { h: 'secret' }, correlationId: 'secret' })]))
    await turns()
    expect(delivery?.json()).toEqual({ secret: 1 })
    expect(delivery?.from).toEqual(HEH)
    expect(delivery?.expiresAt.getTime()).toBe(Number(delivery?.createdAt) + 3_600_000)
    expect(inspect(delivery) + JSON.stringify(delivery)).not.toContain('secret')
  })
})

describe('full parking', () => {
  const full = (): Promise<void> => Promise.reject(new SealbusError('buffer-full', 'full'))
  const other = { ...HEH, address: 'other' }
  const policy = { permit: (from: { address: string }) => (from.address === 'other' ? {} : undefined) }

  test('does not stop others for what is not permitted: that is acknowledged, loudly', async () => {
    const { receiver, send, broker } = rig({ park: full, policy, prefetch: 10 })
    broker.elastic = false
    const { texts, handler } = ledger()
    await receiver.start(handler)
    for (let seq = 0; seq < 20; seq++) send(envelope(seq, [wire('x')]))
    send(envelope(0, [wire('m0')], { from: other }))
    await advance(1_000)
    expect(texts).toEqual(['m0'])
    expect(receiver.counts).toMatchObject({ refused: 20, 'not-kept': 20 })
    expect(broker.unacked.size).toBe(0)
  })

  test('takes one copy of an envelope, however many of its messages are refused', async () => {
    const { receiver, send, parked } = rig({ policy })
    await receiver.start(() => undefined)
    const body = send(
      envelope(
        0,
        Array.from({ length: 1_024 }, () => wire('x')),
      ),
    )
    await turns()
    expect(parked).toMatchObject([{ body }])
    expect(receiver.counts['parked']).toBe(1_024)
  })

  test('is not met by late messages that are not permitted either', async () => {
    const { receiver, send, broker, names } = rig({ park: full, policy })
    await receiver.start(() => undefined)
    send(envelope(5, [], { floor: 5 }))
    send(envelope(0, [wire('x')]))
    await advance(1_000)
    expect(names()).toEqual(['skipped', 'refused', 'not-kept'])
    expect(broker.unacked.size).toBe(0)
  })

  test('does not keep the receiver from stopping at once', async () => {
    const { receiver, send, broker } = rig({ park: full })
    await receiver.start(() => Promise.reject(new Error('no')), { retries: 0 })
    send(envelope(0, [wire('bad')]))
    await advance(1_000)
    const stopping = receiver.stop({ timeoutMs: 20_000 })
    await advance(100)
    expect(await Promise.race([stopping, Promise.resolve('waits')])).toBe(1)
    expect(broker.queue).toHaveLength(1)
  })
})

describe('a lane that stands still', () => {
  test.each([true, false])('does not take the place of others (credit: %s)', async elastic => {
    const { receiver, send, broker, parked } = rig({ prefetch: 20 })
    broker.elastic = elastic
    const texts: string[] = []
    const handler = (delivery: Delivery): Promise<void> | undefined => {
      if (delivery.text() === 'hang') return new Promise(() => undefined)
      texts.push(delivery.text())
      return undefined
    }
    await receiver.start(handler, { timeoutMs: 1_000 })
    send(envelope(0, [wire('hang')]))
    for (let seq = 1; seq < 40; seq++) send(envelope(seq, [wire('behind')]))
    for (let seq = 0; seq < 5; seq++)
      send(envelope(seq, [wire('m')], { from: { ...HEH, address: 'other' }, epoch: EPOCH2 }))
    await advance(10_000)
    expect(texts).toHaveLength(5)
    expect(parked.length > 0).toBe(!elastic)
    expect(receiver.counts['displaced'] ?? 0).toBe(parked.length)
  })
})

describe('verdicts', () => {
  test('an expired message is acknowledged with an event and its number used up; the sender is told where it asked', async () => {
    const { receiver, send, broker, receipts, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const createdAtMs = Date.now() - 10_000
    send(envelope(0, [wire('old', { createdAtMs, ttlSeconds: 5, receiptWanted: true }), wire('m1')]))
    await turns()
    expect(texts).toEqual(['m1'])
    expect(names()).toEqual(['expired'])
    expect(receipts).toMatchObject([{ seq: 0, outcome: 'expired' }])
    expect(broker.unacked.size).toBe(0)
  })

  test('the own longest lifetime and the policy bound the age, whatever the sender says', async () => {
    const policy = { permit: () => ({ maxAgeMs: 900_000 }) }
    const { receiver, send, names } = rig({ policy, lifetimeMs: 500_000 })
    await receiver.start(() => undefined)
    send(envelope(0, [wire('a', { createdAtMs: Date.now() - 600_000, ttlSeconds: 86_400 })]))
    await turns()
    expect(names()).toEqual(['expired'])
  })

  test('what the policy does not allow is parked, and the sender learns nothing', async () => {
    const policy = {
      permit: (_f: unknown, _t: unknown, type: string) => (type === 'report' ? {} : undefined),
    }
    const { receiver, send, parked, receipts } = rig({ policy })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const bad = envelope(0, [wire('x', { type: 'activate', receiptWanted: true }), wire('m1')])
    send(bad)
    send(bad)
    await turns()
    expect(texts).toEqual(['m1'])
    expect(parked).toHaveLength(1)
    expect(receipts).toEqual([])
  })

  test('a receipt says handled, and is repeated for every duplicate', async () => {
    const { receiver, send, receipts } = rig()
    await receiver.start(() => undefined)
    const wanted = envelope(0, [wire('m0', { receiptWanted: true })])
    send(wanted)
    await turns()
    send(wanted)
    await turns()
    expect(receipts).toMatchObject([
      { epoch: EPOCH, seq: 0, outcome: 'handled', contentHash: wanted.contentHash },
      { epoch: EPOCH, seq: 0, outcome: 'handled' },
    ])
  })

  test('a receipt says only what is known of that very content', async () => {
    const policy = { permit: (_f: unknown, _t: unknown, type: string) => (type === 'no' ? undefined : {}) }
    const { receiver, send, receipts } = rig({ policy })
    await receiver.start(() => undefined)
    const asks = { receiptWanted: true }
    for (let seq = 0; seq < 100; seq++) send(envelope(seq, [wire('x')]))
    const refused = envelope(100, [wire('x', { ...asks, type: 'no' })])
    const receipt = envelope(101, [
      wire('', { ...asks, type: 'sealbus/receipt', payload: encodeReceipts([]) }),
    ])
    await turns(1_000)
    send(envelope(0, [wire('other content', asks)]))
    for (const twice of [refused, receipt, refused, receipt]) {
      send(twice)
      await turns()
    }
    expect(receiver.counts).toMatchObject({ handled: 100, refused: 1, duplicate: 3 })
    expect(receipts).toEqual([])
  })

  test('what waits is asked again before it is handed out', async () => {
    let isTrusted = true
    let isAllowed = true
    const policy = { permit: () => (isAllowed ? {} : undefined) }
    const { receiver, send, parked } = rig({ policy, stillTrusted: () => isTrusted })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(1, [wire('m1')]))
    isTrusted = false
    send(envelope(0, [wire('m0')]))
    await turns()
    isTrusted = true
    send(envelope(3, [wire('m3')]))
    isAllowed = false
    await advance(91_000)
    isAllowed = true
    send(envelope(4, [wire('m4')]))
    await turns()
    expect(texts).toEqual(['m4'])
    expect(receiver.counts['refused']).toBe(3)
    expect(parked).toHaveLength(3)
  })

  test('many unexpected receipts in one message raise one event; more than 1 024 are malformed', async () => {
    const { receiver, send, events, parked } = rig({ onReceipt: () => false })
    await receiver.start(() => undefined)
    const item = { epoch: EPOCH2, seq: 7, contentHash: 'ef'.repeat(32), outcome: 'handled' as const, atMs: 1 }
    const receiptsOf = (count: number): Uint8Array =>
      encodeReceipts(Array.from({ length: count }, () => item))
    send(envelope(0, [wire('', { type: 'sealbus/receipt', payload: receiptsOf(1_024) })]))
    expect(events).toMatchObject([['receipt-unexpected', { count: 1_024 }]])
    send(envelope(1, [wire('', { type: 'sealbus/receipt', payload: receiptsOf(1_025) })]))
    await turns()
    expect(receiver.counts).toMatchObject({ 'receipt-unexpected': 1, 'reserved-type': 1 })
    expect(parked).toHaveLength(1)
  })

  test('receipts and cards go to the bus itself; other reserved types and malformed receipts are parked', async () => {
    const { receiver, send, received, cards, parked } = rig({ policy: { permit: () => undefined } })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const receipt = {
      epoch: EPOCH2,
      seq: 7,
      contentHash: 'ef'.repeat(32),
      outcome: 'handled' as const,
      atMs: 1,
    }
    send(envelope(0, [wire('', { type: 'sealbus/receipt', payload: encodeReceipts([receipt]) })]))
    send(envelope(1, [wire('card', { type: 'sealbus/card' })]))
    send(envelope(2, [wire('x', { type: 'sealbus/new' }), wire('junk', { type: 'sealbus/receipt' })]))
    await turns()
    expect(received).toEqual([receipt])
    expect(cards).toHaveLength(1)
    expect(parked.map(p => p.index)).toEqual([undefined])
    expect(texts).toEqual([])
  })

  test('a reply resolves the request of that party alone, while a handler of its lane still runs', async () => {
    const { receiver, send, requests } = rig({
      policy: { permit: (_f, _t, type) => (type === 'ask' ? {} : undefined) },
    })
    const open = requests.open(HEH, 5_000)
    open.numbered({ epoch: EPOCH2, seq: 4 })
    const answers: string[] = []
    await receiver.start(async () => void answers.push((await open.reply).text()))
    send(envelope(0, [wire('question', { type: 'ask' })]))
    await turns()
    const stranger = { ...HEH, address: 'heh-0002' }
    send(envelope(0, [wire('forged', { inReplyTo: { epoch: EPOCH2, seq: 4 } })], { from: stranger }))
    send(envelope(1, [wire('answer', { inReplyTo: { epoch: EPOCH2, seq: 4 } })]))
    send(envelope(2, [wire('again', { inReplyTo: { epoch: EPOCH2, seq: 4 } })]))
    await turns()
    expect(answers).toEqual(['answer'])
    expect(receiver.counts).toMatchObject({ refused: 1, 'late-reply': 1 })
  })
})

describe('a body that does not open', () => {
  test('is parked, in bounds; beyond 1 000 it is acknowledged and counted', async () => {
    const { receiver, opener, broker, parked } = rig()
    await receiver.start(() => undefined)
    for (let i = 0; i < 1_010; i++) broker.deliver(opener.body(notOpened('bad-tag')))
    await turns(50)
    expect(parked).toHaveLength(1_000)
    expect(receiver.counts['not-kept']).toBe(10)
    expect(broker.unacked.size).toBe(0)
  })

  test('for want of a certificate is held, opened when that comes, and parked after 6 minutes', async () => {
    const { receiver, opener, broker, parked } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    let known = false
    const opened = envelope(0, [wire('m0')])
    broker.deliver(opener.body(() => (known ? opened : notOpened('unknown-certificate'))))
    broker.deliver(opener.body(notOpened('clock-ahead')))
    await advance(60_000)
    expect(texts).toEqual([])
    known = true
    receiver.recheck()
    await turns()
    expect(texts).toEqual(['m0'])
    expect(broker.unacked.size).toBe(1)
    await advance(305_000)
    expect(parked).toHaveLength(1)
    expect(broker.unacked.size).toBe(0)
  })

  test('of these 32 are held, and known senders have a share of their own', async () => {
    const { receiver, opener, broker, parked } = rig()
    await receiver.start(() => undefined)
    for (let i = 0; i < 38; i++) broker.deliver(opener.body(notOpened('unknown-certificate')))
    await turns()
    expect(parked).toHaveLength(6)
    for (let i = 0; i < 10; i++) broker.deliver(opener.body({ ...notOpened('clock-ahead'), from: HEH }))
    await turns()
    expect(parked).toHaveLength(8)
    expect(broker.unacked.size).toBe(32 + 8)
  })

  test('is bounded by who sent it, not by the reason', async () => {
    const { receiver, opener, broker, parked } = rig()
    await receiver.start(() => undefined)
    for (let i = 0; i < 1_010; i++) broker.deliver(opener.body(notOpened('malformed')))
    await turns(50)
    expect(parked).toHaveLength(1_000)
    for (let i = 0; i < 20; i++) broker.deliver(opener.body({ ...notOpened('clock-ahead'), from: HEH }))
    await advance(361_000)
    expect(parked).toHaveLength(1_020)
    expect(receiver.counts['not-kept']).toBe(10)
  })

  test('for a stale revocation list pauses consuming; nothing is parked, and order is kept when the list is fresh', async () => {
    const { receiver, opener, broker, parked, names } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    let stale = true
    for (const seq of [0, 1, 2]) {
      const opened = envelope(seq, [wire(`m${seq}`)])
      broker.deliver(opener.body(() => (stale ? notOpened('stale-revocation') : opened)))
    }
    await advance(10_000)
    expect(receiver.state).toBe('paused')
    expect(names()).toContain('paused')
    expect(broker.unacked.size).toBe(3)
    stale = false
    await advance(1_500)
    expect(receiver.state).toBe('running')
    expect(texts).toEqual(['m0', 'm1', 'm2'])
    expect(parked).toEqual([])
  })

  test('later, with an opener that waits, is opened in the end', async () => {
    const { receiver, opener, broker } = rig()
    const { texts, handler } = ledger()
    await receiver.start(handler)
    const opened = envelope(0, [wire('m0')])
    const slow = (): Promise<typeof opened> => new Promise(resolve => setTimeout(() => resolve(opened), 100))
    broker.deliver(opener.body(slow))
    await advance(200)
    expect(texts).toEqual(['m0'])
  })
})

describe('the end', () => {
  test('stop waits for the handler, acknowledges, and counts what was not finished', async () => {
    const { receiver, send, broker } = rig()
    const texts: string[] = []
    await receiver.start(async delivery => {
      await new Promise(resolve => setTimeout(resolve, 1_000))
      texts.push(delivery.text())
    })
    send(envelope(0, [wire('m0')]))
    send(envelope(1, [wire('m1')]))
    await turns()
    const stopping = receiver.stop({ timeoutMs: 5_000, graceMs: 5_000 })
    await advance(2_000)
    expect(await stopping).toBe(1)
    expect(texts).toEqual(['m0'])
    expect(broker.acked).toBe(1)
    expect(broker.queue).toHaveLength(1)
    await expect(receiver.start(() => undefined)).rejects.toMatchObject({ code: 'closed' })
  })

  test('stop fires the signals, and a handler that gives up leaves its message to the broker', async () => {
    const { receiver, send, broker, parked } = rig()
    await receiver.start(
      delivery =>
        new Promise((_, reject) =>
          delivery.signal.addEventListener('abort', () => reject(new Error('given up'))),
        ),
    )
    send(envelope(0, [wire('m0')]))
    await turns()
    const stopping = receiver.stop()
    await advance(100)
    expect(await stopping).toBe(1)
    expect(parked).toEqual([])
    expect(broker.queue).toHaveLength(1)
  })

  test('a handler that does not heed its signal is said to hang 5 s later; its message is left to the broker', async () => {
    const { receiver, send, broker, names } = rig()
    await receiver.start(() => new Promise(() => undefined))
    send(envelope(0, [wire('m0')]))
    await turns()
    const stopping = receiver.stop({ timeoutMs: 10_000, graceMs: 1_000 })
    await advance(5_900)
    expect(names()).toEqual([])
    await advance(5_000)
    expect(names()).toEqual(['lane-halted', 'unhealthy'])
    expect(await stopping).toBe(1)
    expect([broker.acked, broker.queue.length]).toEqual([0, 1])
  })

  test('stop does not wait for a consumer that cannot be made in an outage', async () => {
    let asked: AbortSignal | undefined
    const transport: ReceiverOptions['transport'] = {
      consume: (_, { signal }) => {
        asked = signal
        return new Promise(() => undefined)
      },
    }
    const { receiver } = rig({ transport })
    const starting = receiver.start(() => undefined)
    await turns()
    const stopping = receiver.stop({ timeoutMs: 500 })
    await expect(starting).rejects.toMatchObject({ code: 'closed' })
    expect(await stopping).toBe(0)
    expect(asked?.aborted).toBe(true)
  })

  test('without a handler replies are taken and the rest waits for one', async () => {
    const { receiver, send, broker } = rig()
    const { texts, handler } = ledger()
    await receiver.start()
    send(envelope(0, [wire('m0')]))
    await advance(500)
    expect(broker.unacked.size).toBe(1)
    await receiver.start(handler)
    await turns()
    expect(texts).toEqual(['m0'])
  })

  test('options out of range are refused by name', async () => {
    await expect(rig().receiver.start(() => undefined, { concurrency: 0 })).rejects.toThrow(
      /concurrency: expected 1\.\.1024, got 0/,
    )
  })
})
