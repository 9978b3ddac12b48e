/**
 * The longest stretches in which a lane that sends had no confirm, or no delivery. Bounded: the longest of each part of the run
 * are kept, so that one outage of all lanes does not hide the others.
 */
import type { Entry, LaneName } from './ledger.js'
import type { Silence } from './report-model.js'
import type { Range } from './timeline-range.js'

const LEAST_MS = 200
const PARTS = 50
const KEPT_OF_A_PART = 6 // of each series

interface LaneTimes {
  lastSent: number
  confirms: number
  deliveries: number
}

export class SilencesMaker {
  readonly #range: Range
  readonly #lanes = new Map<LaneName, LaneTimes>()
  /** By series and part, longest first. */
  readonly #longest = new Map<string, Silence[]>()

  constructor(range: Range) {
    this.#range = range
  }

  take(entry: Entry): void {
    if (entry.kind === 'sent') this.#sent(entry.lane, entry.t)
    else if (entry.kind === 'resolved') this.#heard(entry.lane, 'confirms', entry.t)
    else if (entry.kind === 'handled') this.#heard(entry.lane, 'deliveries', entry.t)
  }

  /** @returns longest first */
  finish(): Silence[] {
    for (const [lane, { lastSent, confirms, deliveries }] of this.#lanes) {
      this.#note(lane, 'confirms', confirms, lastSent) // n.b. a silence after the last send is none
      this.#note(lane, 'deliveries', deliveries, lastSent)
    }
    return [...this.#longest.values()].flat().sort(longestFirst)
  }

  #sent(lane: LaneName, t: number): void {
    const times = this.#lanes.get(lane)
    if (times === undefined) this.#lanes.set(lane, { lastSent: t, confirms: t, deliveries: t })
    else times.lastSent = t
  }

  #heard(lane: LaneName, series: Silence['series'], t: number): void {
    const times = this.#lanes.get(lane)
    if (times === undefined) return
    this.#note(lane, series, times[series], t)
    times[series] = t
  }

  #note(lane: LaneName, series: Silence['series'], from: number, to: number): void {
    if (to - from < LEAST_MS) return
    const silence = { lane, series, fromMs: from - this.#range.from, toMs: to - this.#range.from }
    const part = Math.floor((PARTS * silence.toMs) / Math.max(this.#range.to - this.#range.from, 1))
    const key = `${series} ${part}`
    const kept = [...(this.#longest.get(key) ?? []), silence].sort(longestFirst)
    this.#longest.set(key, kept.slice(0, KEPT_OF_A_PART))
  }
}

function longestFirst(a: Silence, b: Silence): number {
  return b.toMs - b.fromMs - (a.toMs - a.fromMs)
}
