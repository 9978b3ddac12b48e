/** The law of the sending half: whatever the broker says, in whatever order, nothing is lost, doubled in number or stuck. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Flight, hub, rig, wire } from './sending-fixture.js'

type Word = 'confirmed' | 'nacked' | 'returned' | 'lost' | 'kept-and-lost' | 'late' | 'refused'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

/** What a receiver sees: envelopes as they enter the inbox, put in order by number, floor and open. */
class ModelReceiver {
  readonly arrivals: number[] = []
  readonly handled: number[] = []
  readonly texts: string[] = []
  readonly #held = new Map<number, string>()
  #next = 0

  arrive({ sealed }: Flight): void {
    expect(sealed.floor).toBeLessThanOrEqual(sealed.open)
    expect(sealed.open).toBeLessThanOrEqual(sealed.seq)
    this.#next = Math.max(this.#next, sealed.floor)
    sealed.texts.forEach((text, i) => {
      const seq = sealed.seq + i
      if (!this.arrivals.includes(seq)) this.arrivals.push(seq)
      if (seq >= this.#next) this.#held.set(seq, text)
    })
    for (let text = this.#held.get(this.#next); text !== undefined; text = this.#held.get(this.#next)) {
      this.#held.delete(this.#next)
      this.handled.push(this.#next++)
      this.texts.push(text)
    }
  }

  get held(): number {
    return [...this.#held.keys()].filter(seq => seq >= this.#next).length
  }
}

function play(flight: Flight, word: Word, inbox: ModelReceiver): void {
  if (flight.answered || !flight.channel.open) return
  if (word === 'confirmed' || word === 'late' || word === 'kept-and-lost') inbox.arrive(flight)
  if (word === 'confirmed' || word === 'nacked' || word === 'returned') flight.answer(word)
  else if (word === 'late') setTimeout(() => flight.answer('confirmed'), 700)
  else flight.channel.die(word === 'refused' ? 'broker-refused' : 'connection-lost')
}

interface Run {
  readonly inbox: ModelReceiver
  readonly resolved: { seq: number; text: string }[]
  readonly rejected: unknown[]
  readonly sent: number
  readonly usage: object
}

/** `words` are what the broker says, one after the other; afterwards it confirms everything. */
async function run(words: readonly Word[], pauses: readonly number[], ttlSeconds: number): Promise<Run> {
  const { sender, transport } = rig()
  const inbox = new ModelReceiver()
  const script = [...words]
  transport.script = flight => {
    setTimeout(() => play(flight, script.shift() ?? 'confirmed', inbox), 3)
  }
  const resolved: Run['resolved'] = []
  const rejected: unknown[] = []
  for (const [i, pause] of pauses.entries()) {
    const text = `m${i}`
    const options = { priority: 'command' as const }
    sender.send(hub, wire(text, { ttlSeconds }), options).then(
      ({ seq }) => resolved.push({ seq, text }),
      (error: unknown) => rejected.push(error),
    )
    await vi.advanceTimersByTimeAsync(pause)
  }
  await vi.advanceTimersByTimeAsync(600_000)
  return { inbox, resolved, rejected, sent: pauses.length, usage: sender.usage() }
}

const pauses = fc.array(fc.constantFrom(0, 0, 1, 5, 200), { minLength: 1, maxLength: 20 })
const rest = { messages: 0, bytes: 0, waiting: 0, inFlight: 0, activeLanes: 0 }

describe('whatever the broker says', () => {
  it('every number arrives, is put in order, and its send resolves; nothing pends', async () => {
    const words = fc.array(
      fc.constantFrom<Word>('confirmed', 'nacked', 'returned', 'lost', 'kept-and-lost', 'late'),
      {
        maxLength: 30,
      },
    )
    await fc.assert(
      fc.asyncProperty(words, pauses, async (script, gaps) => {
        const { inbox, resolved, rejected, sent, usage } = await run(script, gaps, 86_400)
        expect(rejected).toEqual([])
        expect(inbox.handled).toEqual(Array.from({ length: sent }, (_, i) => i))
        expect(inbox.texts).toEqual(Array.from({ length: sent }, (_, i) => `m${i}`))
        expect(resolved.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(inbox.handled)
        expect(resolved.every(({ seq, text }) => inbox.texts[seq] === text)).toBe(true)
        expect(usage).toMatchObject(rest)
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 150 },
    )
  })

  it('where it only confirms and loses channels, first arrivals are in order', async () => {
    const words = fc.array(fc.constantFrom<Word>('confirmed', 'lost', 'kept-and-lost'), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(words, pauses, async (script, gaps) => {
        const { inbox } = await run(script, gaps, 86_400)
        expect(inbox.arrivals).toEqual([...inbox.arrivals].sort((a, b) => a - b))
      }),
      { numRuns: 100 },
    )
  })

  it('where messages expire or are poison, every send settles, what resolved has arrived, and no gap holds the rest', async () => {
    const words = fc.array(
      fc.constantFrom<Word>('confirmed', 'nacked', 'returned', 'lost', 'refused', 'kept-and-lost'),
      {
        maxLength: 60,
      },
    )
    await fc.assert(
      fc.asyncProperty(words, pauses, async (script, gaps) => {
        const { inbox, resolved, rejected, sent, usage } = await run(script, gaps, 1)
        expect(resolved.length + rejected.length).toBe(sent)
        for (const { seq } of resolved) expect(inbox.arrivals).toContain(seq)
        expect(inbox.held).toBe(0)
        expect(inbox.handled).toEqual([...inbox.handled].sort((a, b) => a - b))
        expect(usage).toMatchObject(rest)
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 150 },
    )
  })
})
