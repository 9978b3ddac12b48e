import { describe, expect, test } from 'vitest'
import { BODY_OUTCOMES, MESSAGE_OUTCOMES, UnauthenticatedBudget } from '../../src/reliability/outcome.js'

describe('the tables of outcomes', () => {
  test('what cannot be opened is parked; only a certificate and a clock are waited for, only a stale list pauses', () => {
    const actions = Object.entries(BODY_OUTCOMES)
    expect(actions.filter(([, action]) => action !== 'park')).toEqual([
      ['unknown-certificate', 'hold'],
      ['clock-ahead', 'hold'],
      ['stale-revocation', 'pause'],
      ['overloaded', 'retry'],
    ])
  })

  test('every final outcome uses the number up, but those of numbers that are not this message’s', () => {
    const unmarked = Object.entries(MESSAGE_OUTCOMES).filter(([, { mark }]) => mark === undefined)
    expect(unmarked.map(([verdict]) => verdict)).toEqual([
      'duplicate',
      'conflict',
      'closed-epoch',
      'not-replayed',
    ])
    expect(
      Object.values(MESSAGE_OUTCOMES).filter(({ action, alarm }) => action === 'park' && !alarm),
    ).toEqual([])
  })

  test('of unknown origin 1 000 bodies or 16 MiB a day are kept', () => {
    const budget = new UnauthenticatedBudget()
    const mib = 1024 * 1024
    const kept = Array.from({ length: 20 }, () => budget.take(mib, 0)).filter(Boolean)
    expect(kept).toHaveLength(16)
    expect(budget.take(mib, 25 * 3600_000)).toBe(true)
  })
})
