import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SendResult } from '../../src/bus.js'
import type { LeftLane, Outbox, OutboxRecord, Stored } from '../../src/reliability/outbox.js'
import {
  type FakeChannel,
  type Flight,
  fakeSealer,
  hub,
  other,
  type Rig,
  rig,
  wire,
} from './sending-fixture.js'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const tick = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

/** Follows a send without failing the test when it rejects. */
function watch(promise: Promise<SendResult>): { result?: SendResult; error?: Error & { code?: string } } {
  const seen: { result?: SendResult; error?: Error & { code?: string } } = {}
  promise.then(
    result => {
      seen.result = result
    },
    (error: unknown) => {
      seen.error = error as Error
    },
  )
  return seen
}

async function sendAll({ sender }: Rig, ...texts: string[]): Promise<ReturnType<typeof watch>[]> {
  const sends = []
  for (const text of texts) {
    sends.push(watch(sender.send(hub, wire(text))))
    await tick() // each in an envelope of its own, while the window has room
  }
  return sends
}

const texts = (flights: readonly Flight[]): string[] => flights.map(({ sealed }) => sealed.texts.join('+'))
const confirmAll = (flights: readonly Flight[]): void => {
  for (const flight of flights) flight.answer('confirmed')
}

function at<T>(items: readonly T[], index: number): T {
  const item = items.at(index)
  if (item === undefined) throw new Error(`nothing at ${index}`)
  return item
}

describe('natural batching', () => {
  it('sends a message at rest at once, and resolves with its number when it is confirmed', async () => {
    const { sender, transport } = rig()
    const sent = watch(sender.send(hub, wire('a')))
    await tick()
    expect(texts(transport.flights)).toEqual(['a'])
    expect(sent.result).toBeUndefined()
    at(transport.flights, 0).answer('confirmed')
    await tick()
    expect(sent.result).toMatchObject({ state: 'confirmed', seq: 0 })
    expect(sent.result?.epoch).toMatch(/^[0-9a-f]{16}$/)
  })

  it('keeps at most two envelopes of reports in flight; what is sent meanwhile shares the next', async () => {
    const it = rig()
    const sends = await sendAll(it, 'a', 'b', 'c', 'd', 'e')
    expect(texts(it.transport.flights)).toEqual(['a', 'b'])
    at(it.transport.flights, 0).answer('confirmed')
    await tick()
    expect(texts(it.transport.flights)).toEqual(['a', 'b', 'c+d+e'])
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sends.map(({ result }) => result?.seq)).toEqual([0, 1, 2, 3, 4])
  })

  it('keeps four envelopes of commands in flight', async () => {
    const { sender, transport } = rig()
    for (const text of ['a', 'b', 'c', 'd', 'e']) {
      watch(sender.send(hub, wire(text), { priority: 'command' }))
      await tick()
    }
    expect(texts(transport.flights)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('puts no more into an envelope than the body limit and 1 024 messages allow', async () => {
    const { sender, transport, sealer } = rig()
    transport.script = flight => flight.answer('confirmed')
    const sends = Array.from({ length: 3000 }, (_, i) => sender.send(hub, wire(String(i))))
    sealer.bodyLimit = 1_000_000
    await tick()
    await Promise.all(sends)
    expect(transport.flights.map(({ sealed }) => sealed.texts.length)).toEqual([1024, 1024, 952])
    sealer.bodyLimit = 350
    watch(sender.send(hub, wire('x'.repeat(100))))
    watch(sender.send(hub, wire('y'.repeat(100))))
    watch(sender.send(hub, wire('z'.repeat(100))))
    await tick()
    expect(transport.flights.slice(3).map(({ sealed }) => sealed.texts.length)).toEqual([2, 1])
  })

  it('pumps commands before reports before back-fill', async () => {
    const { sender, transport } = rig()
    watch(sender.send(hub, wire('old'), { priority: 'backfill' }))
    watch(sender.send(hub, wire('report')))
    watch(sender.send(hub, wire('now'), { priority: 'command' }))
    await tick()
    expect(texts(transport.flights)).toEqual(['now', 'report', 'old'])
  })

  it('says the number before any byte leaves', async () => {
    const { sender, transport } = rig()
    const order: string[] = []
    transport.script = () => order.push('published')
    watch(sender.send(hub, wire('a'), { onNumbered: ({ seq }) => order.push(`number ${seq}`) }))
    await tick()
    expect(order).toEqual(['number 0', 'published'])
  })
})

describe('introducing', () => {
  it('carries chain and card until an envelope with them is confirmed, and again after 5 minutes', async () => {
    const it = rig()
    await sendAll(it, 'a', 'b')
    confirmAll(it.transport.inFlight)
    await sendAll(it, 'c')
    confirmAll(it.transport.inFlight)
    await tick(300_000)
    await sendAll(it, 'd')
    expect(it.transport.flights.map(({ sealed }) => sealed.introduce)).toEqual([true, true, false, true])
  })

  it('carries them again when our certificate is another, and when it is asked for', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    await sendAll(it, 'a', 'b')
    it.sealer.fingerprint = 'f1'
    await sendAll(it, 'c', 'd')
    await it.sender.send(hub, wire('e'), { introduce: true })
    expect(it.transport.flights.map(({ sealed }) => sealed.introduce)).toEqual([
      true,
      false,
      true,
      false,
      true,
    ])
  })
})

describe('a lost channel', () => {
  it('sends all that is unconfirmed again, the same bytes in order, before anything new', async () => {
    const it = rig()
    const sends = await sendAll(it, 'a', 'b', 'c')
    const first = at(it.transport.channels, 0)
    first.die()
    await tick()
    expect(texts(it.transport.inFlight)).toEqual(['a', 'b'])
    const [a1, b1, a2, b2] = it.transport.flights
    expect(a2?.publication.body).toBe(a1?.publication.body)
    expect(b2?.publication.messageId).toBe(b1?.publication.messageId)
    confirmAll(it.transport.inFlight)
    await tick()
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sends.map(({ result }) => result?.seq)).toEqual([0, 1, 2])
    expect(it.sealer.seals).toBe(3)
  })

  it('counts no late confirm of a dead channel', async () => {
    const it = rig()
    const [a, b] = await sendAll(it, 'a', 'b')
    const [flightA, flightB] = it.transport.flights
    flightB?.fail(new Error('socket gone'))
    await tick()
    flightA?.answer('confirmed')
    await tick()
    expect(a?.result).toBeUndefined()
    expect(texts(it.transport.flights)).toEqual(['a', 'b', 'a', 'b'])
    confirmAll(it.transport.inFlight)
    await tick()
    expect([a?.result?.seq, b?.result?.seq]).toEqual([0, 1])
  })

  it('gathers what is sent while there is no connection into one envelope', async () => {
    const it = rig()
    it.transport.become('connecting')
    await sendAll(it, 'a', 'b', 'c')
    expect(it.transport.flights).toHaveLength(0)
    it.transport.become('ready')
    await tick()
    expect(texts(it.transport.flights)).toEqual(['a+b+c'])
  })
})

