/** From when on silence counts as stuck. Pure: times are given. */
import { describe, expect, it } from 'vitest'
import { FLOWING, stop } from '../../src/reliability/lane-state.js'
import { Stalls } from '../../src/reliability/stalls.js'

const lane = (oldestFlightMs: number | undefined): Parameters<Stalls['dueMs']>[0] => ({
  oldestFlightMs,
  state: FLOWING,
})

/** Stalls that have seen so many answers, each after so long. */
function answeredBy(count: number, ms: number, stalls: Stalls = new Stalls()): Stalls {
  for (let i = 0; i < count; i++) stalls.answered(ms)
  return stalls
}

describe('the watch over envelopes without an answer', () => {
  it('waits 3 s while nothing is known of the broker', () => {
    expect(new Stalls().dueMs(lane(500))).toBe(3_500)
  })

  it('waits for 8 times the 99th percentile of the answers, and never less than 1 s or more than 30 s', () => {
    expect(answeredBy(256, 300).afterMs).toBe(2_400)
    expect(answeredBy(256, 5).afterMs).toBe(1_000)
    expect(answeredBy(256, 60_000).afterMs).toBe(30_000)
  })

  it('lets single slow answers be, and follows a broker that has become slow', () => {
    const stalls = answeredBy(256, 10)
    expect(answeredBy(2, 900, stalls).afterMs).toBe(1_000)
    expect(answeredBy(16, 900, stalls).afterMs).toBe(7_200)
    expect(answeredBy(256, 10, stalls).afterMs).toBe(1_000)
  })

  it('does not count silence from before a pardon', () => {
    const stalls = answeredBy(256, 5)
    stalls.pardon(10_000)
    expect(stalls.dueMs(lane(2_000))).toBe(11_000)
    expect(stalls.dueMs(lane(10_500))).toBe(11_500)
  })

  it('has nothing to say of a lane that is stopped, or has nothing in flight', () => {
    const stopped = { oldestFlightMs: 0, state: stop(FLOWING, 'nacked', 0, () => 0.5) }
    expect(new Stalls().dueMs(stopped)).toBe(Number.POSITIVE_INFINITY)
    expect(new Stalls().dueMs(lane(undefined))).toBe(Number.POSITIVE_INFINITY)
  })
})
