/** The time that a timeline shows, cut into bins: as fine as 100 ms, and never so many that a chart becomes noise. */
import type { Entry } from './ledger.js'

/** Ms since the epoch, and the width of a bin. */
export interface Range {
  readonly from: number
  readonly to: number
  readonly binMs: number
}

const MOST_BINS = 400
const WIDTHS_MS: readonly number[] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000]

/** @throws RangeError unless `from` ≤ `to` */
export function rangeOf(from: number, to: number): Range {
  if (!(from <= to)) throw new RangeError(`timeline: expected from ≤ to, got ${from} and ${to}`)
  const binMs =
    WIDTHS_MS.find(width => (to - from) / width <= MOST_BINS) ?? Math.ceil((to - from) / MOST_BINS)
  return { from, to, binMs }
}

/** From the first entry to the last; nothing at all is a range of no length. */
export function rangeOfEntries(entries: readonly Entry[]): Range {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { t } of entries) {
    from = Math.min(from, t)
    to = Math.max(to, t)
  }
  return from <= to ? rangeOf(from, to) : rangeOf(0, 0)
}

/** At least one. */
export function binsOf({ from, to, binMs }: Range): number {
  return Math.floor((to - from) / binMs) + 1
}

/** The bin that a time falls into; times outside count for the first or the last. */
export function binAt(range: Range, t: number): number {
  const bin = Math.floor((t - range.from) / range.binMs)
  return Math.min(Math.max(bin, 0), binsOf(range) - 1)
}