describe('a nack', () => {
  it('stops its lane, sends the head alone on a fresh channel after 50 to 100 ms, and moves the lane there', async () => {
    const it = rig()
    const sends = await sendAll(it, 'a', 'b', 'c')
    for (const flight of it.transport.inFlight) flight.answer('nacked')
    await tick(74)
    expect(it.transport.inFlight).toHaveLength(0)
    await tick(2)
    expect(texts(it.transport.inFlight)).toEqual(['a'])
    const fresh = at(it.transport.flights, -1).channel
    expect(fresh.kind).toBe('fresh')
    confirmAll(it.transport.inFlight)
    await tick()
    expect(it.transport.inFlight.map(({ channel }) => channel)).toEqual([fresh, fresh])
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sends.map(({ result }) => result?.seq)).toEqual([0, 1, 2])
  })

  it('leaves other lanes on their channel', async () => {
    const it = rig()
    await sendAll(it, 'a')
    at(it.transport.flights, 0).answer('nacked')
    await tick()
    watch(it.sender.send(other, wire('x')))
    await tick()
    expect(texts(it.transport.inFlight)).toEqual(['x'])
    expect(at(it.transport.inFlight, 0).channel.kind).toBe('shared')
  })

  it('doubles the pause while the head is nacked again, to 1 s, after 10 s to 5 s, without an end', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('nacked')
    const [sent] = await sendAll(it, 'a')
    const times: number[] = []
    it.transport.script = flight => {
      times.push(Date.now())
      flight.answer('nacked')
    }
    await tick(60_000)
    const gaps = times.map((time, i) => time - (times[i - 1] ?? time)).slice(1)
    const long = gaps.indexOf(3750)
    expect(gaps.slice(0, 4)).toEqual([150, 300, 600, 750])
    expect(gaps.slice(3, long).every(gap => gap === 750)).toBe(true)
    expect(gaps.slice(long).every(gap => gap === 3750)).toBe(true)
    expect(gaps.slice(0, long).reduce((sum, gap) => sum + gap, 0)).toBeGreaterThan(9_900)
    expect(gaps.slice(long).length).toBeGreaterThan(10)
    it.transport.script = flight => flight.answer('confirmed')
    await tick(5000)
    expect(sent?.result?.seq).toBe(0)
  })

  it('counts confirms on the old, living channel; when they are all in, the lane flows there', async () => {
    const it = rig()
    const sends = await sendAll(it, 'a', 'b')
    at(it.transport.flights, 1).answer('nacked')
    await tick(100)
    expect(texts(it.transport.flights)).toEqual(['a', 'b']) // a may still be answered
    at(it.transport.flights, 0).answer('confirmed')
    await tick(100)
    expect(texts(it.transport.flights)).toEqual(['a', 'b', 'b'])
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sends.map(({ result }) => result?.seq)).toEqual([0, 1])
    expect(at(it.transport.flights, 2).sealed.open).toBe(0)
  })
})

