/** The memory of each process over time: the highest value of each bin. Processes in the order of their names. */
import type { Entry } from './ledger.js'
import type { MemoryCurve, MemoryPoint } from './report-model.js'
import { binAt, type Range } from './timeline-range.js'

export class MemoryMaker {
  readonly #range: Range
  readonly #processes = new Map<string, Map<number, MemoryPoint>>()

  constructor(range: Range) {
    this.#range = range
  }

  take(entry: Entry): void {
    if (entry.kind !== 'memory') return
    const points = this.#processes.get(entry.process) ?? new Map<number, MemoryPoint>()
    this.#processes.set(entry.process, points)
    const bin = binAt(this.#range, entry.t)
    const before = points.get(bin)
    points.set(bin, {
      atMs: before?.atMs ?? entry.t - this.#range.from,
      rssBytes: Math.max(entry.rssBytes, before?.rssBytes ?? 0),
      heapBytes: Math.max(entry.heapBytes, before?.heapBytes ?? 0),
    })
  }

  finish(): MemoryCurve[] {
    return [...this.#processes]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([process, points]) => ({ process, points: [...points.values()] }))
  }
}
