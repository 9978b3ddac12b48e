/**
 * Backoff as an immutable value: the ceiling of the next delay, and the value that follows. Every use of one value
 * says the same ceiling; only `next()` doubles it. Jitter keeps many that failed together from returning together.
 */

/**
 * | jitter | a delay is drawn from |
 * | --- | --- |
 * | `full` | 0 .. ceiling |
 * | `half` | ceiling / 2 .. ceiling: where the cause needs some time at least |
 */
export type Jitter = 'full' | 'half'

export interface BackoffOptions {
  /** Ceiling of the first delay, ms. */
  readonly firstMs: number
  /** No ceiling is above this, ms. */
  readonly maxMs: number
  readonly jitter: Jitter
}

export interface Backoff {
  readonly ceilingMs: number
  /** A delay in ms; `random` as `Math.random`. */
  delayMs(random?: () => number): number
  /** The backoff after one more failure: twice the ceiling, up to the maximum. */
  next(): Backoff
}

/**
 * The backoff before any failure.
 * @throws RangeError unless firstMs is positive and at most maxMs
 */
export function backoff(options: BackoffOptions): Backoff {
  const { firstMs, maxMs } = options
  if (!(firstMs > 0 && firstMs <= maxMs)) {
    throw new RangeError(`backoff: expected 0 < firstMs <= maxMs, got firstMs ${firstMs}, maxMs ${maxMs}`)
  }
  return at(options, firstMs)
}

function at(options: BackoffOptions, ceilingMs: number): Backoff {
  const least = options.jitter === 'full' ? 0 : ceilingMs / 2
  return {
    ceilingMs,
    delayMs: (random = Math.random) => least + random() * (ceilingMs - least),
    next: () => at(options, Math.min(ceilingMs * 2, options.maxMs)),
  }
}