describe('a returned message', () => {
  it('waits for the inbox, then goes on', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('returned')
    const [sent] = await sendAll(it, 'a')
    await tick(20_000)
    it.transport.script = flight => flight.answer('confirmed')
    await tick(5000)
    expect(sent?.result?.seq).toBe(0)
  })

  it('rejects as unroutable after 30 s, with all that waits in the lane; its number is not used again', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('returned')
    const [first, second] = await sendAll(it, 'a', 'b')
    await tick(29_900)
    expect(first?.error).toBeUndefined()
    await tick(200)
    expect([first?.error?.code, second?.error?.code]).toEqual(['unroutable', 'unroutable'])
    it.transport.script = flight => flight.answer('confirmed')
    const [next] = await sendAll(it, 'c')
    expect(next?.result?.seq).toBeGreaterThanOrEqual(1)
    const last = at(it.transport.flights, -1).sealed
    expect(last.floor).toBe(last.seq)
    expect(it.sender.usage().messages).toBe(0)
  })
})

describe('poison', () => {
  it('goes one at a time on an isolated channel; alone in flight at two deaths it is quarantined', async () => {
    const it = rig()
    const poison = (flight: Flight): void => {
      if (flight.sealed.texts.includes('poison')) flight.channel.die('broker-refused')
      else if (flight.channel.kind !== 'shared') flight.answer('confirmed')
    }
    it.transport.script = flight => {
      if (it.transport.flights.length === 2) poison(flight)
    }
    const innocent = watch(it.sender.send(other, wire('innocent')))
    const bad = watch(it.sender.send(hub, wire('poison')))
    await tick()
    it.transport.script = poison
    await tick(1000)
    expect(innocent.result?.seq).toBe(0)
    expect(bad.error?.code).toBe('quarantined')
    expect(it.events.map(({ event }) => event)).toContain('quarantined')
    const next = watch(it.sender.send(hub, wire('good')))
    it.transport.script = flight => flight.answer('confirmed')
    await tick(1000)
    expect(next.result?.seq).toBe(1)
    expect(at(it.transport.flights, -1).sealed).toMatchObject({ seq: 1, floor: 1, open: 1 })
    expect(at(it.transport.flights, -1).channel.kind).toBe('shared')
  })

  it('is not blamed on what was lost with the connection', async () => {
    const it = rig()
    const [sent] = await sendAll(it, 'a')
    for (let i = 0; i < 5; i++) {
      at(it.transport.inFlight, 0).channel.die()
      await tick()
    }
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sent?.result?.seq).toBe(0)
  })
})

describe('a missing permission', () => {
  it('quarantines nothing; the lane waits, and tries at once when the state heals', async () => {
    const it = rig()
    it.transport.script = flight => flight.channel.die('unauthorised')
    const [sent] = await sendAll(it, 'a')
    await tick(60_000)
    expect(sent).toEqual({})
    it.transport.script = flight => flight.answer('confirmed')
    it.transport.become('unauthorised')
    it.transport.become('ready')
    await tick()
    expect(sent?.result?.seq).toBe(0)
  })

  it('stops only the lane it is about: innocents prove themselves on a channel of their own', async () => {
    const it = rig()
    it.transport.script = flight => {
      if (flight.sealed.to === hub.address) flight.channel.die('unauthorised')
      else if (flight.channel.kind === 'isolated') flight.answer('confirmed')
    }
    const innocent = watch(it.sender.send(other, wire('x')))
    watch(it.sender.send(hub, wire('a')))
    await tick(200)
    expect(innocent.result?.seq).toBe(0)
    it.transport.script = flight => flight.answer('confirmed')
    const next = watch(it.sender.send(other, wire('y')))
    await tick()
    expect(next.result?.seq).toBe(1)
  })
})

