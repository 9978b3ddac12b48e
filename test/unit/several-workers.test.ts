/** Two receivers of one inbox and one memory: what a worker does with what the other has done. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Opened } from '../../src/crypto/sealing.js'
import { EPOCH, envelope, ledger, type Rig, rig, ScriptedOpener, turns, wire } from '../support/receiving.js'
import { SharedMemory } from '../support/shared-memory.js'

beforeEach(() => void vi.useFakeTimers({ now: Date.now() }))
afterEach(() => void vi.useRealTimers())

const KEY = { domain: 'field', address: 'heh-0001', epoch: EPOCH }

/** Two workers, each with a queue of its own, that open the same bodies. */
function workers(memory = new SharedMemory()): { a: Rig; b: Rig; memory: SharedMemory } {
  const opener = new ScriptedOpener()
  const worker = (): Rig => rig({ seen: memory.worker() }, { opener })
  return { a: worker(), b: worker(), memory }
}

const message = (seq: number, over: Partial<Opened> = {}): Opened =>
  envelope(seq, [wire(String(seq), { receiptWanted: true })], over)

/** The body of an envelope that either may get. */
function body(to: Rig, opened: Opened): Uint8Array {
  return to.opener.body(opened)
}

async function later(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms)
}

describe('a worker that takes over', () => {
  test('goes on where the other was, without waiting for numbers that the other has handled', async () => {
    const { a, b } = workers()
    const [first, second] = [ledger(), ledger()]
    await a.receiver.start(first.handler)
    for (let seq = 0; seq < 5; seq++) a.send(message(seq))
    await later(50)
    a.broker.cut()
    await b.receiver.start(second.handler)
    b.send(message(6, { open: 3 }))
    b.send(message(5, { open: 3 }))
    await later(200)
    expect(first.texts).toEqual(['0', '1', '2', '3', '4'])
    expect(second.texts).toEqual(['5', '6'])
  })

  test('handles nothing twice that the other has handled and not acknowledged, and repeats the receipt', async () => {
    const { a, b } = workers()
    const [first, second] = [ledger(), ledger()]
    await a.receiver.start(first.handler)
    const copy = body(a, message(0))
    a.broker.deliver(copy)
    await later(50)
    await b.receiver.start(second.handler)
    b.broker.deliver(copy)
    await later(50)
    expect([first.texts, second.texts]).toEqual([['0'], []])
    expect(b.receipts).toMatchObject([{ seq: 0, outcome: 'handled' }])
    expect(b.broker.acked).toBe(1)
  })

  test('that had the role before, learns what was done meanwhile', async () => {
    const { a, b } = workers()
    const [first, second] = [ledger(), ledger()]
    await a.receiver.start(first.handler)
    a.send(message(0))
    await later(50)
    a.broker.lose()
    await b.receiver.start(second.handler)
    for (let seq = 1; seq < 4; seq++) b.send(message(seq))
    await later(50)
    b.broker.cut()
    a.send(message(4))
    await later(200)
    expect([first.texts, second.texts]).toEqual([
      ['0', '4'],
      ['1', '2', '3'],
    ])
  })

  test('before the other has finished, gets its turn as soon as the other has, in order', async () => {
    const { a, b } = workers()
    const done: string[] = []
    let finish = (): void => undefined
    await a.receiver.start(async delivery => {
      await new Promise<void>(resolve => {
        finish = resolve
      })
      done.push(`a${delivery.text()}`)
    })
    const copy = body(a, message(0))
    a.broker.deliver(copy)
    await later(50)
    await b.receiver.start(delivery => void done.push(`b${delivery.text()}`))
    b.broker.deliver(copy)
    b.send(message(1))
    await later(1_000)
    expect(done).toEqual([])
    finish()
    await later(100)
    expect(done).toEqual(['a0', 'b1'])
    expect(b.receipts).toMatchObject([
      { seq: 0, outcome: 'handled' },
      { seq: 1, outcome: 'handled' },
    ])
  })

  test('from one that is dead in its handler, handles that message', async () => {
    const { a, b, memory } = workers()
    const second = ledger()
    await a.receiver.start(() => new Promise(() => undefined))
    const copy = body(a, message(0))
    a.broker.deliver(copy)
    await later(50)
    await b.receiver.start(second.handler)
    b.broker.deliver(copy)
    await later(500)
    expect(second.texts).toEqual([])
    memory.bury(1)
    await later(50)
    expect(second.texts).toEqual(['0'])
  })
})

