/** How long to wait before the next attempt: full jitter, so that ten thousand clients of a dead node spread out. */

/** The ceiling of the first delay. */
const FIRST_MS = 50
/** The ceiling doubles up to this, where nothing else is asked for. */
export const LAST_MS = 5_000
/** A refusal (certificate, user, permission) is asked again this slowly: half of it is fixed, half jitter. */
const REFUSED_FIRST_MS = 1_000

/** What worked for less than this has failed; n.b. whoever closes all connections every two seconds finds them back. */
export const WORKED_MS = 1_000

/** Delays that grow with failures only. */
export class Backoff {
  #ceilingMs = FIRST_MS
  #refusedMs = REFUSED_FIRST_MS
  readonly #random: () => number
  readonly #lastMs: number

  /** @param lastMs - what the ceiling doubles up to; thousands of clients of one cluster want more than 5 s */
  constructor(random: () => number = Math.random, lastMs: number = LAST_MS) {
    this.#random = random
    this.#lastMs = lastMs
  }

  /** After a failed attempt: 0 to the ceiling, which doubles from 50 ms to the last. */
  failed(): number {
    const delay = this.#random() * this.#ceilingMs
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, this.#lastMs)
    return delay
  }

  /** After a refusal: half of the ceiling to all of it, which doubles from 1 s to the last. */
  refused(): number {
    const delay = this.#refusedMs * (0.5 + this.#random() / 2)
    this.#refusedMs = Math.min(this.#refusedMs * 2, this.#lastMs)
    return delay
  }

  /**
   * What had worked for `lifeMs` was lost: 0 to 50 ms, however often, since an operator who closes everything is no
   * failure of ours. Within its first second it is one: else a broker that takes and drops would be asked without pause.
   */
  lost(lifeMs: number): number {
    if (lifeMs < WORKED_MS) return this.failed()
    return this.worked()
  }

  /** It works: the next delay is one of the first, 0 to 50 ms. */
  worked(): number {
    this.#ceilingMs = FIRST_MS
    this.#refusedMs = REFUSED_FIRST_MS
    return this.#random() * FIRST_MS
  }
}
