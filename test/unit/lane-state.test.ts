import { describe, expect, it } from 'vitest'
import {
  allowance,
  channelLost,
  due,
  FLOWING,
  type LaneState,
  pauseMs,
  probeConfirmed,
  stop,
  unroutable,
  wants,
} from '../../src/reliability/lane-state.js'

const half = (): number => 0.5
const again = (state: LaneState, nowMs: number): LaneState => stop(due(state), 'nacked', nowMs, half)

describe('a lane', () => {
  it('flows with its window on the shared channel, stopped with nothing, probing with one', () => {
    const stopped = stop(FLOWING, 'nacked', 0, half)
    expect([FLOWING, stopped, due(stopped)].map(state => allowance(state, 4))).toEqual([4, 0, 1])
  })

  it.each([
    ['nacked', 'fresh'],
    ['stalled', 'fresh'],
    ['returned', 'shared'],
    ['refused', 'isolated'],
    ['unauthorised', 'isolated'],
  ] as const)('that was %s tries its head on a channel that is %s', (trouble, kind) => {
    expect(wants(stop(FLOWING, trouble, 0, half))).toBe(kind)
  })

  /** The pauses of a lane that is nacked again and again, this far apart. */
  const pauses = (everyMs: number, count: number): number[] => {
    let state = stop(FLOWING, 'nacked', 0, half)
    return Array.from({ length: count }, (_, i) => {
      if (i > 0) state = again(state, i * everyMs)
      return pauseMs(state, i * everyMs)
    })
  }

  it('waits 50 to 100 ms at first, then twice as long each time, up to 1 s while a leader may be elected', () => {
    const first = stop(FLOWING, 'nacked', 0, () => 0)
    expect(pauseMs(first, 0)).toBe(50)
    expect(pauses(1_000, 8)).toEqual([75, 150, 300, 600, 750, 750, 750, 750])
  })

  it('waits up to 5 s once it has been nacked for 10 s', () => {
    expect(pauses(2_000, 8)).toEqual([75, 150, 300, 600, 750, 2400, 3750, 3750])
  })

  it('that gets another trouble starts its pauses anew', () => {
    const nacked = again(stop(FLOWING, 'nacked', 0, half), 0)
    expect(pauseMs(stop(due(nacked), 'returned', 0, half), 0)).toBe(75)
  })

  it('that stalled tries at once', () => {
    expect(pauseMs(stop(FLOWING, 'stalled', 9, half), 9)).toBe(0)
  })

  it('flows once its probe is confirmed; with suspects, once all of them are', () => {
    expect(probeConfirmed(due(stop(FLOWING, 'nacked', 0, half)))).toBe(FLOWING)
    const three = due(stop(FLOWING, 'refused', 0, half, 3))
    const one = probeConfirmed(probeConfirmed(three))
    expect(one).toMatchObject({ kind: 'probing', suspects: 1 })
    expect(probeConfirmed(one)).toBe(FLOWING)
  })

  it('flows on a new connection if it was nacked; a missing inbox and suspects outlive the connection', () => {
    expect(channelLost(stop(FLOWING, 'nacked', 0, half))).toBe(FLOWING)
    for (const trouble of ['returned', 'refused', 'unauthorised'] as const) {
      const state = stop(FLOWING, trouble, 0, half)
      expect(channelLost(state)).toBe(state)
    }
  })

  it('is unroutable when its inbox has been missing for 30 s; a last try falls on that moment', () => {
    let state = stop(FLOWING, 'returned', 0, half)
    expect(unroutable(state, 29_999)).toBe(false)
    for (let i = 0; i < 6; i++) state = stop(due(state), 'returned', 29_000, half)
    expect(pauseMs(state, 29_000)).toBe(1000)
    expect(unroutable(state, 30_000)).toBe(true)
    expect(unroutable(stop(FLOWING, 'nacked', 0, half), 60_000)).toBe(false)
  })
})