describe('expiry', () => {
  it('rejects a message that waits unsealed at its moment', async () => {
    const it = rig()
    it.transport.become('connecting')
    const sent = watch(it.sender.send(hub, wire('a', { ttlSeconds: 2 })))
    await tick(1990)
    expect(sent.error).toBeUndefined()
    await tick(50)
    expect(sent.error?.code).toBe('message-expired')
    it.transport.become('ready')
    await tick()
    expect(it.transport.flights).toHaveLength(0)
    expect(it.sender.usage()).toMatchObject({ messages: 0, bytes: 0, activeLanes: 0 })
  })

  it('gives up an envelope none of whose messages is valid, raises the floor, and says so in a notice', async () => {
    const it = rig()
    const a = watch(it.sender.send(hub, wire('a', { ttlSeconds: 2 })))
    await tick()
    const b = watch(it.sender.send(hub, wire('b')))
    await tick()
    for (const flight of it.transport.inFlight) flight.answer('nacked')
    it.transport.script = flight => {
      if (!flight.sealed.texts.includes('a')) flight.answer('confirmed')
    }
    await tick(2100)
    await tick(2000)
    expect(a.error?.code).toBe('message-expired')
    expect(b.result?.seq).toBe(1)
    expect(at(it.transport.flights, -1).sealed).toMatchObject({ texts: [], seq: 2, floor: 1, open: 2 })
    expect(it.events.map(({ event }) => event)).toContain('expired')
    expect(it.outbox.usage()).toEqual({ records: 0, bytes: 0 })
  })

  it('needs no notice when another envelope carries the floor', async () => {
    const it = rig()
    watch(it.sender.send(hub, wire('a', { ttlSeconds: 2 })))
    await tick()
    watch(it.sender.send(hub, wire('b')))
    await tick()
    watch(it.sender.send(hub, wire('c')))
    await tick(2100)
    expect(texts(it.transport.flights)).toEqual(['a', 'b', 'c'])
    expect(at(it.transport.flights, 2).sealed).toMatchObject({ seq: 2, floor: 1, open: 1 })
    confirmAll(it.transport.inFlight)
    await tick(1000)
    expect(it.transport.flights).toHaveLength(3)
  })

  it('raises the floor only once everything below is settled, never by a confirmation', async () => {
    const it = rig()
    watch(it.sender.send(hub, wire('a')))
    await tick()
    watch(it.sender.send(hub, wire('b', { ttlSeconds: 2 })))
    await tick(2100)
    watch(it.sender.send(hub, wire('c')))
    await tick()
    expect(at(it.transport.flights, -1).sealed).toMatchObject({ seq: 2, floor: 0, open: 0 })
    confirmAll(it.transport.inFlight)
    await tick()
    expect(at(it.transport.flights, -1).sealed).toMatchObject({ texts: [], floor: 2, open: 3 })
  })

  it('sends an envelope while one of its messages is valid; the others reject at their moment', async () => {
    const it = rig()
    const short = watch(it.sender.send(hub, wire('a', { ttlSeconds: 1 })))
    const long = watch(it.sender.send(hub, wire('b')))
    await tick()
    at(it.transport.channels, 0).die()
    await tick(1100)
    expect(short.error?.code).toBe('message-expired')
    confirmAll(it.transport.inFlight)
    await tick()
    expect(long.result?.seq).toBe(1)
  })
})

