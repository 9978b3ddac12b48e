/** A run over time, from entries in the order of time: throughput, latency, connections, silences, memory. */
import type { Entry } from './ledger.js'
import type { Timeline } from './report-model.js'
import { ConnectionsMaker } from './timeline-connections.js'
import { MemoryMaker } from './timeline-memory.js'
import type { Range } from './timeline-range.js'
import { SeriesMaker } from './timeline-series.js'
import { SilencesMaker } from './timeline-silences.js'

/** Takes entries one by one, so that an hour's ledgers need not be in memory at once. */
export class TimelineMaker {
  readonly #range: Range
  readonly #series: SeriesMaker
  readonly #connections: ConnectionsMaker
  readonly #silences: SilencesMaker
  readonly #memory: MemoryMaker

  constructor(range: Range) {
    this.#range = range
    this.#series = new SeriesMaker(range)
    this.#connections = new ConnectionsMaker(range)
    this.#silences = new SilencesMaker(range)
    this.#memory = new MemoryMaker(range)
  }

  take(entry: Entry): void {
    this.#series.take(entry)
    this.#connections.take(entry)
    this.#silences.take(entry)
    this.#memory.take(entry)
  }

  finish(): Timeline {
    return {
      binMs: this.#range.binMs,
      ...this.#series.finish(),
      connections: this.#connections.finish(),
      silences: this.#silences.finish(),
      memory: this.#memory.finish(),
    }
  }
}
