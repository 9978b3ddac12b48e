import { describe, expect, it } from 'vitest'
import { rowOf, selectFaults, shippedFaults } from '../../chaos/faults.js'
import { allMet, faultReports, renderTable, type ScenarioResult } from '../../chaos/report.js'
import type { RunResult } from '../../chaos/scenario.js'

const totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, nacked: 0 }
const run = (gapMs: number, ...violations: string[]): RunResult => ({ gapMs, violations, totals })
const failed: RunResult = { violations: [], error: 'not injected: no leader', totals }
const result = (id: string, boundMs: number, ...runs: RunResult[]): ScenarioResult => ({
  scenario: { id, name: `fault ${id}`, bound: { publishMs: boundMs, deliveryMs: boundMs } },
  runs,
})

describe('the report', () => {
  it('has exactly the agreed fields, a whole row under its number', () => {
    const reports = faultReports([result('2', 3_000, run(400), run(900), run(500))])
    expect(JSON.parse(JSON.stringify({ faults: reports }))).toEqual({
      faults: [
        {
          ...{ id: 2, name: 'fault 2', runs: 3, violations: [] },
          ...{ gapMs: { median: 500, worst: 900 }, boundMs: 3_000, met: true },
          why: 'gap up to 900 of 3000 ms; no violation',
        },
      ],
    })
  })

  it('keeps sub-cases under their names and adds the row when all of it ran', () => {
    const reports = faultReports([
      result('4a', 3_000, run(2_500)),
      result('4b', 2_000, run(1_000)),
      result('13', 1_000, run(1)),
    ])
    expect(reports.map(({ id }) => id)).toEqual(['4a', '4b', 4, 13])
    expect(reports[2]).toMatchObject({
      runs: 2,
      gapMs: { median: 1_750, worst: 2_500 },
      boundMs: 3_000,
      met: true,
    })
    expect(faultReports([result('4b', 2_000, run(1))]).map(({ id }) => id)).toEqual(['4b'])
  })

  it('asks each sub-case for its own bound', () => {
    const reports = faultReports([result('4a', 3_000, run(100)), result('4b', 2_000, run(2_001))])
    expect(reports.map(({ met }) => met)).toEqual([true, false, false])
    expect(allMet(reports)).toBe(false)
  })

  it('asks confirms and deliveries for their own bounds, and shows the one that is nearest to its own', () => {
    const bound = { publishMs: 20_000, deliveryMs: 12_000 }
    const measures = [
      { name: 'publish', gapMs: 9_000, boundMs: 20_000 },
      { name: 'delivery', gapMs: 11_000, boundMs: 12_000 },
    ] as const
    const runs = [{ violations: [], totals, gapMs: 11_000, measures }]
    expect(faultReports([{ scenario: { id: '8a', name: 'x', bound }, runs }])[0]).toMatchObject({
      gapMs: { median: 11_000, worst: 11_000 },
      boundMs: 12_000,
      met: true,
      measures: [{ name: 'publish', boundMs: 20_000 }, { name: 'delivery' }],
    })
  })

  it('says where no bound is asked for, and shows the gap all the same', () => {
    const runs = [
      {
        violations: [],
        totals,
        gapMs: 700,
        measures: [{ name: 'gap', gapMs: 700, boundMs: undefined }] as const,
      },
    ]
    expect(faultReports([{ scenario: { id: '26b', name: 'x', bound: {} }, runs }])[0]).toMatchObject({
      gapMs: { worst: 700 },
      boundMs: null,
      met: true,
      why: 'no bound is asked for; gap up to 700 ms; no violation',
    })
  })

  it('does not let a fault pass that could not be injected, that broke a promise, or that never ran', () => {
    const notInjected = faultReports([result('1', 3_000, run(10), failed)])
    expect(notInjected[0]).toMatchObject({
      ...{ met: false, runs: 2, violations: ['run 2: no result: not injected: no leader'] },
    })
    expect(faultReports([result('1', 3_000, failed)])[0]).toMatchObject({
      gapMs: { median: null, worst: null },
      met: false,
    })
    expect(faultReports([result('1', 3_000, run(10, 'I2 a>b: 3 handled again'))])[0]?.met).toBe(false)
    expect(allMet([])).toBe(false)
  })

  it('shows median, worst and bound in a table, and each violation once', () => {
    const table = renderTable(
      faultReports([result('4a', 3_000, run(10, 'I1 lost')), result('4b', 2_000, run(20))]),
    )
    expect(table).toContain('median ms  worst ms  bound ms')
    expect(table.match(/I1 lost/g)).toHaveLength(1)
    expect(table).toMatch(/^4b .* 20 +20 +2000 +- {2}yes$/m)
    expect(table).toMatch(/^4 .* 3000 +1 +NO$/m)
  })
})

describe('choosing faults', () => {
  it('takes rows and sub-cases, each once, and refuses what there is not', () => {
    expect(selectFaults(['4', '4b', '2']).map(({ id }) => id)).toEqual(['4a', '4b', '2'])
    expect(selectFaults(['10']).map(({ id }) => id)).toEqual(['10a', '10b', '10c', '10d', '10e'])
    expect(() => selectFaults(['99'])).toThrow(/no fault 99; there are 1, 2/)
  })

  it('has no id twice, and each in a row', () => {
    const ids = shippedFaults().map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.every(id => rowOf(id) !== undefined)).toBe(true)
  })
})