describe('an envelope without an answer', () => {
  it('goes out on a fresh channel after 3 s, though its channel lives', async () => {
    const it = rig()
    const [sent] = await sendAll(it, 'a')
    await tick(2_900)
    expect(it.transport.flights).toHaveLength(1)
    await tick(200)
    expect(it.transport.flights.map(({ channel }) => channel.kind)).toEqual(['shared', 'fresh'])
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sent?.result?.seq).toBe(0)
  })

  it('goes there after 1 s where the broker has answered at once so far', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    for (let i = 0; i < 32; i++) await sendAll(it, `${i}`)
    it.transport.script = () => undefined
    await sendAll(it, 'stuck')
    await tick(900)
    expect(it.transport.flights).toHaveLength(33)
    await tick(200)
    expect(at(it.transport.flights, 33).channel.kind).toBe('fresh')
  })

  it('goes alone, ever more seldom, while it gets no answer there either', async () => {
    const it = rig()
    await sendAll(it, 'a', 'b')
    await tick(60_000)
    const copies = it.transport.flights.length
    expect(copies).toBeGreaterThan(5)
    expect(copies).toBeLessThan(20)
    expect(new Set(texts(it.transport.flights.slice(2)))).toEqual(new Set(['a']))
  })

  it('keeps waiting while the broker blocks, and for as long again afterwards', async () => {
    const it = rig()
    await sendAll(it, 'a')
    it.transport.become('blocked')
    await tick(120_000)
    expect(it.transport.flights).toHaveLength(1)
    it.transport.become('ready')
    await tick(2_900)
    expect(it.transport.flights).toHaveLength(1)
    await tick(1_200)
    expect(it.transport.flights).toHaveLength(2)
  })
})

describe('back-pressure', () => {
  it('writes nothing while the socket is full', async () => {
    const it = rig()
    let open: () => void = () => undefined
    it.transport.blockedWrite = new Promise(resolve => {
      open = resolve
    })
    await sendAll(it, 'a', 'b')
    expect(it.transport.flights).toHaveLength(0)
    it.transport.blockedWrite = undefined
    open()
    await tick()
    expect(texts(it.transport.flights)).toEqual(['a+b'])
  })

  it('lets sends wait when the bound is reached, in order, and rejects what is droppable', async () => {
    const it = rig({ limits: { messages: 8 } })
    const parties = Array.from({ length: 8 }, (_, i) => ({ domain: 'field', address: `heh-${i}` }))
    for (const party of parties) watch(it.sender.send(party, wire('x')))
    const late = watch(it.sender.send(hub, wire('late')))
    const dropped = watch(it.sender.send(hub, wire('drop'), { droppable: true }))
    await tick()
    expect(dropped.error?.code).toBe('buffer-full')
    expect(it.sender.usage()).toMatchObject({ messages: 8, waiting: 1 })
    expect(it.transport.flights).toHaveLength(8)
    at(it.transport.flights, 0).answer('confirmed')
    await tick()
    expect(texts(it.transport.inFlight)).toContain('late')
    confirmAll(it.transport.inFlight)
    await tick()
    expect(late.result?.state).toBe('confirmed')
    expect(it.sender.usage()).toMatchObject({ messages: 0, bytes: 0, waiting: 0 })
  })

  it('does not let one stuck lane keep others from sending', async () => {
    const it = rig({ limits: { messages: 80 } })
    for (let i = 0; i < 80; i++) watch(it.sender.send(hub, wire(String(i))))
    await tick()
    expect(it.sender.usage().messages).toBe(10)
    const free = watch(it.sender.send(other, wire('x')))
    await tick()
    it.transport.flights.find(({ sealed }) => sealed.to === other.address)?.answer('confirmed')
    await tick()
    expect(free.result?.seq).toBe(0)
  })

  it('rejects when as many wait outside as fit inside', async () => {
    const it = rig({ limits: { messages: 8 } })
    const sends = Array.from({ length: 10 }, (_, i) => watch(it.sender.send(hub, wire(String(i)))))
    await tick()
    expect(sends.map(({ error }) => error?.code)).toEqual([...Array<undefined>(9), 'buffer-full'])
  })

  it('has at most 256 envelopes in flight on a channel, and takes the next as confirms come', async () => {
    const it = rig()
    for (let i = 0; i < 300; i++) watch(it.sender.send({ domain: 'field', address: `h-${i}` }, wire('x')))
    await tick()
    expect(it.transport.inFlight).toHaveLength(256)
    confirmAll(it.transport.inFlight.slice(0, 10))
    await tick()
    expect(it.transport.flights).toHaveLength(266)
  })
})

