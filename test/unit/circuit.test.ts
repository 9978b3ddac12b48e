import { describe, expect, test } from 'vitest'
import {
  afterFailure,
  afterNothing,
  afterStart,
  afterTime,
  type Circuit,
  isExhausted,
  isOpen,
  PAUSE_MS,
  paused,
  RUNNING,
} from '../../src/reliability/circuit.js'

/** Fails so often, one millisecond after another. */
function failing(times: number, allowed: number): Circuit {
  let circuit = RUNNING
  for (let ms = 1; ms <= times; ms++) circuit = afterFailure(circuit, ms, allowed)
  return circuit
}

describe('a circuit', () => {
  test('pauses with the last failure in a row that is allowed, and not before', () => {
    expect(failing(4, 5)).toEqual({ state: 'running', failures: 4 })
    expect(failing(5, 5)).toEqual({ state: 'paused', sinceMs: 5, untilMs: 5 + PAUSE_MS, trials: 0 })
    expect([isOpen(failing(4, 5)), isOpen(failing(5, 5))]).toEqual([true, false])
  })

  test('is not paused for longer by what was under way when the pause began', () => {
    expect(failing(9, 5)).toEqual(failing(5, 5))
  })

  test('lets one message through when the pause is over, and no second beside it', () => {
    const pause = paused(0)
    expect(afterTime(pause, PAUSE_MS - 1)).toBe(pause)
    const trying = afterTime(pause, PAUSE_MS)
    expect(isOpen(trying)).toBe(true)
    expect(isOpen(afterStart(trying))).toBe(false)
    expect(isOpen(afterNothing(afterStart(trying)))).toBe(true)
  })

  test('is tried early where there is a reason', () => {
    expect(isOpen(afterTime(paused(0), 1, true))).toBe(true)
  })

  test('pauses again after a try that fails; every tenth gives its message up', () => {
    let circuit = paused(0)
    const exhausted: number[] = []
    for (let trial = 1; trial <= 20; trial++) {
      circuit = afterFailure(afterStart(afterTime(circuit, trial * PAUSE_MS)), trial * PAUSE_MS, 5)
      expect(circuit).toMatchObject({ state: 'paused', sinceMs: 0, untilMs: (trial + 1) * PAUSE_MS })
      if (isExhausted(circuit)) exhausted.push(trial)
    }
    expect(exhausted).toEqual([10, 20])
  })

  test('that runs does not care for time, starts and what came to nothing', () => {
    for (const circuit of [RUNNING, failing(3, 5)]) {
      expect(afterTime(circuit, 1e9, true)).toBe(circuit)
      expect(afterNothing(afterStart(circuit))).toBe(circuit)
    }
  })
})