describe('copies at two workers at once', () => {
  test('are handled by one of them, in order, and acknowledged by both', async () => {
    const { a, b } = workers()
    const handled: string[] = []
    const handler = async (delivery: { text(): string }): Promise<void> => {
      await new Promise(resolve => setTimeout(resolve, Math.random() * 5))
      handled.push(delivery.text())
    }
    await a.receiver.start(handler)
    await b.receiver.start(handler)
    const numbers = Array.from({ length: 40 }, (_, seq) => seq)
    for (const seq of numbers) {
      const copy = body(a, message(seq))
      a.broker.deliver(copy)
      b.broker.deliver(copy)
    }
    await later(2_000)
    expect(handled).toEqual(numbers.map(String))
    expect([a.broker.acked, b.broker.acked]).toEqual([40, 40])
  })

  test('with other content: the second is parked as a conflict', async () => {
    const { a, b } = workers()
    const second = ledger()
    await a.receiver.start(ledger().handler)
    await b.receiver.start(second.handler)
    const [one, other] = [body(a, message(0)), body(a, message(0))]
    a.broker.deliver(one)
    b.broker.deliver(other)
    await later(200)
    expect(second.texts).toEqual([])
    expect(b.names()).toContain('conflict')
    expect(b.parked).toHaveLength(1)
    expect(b.broker.acked).toBe(1)
  })

  test('of a number that the other has skipped: it is late', async () => {
    const { a, b } = workers()
    const second = ledger()
    await a.receiver.start(ledger().handler)
    await b.receiver.start(second.handler)
    const late = body(a, message(1))
    b.send(message(0))
    await later(10)
    a.send(message(2))
    await later(91_000)
    expect(a.names()).toContain('skipped')
    b.broker.deliver(late)
    await later(100)
    expect(second.texts).toEqual(['0'])
    expect(b.names()).toContain('late')
  })
})

describe('a channel that is lost', () => {
  test('takes what waits out of hand, and what a handler then fails at is not parked', async () => {
    const { a } = workers()
    let runs = 0
    await a.receiver.start(
      delivery =>
        new Promise((_, reject) => {
          runs += 1
          delivery.signal.addEventListener('abort', () => reject(new Error('told to stop')))
        }),
      { retries: 0 },
    )
    const copy = body(a, message(0))
    a.broker.deliver(copy)
    await later(10)
    for (let i = 0; i < 3; i++) {
      a.broker.lose()
      await later(200)
    }
    expect(runs).toBe(4)
    expect(a.parked).toEqual([])
    expect(a.names()).not.toContain('failed')
  })
})

describe('a store in trouble', () => {
  test('is told as it says, and gets what is known where it was lost', async () => {
    const { a, memory } = workers()
    await a.receiver.start(ledger().handler)
    a.send(message(0))
    await later(50)
    const [hooks] = memory.hooks
    const noted = memory.noted
    hooks?.waiting(new Error('no answer'))
    hooks?.resumed()
    hooks?.lost()
    hooks?.overtaken(KEY, 0)
    expect(a.names()).toEqual(
      expect.arrayContaining(['store-waiting', 'store-resumed', 'seen-lost', 'overtaken']),
    )
    expect(memory.noted).toBe(noted + 1)
  })

  test('an envelope is not judged before its epoch was asked for', async () => {
    const memory = new SharedMemory()
    const store = memory.worker()
    let answer = (): void => undefined
    const recall: typeof store.recall = () =>
      new Promise(resolve => {
        answer = () => resolve({ record: undefined, closedBefore: undefined })
      })
    const a = rig({ seen: { ...store, recall } })
    const { texts, handler } = ledger()
    await a.receiver.start(handler)
    a.send(message(0))
    a.send(message(1))
    await later(1_000)
    expect(texts).toEqual([])
    answer()
    await turns()
    expect(texts).toEqual(['0', '1'])
  })

  test('a gap is one open question while there is no answer', async () => {
    const store = new SharedMemory().worker()
    let asked = 0
    const recall: typeof store.recall = () => {
      asked += 1
      return asked === 1
        ? Promise.resolve({ record: undefined, closedBefore: undefined })
        : new Promise(() => undefined)
    }
    const a = rig({ seen: { ...store, recall } })
    await a.receiver.start(ledger().handler)
    a.send(message(0))
    a.send(message(2))
    await later(20_000)
    expect(asked).toBe(2)
  })
})