describe('aborting', () => {
  it('rejects with the reason while the message is not sealed, and it never leaves', async () => {
    const it = rig()
    it.transport.become('connecting')
    const abort = new AbortController()
    const sent = watch(it.sender.send(hub, wire('a'), { signal: abort.signal }))
    await tick()
    abort.abort(new Error('changed my mind'))
    it.transport.become('ready')
    await tick()
    expect(sent.error?.message).toBe('changed my mind')
    expect(it.transport.flights).toHaveLength(0)
    expect(it.sender.usage().activeLanes).toBe(0)
  })

  it('rejects with outcome-unknown once it is sealed; the message goes on', async () => {
    const it = rig()
    const abort = new AbortController()
    const sent = watch(it.sender.send(hub, wire('a'), { signal: abort.signal }))
    await tick()
    abort.abort()
    await tick()
    expect(sent.error?.code).toBe('outcome-unknown')
    confirmAll(it.transport.inFlight)
    await tick()
    expect(it.sender.usage().messages).toBe(0)
  })

  it('takes nothing whose signal has fired already', async () => {
    const it = rig()
    const sent = watch(it.sender.send(hub, wire('a'), { signal: AbortSignal.abort(new Error('no')) }))
    await tick()
    expect(sent.error?.message).toBe('no')
    expect(it.sender.usage().messages).toBe(0)
  })
})

describe("until 'handled'", () => {
  const item = (it: Rig, outcome: 'handled' | 'parked' | 'expired' = 'handled') => {
    const { epoch, seq } = at(it.transport.flights, 0).sealed
    return { epoch, seq, outcome }
  }

  it('resolves with the receipt of that party, and releases the bytes', async () => {
    const it = rig()
    const sent = watch(it.sender.send(hub, wire('a'), { until: 'handled' }))
    await tick()
    confirmAll(it.transport.inFlight)
    await tick()
    expect(sent.result).toBeUndefined()
    expect(it.outbox.usage().records).toBe(1)
    expect(it.sender.handled(other, item(it))).toBe(false)
    expect(it.sender.handled(hub, { ...item(it), contentHash: 'ff' })).toBe(false)
    expect(it.sender.handled(hub, item(it))).toBe(true)
    expect(it.sender.handled(hub, item(it))).toBe(false)
    await tick()
    expect(sent.result?.state).toBe('handled')
    expect(it.outbox.usage().records).toBe(0)
    expect(it.sender.usage()).toMatchObject({ messages: 0, awaitingReceipt: 0 })
  })

  it('takes a receipt that is faster than the confirm', async () => {
    const it = rig()
    const sent = watch(it.sender.send(hub, wire('a'), { until: 'handled' }))
    await tick()
    expect(it.sender.handled(hub, item(it))).toBe(true)
    await tick()
    expect(sent.result?.state).toBe('handled')
    confirmAll(it.transport.inFlight)
    await tick()
    expect(it.sender.usage()).toMatchObject({ messages: 0, awaitingReceipt: 0 })
  })

  it('rejects when the receipt says parked or expired', async () => {
    for (const [outcome, code] of [
      ['parked', 'not-handled'],
      ['expired', 'message-expired'],
    ] as const) {
      const it = rig()
      const sent = watch(it.sender.send(hub, wire('a'), { until: 'handled' }))
      await tick()
      confirmAll(it.transport.inFlight)
      it.sender.handled(hub, item(it, outcome))
      await tick()
      expect(sent.error?.code).toBe(code)
    }
  })

  it('sends the same bytes again while no receipt comes, and rejects when the message is over', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    const sent = watch(it.sender.send(hub, wire('a', { ttlSeconds: 100 }), { until: 'handled' }))
    await tick(99_000)
    expect(it.transport.flights.length).toBeGreaterThanOrEqual(3)
    expect(new Set(it.transport.flights.map(({ publication }) => publication.body)).size).toBe(1)
    expect(sent.error).toBeUndefined()
    await tick(1100)
    expect(sent.error?.code).toBe('message-expired')
    expect(it.events.map(({ event }) => event)).toContain('unacknowledged')
    expect(it.outbox.usage().records).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keeps the bytes for a transient inbox though the send has resolved', async () => {
    const it = rig({ sealer: fakeSealer({ inbox: 'transient' }) })
    it.transport.script = flight => flight.answer('confirmed')
    const [sent] = await sendAll(it, 'a')
    expect(sent?.result?.state).toBe('confirmed')
    expect(it.sender.usage().awaitingReceipt).toBe(1)
    it.sender.handled(hub, item(it))
    expect(it.sender.usage()).toMatchObject({ awaitingReceipt: 0, messages: 0 })
  })
})

