import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createMemorySeen } from '../../src/reliability/memory-seen.js'
import { envelope, ledger, rig, turns, wire } from '../support/receiving.js'

const HOUR_MS = 3_600_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe.each([
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
])('a clock that jumps an hour %s', (_, jumpMs) => {
  test('gives no gap up, stops no handler and repeats nothing; order is kept', async () => {
    const { receiver, send, broker, names } = rig()
    const texts: string[] = []
    let signalled = false
    await receiver.start(
      async delivery => {
        delivery.signal.addEventListener('abort', () => (signalled = true))
        if (delivery.text() === 'm0') await new Promise(resolve => setTimeout(resolve, 500))
        texts.push(delivery.text())
      },
      { timeoutMs: 1_000 },
    )
    const long = { createdAtMs: Date.now(), ttlSeconds: 4 * 3600 }
    const first = envelope(0, [wire('m0', long)])
    send(first)
    send(envelope(2, [wire('m2', long)]))
    await advance(100)
    vi.setSystemTime(Date.now() + jumpMs)
    await advance(10_000)
    expect([texts, signalled, names()]).toEqual([['m0'], false, []])
    send(first)
    send(envelope(1, [wire('m1', long)]))
    await advance(100)
    expect(texts).toEqual(['m0', 'm1', 'm2'])
    expect(names()).toEqual(['duplicate'])
    expect(broker.unacked.size).toBe(0)
  })
})

describe('a clock that is set back', () => {
  test('does not revive mail that had expired, in this life or the next', async () => {
    let highestTimeMs = 0
    const memory = createMemorySeen(() => undefined)
    const store = {
      ...memory,
      start: async () => ({ ...(await memory.start()), highestTimeMs }),
      time: (ms: number) => (highestTimeMs = ms),
    }
    const withheld = wire('old', { ttlSeconds: 60 })
    await advance(10 * 60_000)
    for (const life of ['this', 'next']) {
      const { receiver, send, names } = rig({ seen: store })
      const { texts, handler } = ledger()
      await receiver.start(handler)
      if (life === 'this') send(envelope(0, [wire('m0')]))
      vi.setSystemTime(Date.now() - HOUR_MS)
      send(envelope(1, [withheld], { open: 1 }))
      await turns()
      expect([names(), texts]).toEqual([['expired'], life === 'this' ? ['m0'] : []])
      await receiver.stop()
    }
  })
})

describe('an event loop that was blocked', () => {
  test('counts against no handler: its limit is time in which it could have worked', async () => {
    vi.useRealTimers()
    const { receiver, send, broker, names } = rig()
    let signalled = false
    await receiver.start(
      async delivery => {
        delivery.signal.addEventListener('abort', () => (signalled = true))
        await new Promise(resolve => setTimeout(resolve, 50))
      },
      { timeoutMs: 1_000 },
    )
    send(envelope(0, [wire('m0')]))
    send(envelope(2, [wire('m2')]))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000) // blocks the thread
    await new Promise(resolve => setTimeout(resolve, 300))
    expect([signalled, names(), broker.acked]).toEqual([false, [], 1])
    await receiver.stop()
  })
})
