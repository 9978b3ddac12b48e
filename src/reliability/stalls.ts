/**
 * Envelopes that get no answer on a living channel. A channel that publishes to a queue in the moment between two leaders
 * may keep the body without a word, neither confirmed nor nacked, until something else wakes it. So what is unanswered for
 * much longer than answers take counts as stuck. n.b. a broker that is slow with everything raises the limit by itself.
 */
import type { SendingLane } from './sending-lane.js'

/** Answers that are remembered. */
const SAMPLES = 256
/** The limit is worked out anew after so many more. */
const RENEW_EVERY = 16
/** Times the 99th percentile of the answers. */
const TIMES_P99 = 8
/** The limit before enough answers are known. */
const UNKNOWN_MS = 3_000
const LEAST_MS = 1_000
const MOST_MS = 30_000

export class Stalls {
  readonly #samples: number[] = []
  #answers = 0
  #afterMs = UNKNOWN_MS
  #pardonedMs = Number.NEGATIVE_INFINITY

  /** Silence that counts as stuck, ms. */
  get afterMs(): number {
    return this.#afterMs
  }

  /** The broker answered a publish after so long. n.b. late answers count, too: else a slow broker would look stuck for ever. */
  answered(ms: number): void {
    this.#samples[this.#answers % SAMPLES] = ms
    this.#answers += 1
    if (this.#answers % RENEW_EVERY === 0) this.#afterMs = limit(this.#samples)
  }

  /** Silence before this moment counts for nothing: the broker had stopped us, or our own event loop stood still. */
  pardon(nowMs: number): void {
    this.#pardonedMs = nowMs
  }

  /** When the lane's oldest envelope in flight counts as stuck, ms. */
  dueMs(lane: Pick<SendingLane, 'oldestFlightMs' | 'state'>): number {
    const oldest = lane.oldestFlightMs
    if (oldest === undefined || lane.state.kind === 'stopped') return Number.POSITIVE_INFINITY
    return Math.max(oldest, this.#pardonedMs) + this.#afterMs
  }
}

function limit(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? UNKNOWN_MS
  return Math.min(MOST_MS, Math.max(LEAST_MS, TIMES_P99 * p99))
}