describe('what may not be sent', () => {
  it.each([
    ['unknown-recipient', { domain: 'field', address: 'nobody' }, {}, {}],
    ['not-permitted', hub, { type: 'forbidden' }, {}],
    ['message-expired', hub, { createdAtMs: 0, ttlSeconds: 1 }, {}],
    ['payload-too-large', hub, { payload: new Uint8Array(9900) }, {}],
    ['configuration', hub, {}, { until: 'stored' as const }],
  ])('rejects at once: %s', async (code, to, fields, options) => {
    const it = rig()
    await expect(it.sender.send(to, wire('a', fields), options)).rejects.toMatchObject({ code })
    expect(it.sender.usage()).toMatchObject({ messages: 0, lanes: 0 })
  })

  it('asks no policy for a reply to a request that it allowed', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    await it.sender.send(hub, wire('a', { type: 'forbidden' }), { permitted: true })
  })

  it('rejects what a policy calls too old', async () => {
    const it = rig({ policy: { permit: () => ({ maxAgeMs: 1000 }) } })
    const old = wire('a', { createdAtMs: Date.now() - 1500 })
    await expect(it.sender.send(hub, old)).rejects.toMatchObject({ code: 'message-expired' })
  })
})

describe('system messages', () => {
  it('travel in a lane of their own and never reject', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    await sendAll(it, 'a')
    it.sender.sendSystem(hub, wire('receipt', { type: 'sealbus/receipt' }))
    it.sender.sendSystem({ domain: 'field', address: 'nobody' }, wire('receipt', { type: 'sealbus/receipt' }))
    await tick()
    const [report, receipt] = it.transport.flights
    expect(receipt?.sealed.epoch).not.toBe(report?.sealed.epoch)
    expect(it.events.map(({ event }) => event)).toEqual(['system-message-dropped'])
  })
})

