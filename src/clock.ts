/**
 * Time that does not run back past what was authenticated: mail that had expired stays expired when a device's clock is
 * set back (docs/PROTOCOL.md, "Time").
 */
import { SKEW_MS } from './wire.js'

/** One's own time. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC: the system's, or the highest authenticated time less the skew, if that is later. */
  now(): number
  /** Takes the created-at of an authenticated message; returns the highest so far. */
  witness(createdAtMs: number): number
}

/**
 * n.b. a witnessed time counts less the skew: senders may be 120 s ahead, and one of them must not be able to push the
 * clock forward step by step, each step allowed by the one before.
 */
export function createClock(system: () => number = Date.now): Clock {
  let highest = 0
  return {
    now: () => Math.max(system(), highest - SKEW_MS),
    witness: createdAtMs => {
      if (createdAtMs <= system() + SKEW_MS) highest = Math.max(highest, createdAtMs)
      return highest
    },
  }
}
