/**
 * The time by which messages are judged: never before what an authenticated message, in this life or a former one, has
 * shown it to be. A clock that runs back, or starts at 1970, does not revive old mail.
 */
import type { Clock } from '../clock.js'
import { SKEW_MS } from '../wire.js'

/** The store is told at most once for this much. */
const STEP_MS = 1_000

export class AuthenticatedTime {
  readonly #clock: Clock
  readonly #remember: (highestMs: number) => void
  #restoredMs = 0
  #toldMs = 0

  /** @param remember - keeps the highest time over a restart */
  constructor(clock: Clock, remember: (highestMs: number) => void) {
    this.#clock = clock
    this.#remember = remember
  }

  /** Takes up what a former life remembered. */
  restore(highestMs: number): void {
    this.#restoredMs = highestMs
    this.#clock.witness(highestMs)
  }

  /** An authenticated message was created then. */
  witness(createdAtMs: number): void {
    const highest = this.#clock.witness(createdAtMs)
    if (highest < this.#toldMs + STEP_MS) return
    this.#toldMs = highest
    this.#remember(highest)
  }

  nowMs(): number {
    return Math.max(this.#clock.now(), this.#restoredMs - SKEW_MS)
  }
}
