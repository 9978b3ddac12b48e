/** One timer for many deadlines: it rings at the earliest that it was told of, and not more often than every 20 ms. */

const LEAST_GAP_MS = 20
/** setTimeout's range ends at 2^31 − 1 ms; ringing early does no harm. */
const LONGEST_MS = 86_400_000 // a day

export class Alarm {
  readonly #now: () => number
  readonly #ring: (lateMs: number) => void
  #timer: NodeJS.Timeout | undefined
  #atMs = Number.POSITIVE_INFINITY

  /** @param ring - given by how much it rings too late: the event loop stood still, or the clock was set */
  constructor(now: () => number, ring: (lateMs: number) => void) {
    this.#now = now
    this.#ring = ring
  }

  /** Rings then, unless it rings sooner anyway. Costs one comparison when it does. */
  by(atMs: number): void {
    if (atMs >= this.#atMs) return
    this.clear()
    this.#atMs = atMs
    const nowMs = this.#now()
    const delay = Math.min(Math.max(atMs - nowMs, LEAST_GAP_MS), LONGEST_MS)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#atMs = Number.POSITIVE_INFINITY
      this.#ring(this.#now() - nowMs - delay)
    }, delay)
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#atMs = Number.POSITIVE_INFINITY
  }
}
