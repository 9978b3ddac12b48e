/** The longest stretches in which a lane that sends had no confirm, or no delivery. Keeps a bounded number of them. */
import type { Entry, LaneName } from './ledger.js'
import type { Silence } from './report-model.js'
import type { Range } from './timeline-range.js'

const LEAST_MS = 200
const KEPT = 200

interface LaneTimes {
  lastSent: number
  confirms: number
  deliveries: number
}

export class SilencesMaker {
  readonly #range: Range
  readonly #lanes = new Map<LaneName, LaneTimes>()
  #found: Silence[] = []

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
    this.#prune()
    return this.#found
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
    this.#found.push({ lane, series, fromMs: from - this.#range.from, toMs: to - this.#range.from })
    if (this.#found.length >= 2 * KEPT) this.#prune()
  }

  #prune(): void {
    const ms = ({ fromMs, toMs }: Silence): number => toMs - fromMs
    this.#found = this.#found.sort((a, b) => ms(b) - ms(a)).slice(0, KEPT)
  }
}
