/**
 * Throughput and latency, from entries in the order of time. What it keeps grows with what is under way, never with how
 * long the run was: a message is forgotten once it has been confirmed and handled.
 */
import type { Entry, LaneName } from './ledger.js'
import type { Latency, Timeline } from './report-model.js'
import { binAt, binsOf, type Range } from './timeline-range.js'

/** A message on its way. */
interface Underway {
  readonly sentAt: number
  settled: boolean
  handled: boolean
}

export class SeriesMaker {
  readonly #range: Range
  readonly #counts: Record<'sent' | 'resolved' | 'handled', number[]>
  readonly #resolve: LatencyMaker
  readonly #handle: LatencyMaker
  readonly #underway = new Map<LaneName, Map<number, Underway>>()

  constructor(range: Range) {
    this.#range = range
    const zeros = (): number[] => new Array<number>(binsOf(range)).fill(0)
    this.#counts = { sent: zeros(), resolved: zeros(), handled: zeros() }
    this.#resolve = new LatencyMaker(binsOf(range))
    this.#handle = new LatencyMaker(binsOf(range))
  }

  take(entry: Entry): void {
    if (entry.kind === 'sent') this.#sent(entry)
    else if (entry.kind === 'resolved') this.#resolved(entry)
    else if (entry.kind === 'handled') this.#handled(entry)
    else if (entry.kind === 'rejected') this.#change(entry, { settled: true })
  }

  finish(): Pick<Timeline, 'sent' | 'resolved' | 'handled' | 'resolveLatency' | 'handleLatency'> {
    return {
      ...this.#counts,
      resolveLatency: this.#resolve.finish(),
      handleLatency: this.#handle.finish(),
    }
  }

  #sent({ lane, n, t }: { lane: LaneName; n: number; t: number }): void {
    this.#count('sent', t)
    const numbers = this.#underway.get(lane) ?? new Map<number, Underway>()
    numbers.set(n, { sentAt: t, settled: false, handled: false })
    this.#underway.set(lane, numbers)
  }

  #resolved(entry: { lane: LaneName; n: number; t: number }): void {
    this.#count('resolved', entry.t)
    const message = this.#change(entry, { settled: true })
    if (message !== undefined) this.#resolve.add(binAt(this.#range, entry.t), entry.t - message.sentAt)
  }

  #handled(entry: { lane: LaneName; n: number; t: number }): void {
    this.#count('handled', entry.t)
    const first = this.#underway.get(entry.lane)?.get(entry.n)?.handled === false
    const message = this.#change(entry, { handled: true })
    if (message !== undefined && first)
      this.#handle.add(binAt(this.#range, entry.t), entry.t - message.sentAt)
  }

  #count(kind: 'sent' | 'resolved' | 'handled', t: number): void {
    const bin = binAt(this.#range, t)
    this.#counts[kind][bin] = (this.#counts[kind][bin] ?? 0) + 1
  }

  #change({ lane, n }: { lane: LaneName; n: number }, change: Partial<Underway>): Underway | undefined {
    const message = this.#underway.get(lane)?.get(n)
    if (message === undefined) return undefined
    Object.assign(message, change)
    if (message.settled && message.handled) this.#underway.get(lane)?.delete(n)
    return message
  }
}

/** Percentiles of each bin. A bin is summed up, and its values let go, once a later one has been reached. */
class LatencyMaker {
  readonly #p50: (number | null)[]
  readonly #p99: (number | null)[]
  readonly #open = new Map<number, number[]>()

  constructor(bins: number) {
    this.#p50 = new Array<number | null>(bins).fill(null)
    this.#p99 = new Array<number | null>(bins).fill(null)
  }

  add(bin: number, ms: number): void {
    const values = this.#open.get(bin)
    if (values !== undefined) {
      values.push(ms)
      return
    }
    this.#sumUp()
    this.#open.set(bin, [ms])
  }

  finish(): Latency {
    this.#sumUp()
    return { p50: this.#p50, p99: this.#p99 }
  }

  #sumUp(): void {
    for (const [bin, values] of this.#open) {
      values.sort((a, b) => a - b)
      this.#p50[bin] = percentile(values, 0.5)
      this.#p99[bin] = percentile(values, 0.99)
    }
    this.#open.clear()
  }
}

/** Nearest rank. @param sorted - rising, at least one */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}