describe('rest', () => {
  it('costs no timer, however many lanes there are', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    const parties = Array.from({ length: 10_000 }, (_, i) => ({ domain: 'field', address: `heh-${i}` }))
    await Promise.all(parties.map(party => it.sender.send(party, wire('x'))).concat(tick() as never))
    expect(it.sender.usage()).toMatchObject({ lanes: 10_000, activeLanes: 0, inFlight: 0, messages: 0 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keeps the epoch of a lane for as long as the process lives', async () => {
    const it = rig()
    it.transport.script = flight => flight.answer('confirmed')
    const [first] = await sendAll(it, 'a')
    await tick(86_400_000)
    const [second] = await sendAll(it, 'b')
    expect(second?.result).toMatchObject({ epoch: first?.result?.epoch, seq: 1 })
  })
})

describe('closing', () => {
  it('drain waits for the confirms and closes; nothing new is taken', async () => {
    const it = rig()
    const [sent] = await sendAll(it, 'a')
    const drained = it.sender.drain()
    await expect(it.sender.send(hub, wire('b'))).rejects.toMatchObject({ code: 'closed' })
    confirmAll(it.transport.inFlight)
    await tick()
    expect(await drained).toBe(0)
    expect(sent?.result?.seq).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('drain gives up at its deadline and says how many messages are left', async () => {
    const it = rig()
    const [sent] = await sendAll(it, 'a', 'b', 'c')
    const drained = it.sender.drain({ timeoutMs: 500 })
    await tick(500)
    expect(await drained).toBe(3)
    expect(sent?.error?.code).toBe('outcome-unknown')
  })

  it('close rejects what may have left as unknown, the rest as closed; calling it twice is the same', async () => {
    const it = rig()
    const [a, , c] = await sendAll(it, 'a', 'b', 'c')
    const kept = watch(it.sender.send(other, wire('k'), { until: 'handled' }))
    await tick()
    at(it.transport.flights, -1).answer('confirmed')
    await tick()
    expect(await it.sender.close()).toBe(3)
    expect(await it.sender.close()).toBe(3)
    expect([a?.error?.code, c?.error?.code, kept.error?.code]).toEqual([
      'outcome-unknown',
      'closed',
      'outcome-unknown',
    ])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a durable outbox', () => {
  function durable(
    left: LeftLane[] = [],
    bodies: [Stored, Uint8Array][] = [],
  ): Outbox & { puts: { record: OutboxRecord; done(): void; fail(e: Error): void }[] } {
    const kept = new Map<Stored, Uint8Array>(bodies)
    const outbox = {
      durable: true,
      whenFull: 'wait' as const,
      ageMs: Number.POSITIVE_INFINITY,
      room: () => Number.POSITIVE_INFINITY,
      read: (stored: readonly Stored[]) =>
        Promise.resolve(stored.map(each => kept.get(each) ?? new Uint8Array())),
      droppable: () => [],
      announced: () => undefined,
      puts: [] as { record: OutboxRecord; done(): void; fail(e: Error): void }[],
      start: () => Promise.resolve(left),
      put: (record: OutboxRecord) =>
        new Promise<Stored>((resolve, reject) => {
          const done = (): void => {
            const stored = { ...record, bytes: record.body.length }
            kept.set(stored, record.body)
            resolve(stored)
          }
          outbox.puts.push({ record, done, fail: reject })
        }),
      remove: (stored: Stored) => void kept.delete(stored),
      predecessor: () => (left.length > 0 ? { epoch: '0123456789abcdef', lastSeq: 6 } : undefined),
      usage: () => ({ records: kept.size, bytes: 0 }),
      close: () => Promise.resolve(),
    }
    return outbox
  }

  it('publishes nothing before it is stored, and resolves a send then', async () => {
    const outbox = durable()
    const it = rig({ outbox })
    const [sent] = await sendAll(it, 'a')
    expect(it.transport.flights).toHaveLength(0)
    at(outbox.puts, 0).done()
    await tick()
    expect(sent?.result).toMatchObject({ state: 'stored', seq: 0 })
    expect(texts(it.transport.inFlight)).toEqual(['a'])
  })

  it('stores while there is no connection, and sends in order afterwards', async () => {
    const outbox = durable()
    const it = rig({ outbox })
    it.transport.become('connecting')
    for (const text of ['a', 'b', 'c', 'd']) {
      await sendAll(it, text)
      at(outbox.puts, -1).done()
      await tick()
    }
    it.transport.script = flight => flight.answer('confirmed')
    it.transport.become('ready')
    await tick()
    expect(texts(it.transport.flights)).toEqual(['a', 'b', 'c', 'd'])
    expect(outbox.usage().records).toBe(0)
  })

  it('sends what a former life left first, under its old numbers; the new epoch names it', async () => {
    const record = (seq: number, texts: string[]): [Stored, Uint8Array] => {
      const body = new Uint8Array(Buffer.from(JSON.stringify({ to: hub.address, seq, texts })))
      const stored = {
        id: String(seq).padStart(32, '0'),
        seq,
        count: texts.length,
        floor: 0,
        bytes: body.length,
        expiresAtMs: Date.now() + 10_000,
        untilHandled: false,
        droppable: false,
      }
      return [stored, body]
    }
    const records = [record(4, ['x']), record(5, ['y', 'z'])]
    const left = {
      to: hub,
      priority: 'report' as const,
      epoch: '0123456789abcdef',
      floor: 0,
      announcedFloor: 0,
      overEnds: [],
      next: 7,
      stored: records.map(([stored]) => stored),
    }
    const outbox = durable([left], records)
    const it = rig({ outbox })
    await it.sender.start()
    await sendAll(it, 'new')
    at(outbox.puts, 0).done()
    await tick()
    expect(texts(it.transport.inFlight)).toEqual(['x', 'y+z'])
    confirmAll(it.transport.inFlight)
    await tick()
    expect(texts(it.transport.inFlight)).toEqual(['new'])
    expect(at(it.transport.inFlight, 0).sealed).toMatchObject({ seq: 0, predecessor: { lastSeq: 6 } })
  })

  it('rejects the sends of an envelope that could not be stored', async () => {
    const outbox = durable()
    const it = rig({ outbox })
    const [sent] = await sendAll(it, 'a')
    at(outbox.puts, 0).fail(new Error('disk on fire'))
    await tick()
    expect(sent?.error?.message).toBe('disk on fire')
    expect(it.transport.flights).toHaveLength(0)
  })
})

describe('channels', () => {
  it('a fresh channel is given back when its lane has left it and its confirms are in', async () => {
    const it = rig()
    await sendAll(it, 'a')
    at(it.transport.flights, 0).answer('nacked')
    await tick(100)
    at(it.transport.flights, 1).answer('nacked')
    await tick(200)
    const [, first] = it.transport.channels as [FakeChannel, FakeChannel]
    expect(first.kind).toBe('fresh')
    expect(first.released).toBe(1)
  })
})
