/**
 * What grows in processes that live long: memory, open resources, timers, listeners.
 *
 * A heap goes up and down with its collector, a socket count with every fault, so it is the floor that is looked at: the lowest
 * value of each of many windows, after a time to warm up. A slope whose whole 95 % interval is above the limit is growth; one
 * whose interval is below it is flat; in between the run was too short to tell.
 */
import type { Entry, MemorySample } from './ledger.js'
import { type Point, type Trend, trendOf } from './soak-trend.js'

export type Measure = 'resident memory' | 'heap' | 'open resources' | 'timers' | 'listeners'

/** One measure of one process. */
export interface Growth extends Trend {
  readonly process: string
  readonly measure: Measure
  /** Slopes are per hour; in MiB for memory, else in pieces. */
  readonly limit: number
  readonly first: number
  readonly last: number
  readonly verdict: 'flat' | 'grows' | 'too short to tell'
}

const HOUR_MS = 3_600_000
const MIB = 2 ** 20
const LEAST_WINDOWS = 8
const MOST_WINDOWS = 60
const LEAST_WINDOW_MS = 10_000 // several collections of the young heap, and the end of most faults

/** What may be had of a sample, and how much it may rise in an hour. */
const MEASURES: readonly {
  readonly measure: Measure
  readonly limit: number
  readonly of: (sample: MemorySample) => number | undefined
}[] = [
  { measure: 'resident memory', limit: 32, of: ({ rssBytes }) => rssBytes / MIB },
  { measure: 'heap', limit: 8, of: ({ heapBytes }) => heapBytes / MIB },
  { measure: 'open resources', limit: 30, of: ({ resources }) => resources && openOf(resources) },
  { measure: 'timers', limit: 30, of: ({ resources }) => resources && (resources['Timeout'] ?? 0) },
  { measure: 'listeners', limit: 30, of: ({ listeners }) => listeners },
]

/** Ms since the epoch. */
export interface GrowthTime {
  /** After warming up. */
  readonly from: number
  /** When the load was told to stop. */
  readonly to: number
}

/** Takes samples one by one, keeps one value a window. */
export class GrowthMaker {
  readonly #time: GrowthTime
  readonly #windowMs: number
  readonly #floors = new Map<string, Map<Measure, Map<number, number>>>()

  constructor(time: GrowthTime) {
    this.#time = time
    this.#windowMs = Math.max(LEAST_WINDOW_MS, (time.to - time.from) / MOST_WINDOWS)
  }

  take(entry: Entry): void {
    if (entry.kind !== 'memory' || entry.t < this.#time.from || entry.t > this.#time.to) return
    const window = Math.floor((entry.t - this.#time.from) / this.#windowMs)
    for (const { measure, of } of MEASURES) {
      const value = of(entry)
      if (value !== undefined) this.#keepLowest(entry.process, measure, window, value)
    }
  }

  /** One for each process and measure that has been sampled. */
  finish(): Growth[] {
    return [...this.#floors].flatMap(([process, measures]) =>
      MEASURES.flatMap(({ measure, limit }) => {
        const floors = measures.get(measure)
        return floors === undefined ? [] : [{ process, measure, limit, ...this.#growthOf(floors, limit) }]
      }),
    )
  }

  #keepLowest(process: string, measure: Measure, window: number, value: number): void {
    const measures = this.#floors.get(process) ?? new Map<Measure, Map<number, number>>()
    this.#floors.set(process, measures)
    const floors = measures.get(measure) ?? new Map<number, number>()
    measures.set(measure, floors)
    floors.set(window, Math.min(value, floors.get(window) ?? value))
  }

  #growthOf(
    floors: ReadonlyMap<number, number>,
    limit: number,
  ): Omit<Growth, 'process' | 'measure' | 'limit'> {
    const points = [...floors].map(([window, value]): Point => [(window * this.#windowMs) / HOUR_MS, value])
    const ends = { first: points[0]?.[1] ?? 0, last: points.at(-1)?.[1] ?? 0 }
    if (points.length < LEAST_WINDOWS)
      return {
        ...ends,
        slope: 0,
        low: Number.NEGATIVE_INFINITY,
        high: Number.POSITIVE_INFINITY,
        verdict: SHORT,
      }
    const trend = trendOf(points)
    const verdict = trend.low > limit ? 'grows' : trend.high <= limit ? 'flat' : SHORT
    return { ...ends, ...trend, verdict }
  }
}

const SHORT = 'too short to tell'

/** Timers are counted apart. */
function openOf(resources: Readonly<Record<string, number>>): number {
  return Object.entries(resources).reduce((sum, [kind, n]) => sum + (kind === 'Timeout' ? 0 : n), 0)
}

/** A line for people. */
export function growthLine({
  process,
  measure,
  slope,
  low,
  high,
  first,
  last,
  limit,
  verdict,
}: Growth): string {
  const unit = measure === 'resident memory' || measure === 'heap' ? ' MiB' : ''
  const numbers = Number.isFinite(low)
    ? `${slope.toFixed(1)}${unit} an hour (95 %: ${low.toFixed(1)} to ${high.toFixed(1)}, limit ${limit}${unit})`
    : `fewer than ${LEAST_WINDOWS} windows`
  return `${process}, ${measure}: ${verdict}, from ${first.toFixed(1)} to ${last.toFixed(1)}${unit}, ${numbers}`
}
