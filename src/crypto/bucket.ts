/**
 * A token bucket over key agreements: forged envelopes cost us X25519 and signature checks, so only so many a second are
 * paid for. Empty, it delays.
 */

export interface Bucket {
  /**
   * Takes one token: at once (true), after waiting in turn (a promise of true), or not at all (false, too many wait).
   */
  take(): true | false | Promise<true>
}

export interface BucketOptions {
  /** Tokens that flow in a second. Default 2 000. */
  readonly perSecond?: number
  /** Tokens that it holds. Default 10 000. */
  readonly burst?: number
  /** Callers that may wait. Default 10 000. */
  readonly maxWaiting?: number
  /** A clock in ms that never runs back. Default `performance.now`. */
  readonly clock?: () => number
}

/** Creates a full bucket. */
export function createBucket(options: BucketOptions = {}): Bucket {
  const { perSecond = 2000, burst = 10_000, maxWaiting = 10_000, clock = () => performance.now() } = options
  const waiting: (() => void)[] = []
  let tokens = burst
  let refilledAt = clock()

  function refill(): void {
    const now = clock()
    tokens = Math.min(burst, tokens + ((now - refilledAt) * perSecond) / 1000)
    refilledAt = now
  }

  function serve(): void {
    refill()
    const served = waiting.splice(0, Math.floor(tokens))
    tokens -= served.length
    for (const resolve of served) resolve()
    if (waiting.length > 0) setTimeout(serve, 1 + 1000 / perSecond)
  }

  return {
    take() {
      refill()
      if (waiting.length === 0 && tokens >= 1) {
        tokens--
        return true
      }
      if (waiting.length >= maxWaiting) return false
      return new Promise(resolve => {
        waiting.push(() => resolve(true))
        if (waiting.length === 1) setTimeout(serve, 1 + 1000 / perSecond)
      })
    },
  }
}
