/** Results of all runs: as JSON for checks, as a table for people, and whether all is well. */

import type { Fault } from './fault.js'
import { ROW_NAMES, rowOf, shippedFaults } from './faults.js'
import { type Measure, tightest } from './measures.js'
import type { RunResult } from './scenario.js'

/** One fault in the JSON report. A whole row's id is its number; a sub-case's is text: `"4a"`. */
export interface FaultReport {
  readonly id: number | string
  readonly name: string
  /** Runs that were tried. */
  readonly runs: number
  /** Broken promises, and runs in which the fault could not be injected. */
  readonly violations: readonly string[]
  /** Worst affected lane's gap, over the runs that have one; null when none has. */
  readonly gapMs: { readonly median: number | null; readonly worst: number | null }
  /** The one that the gap is held against; null: none is asked for. */
  readonly boundMs: number | null
  /** No violation, and the worst gap within the bound. */
  readonly met: boolean
  /** Where confirms, deliveries and the time after healing have bounds of their own. */
  readonly measures?: readonly MeasureReport[]
  /** In words. */
  readonly why: string
}

/** One of several bounds of a fault. */
export interface MeasureReport {
  readonly name: Measure['name']
  readonly gapMs: { readonly median: number | null; readonly worst: number | null }
  readonly boundMs: number | null
}

/** All runs of one scenario. */
export interface ScenarioResult {
  readonly scenario: Pick<Fault, 'id' | 'name' | 'bound'>
  readonly runs: readonly RunResult[]
}

/**
 * Sub-cases in the order of running, each complete row with sub-cases followed by its sum.
 * @param known - the ids of all there are: they say when a row is complete
 */
export function faultReports(
  results: readonly ScenarioResult[],
  known: readonly string[] = shippedFaults().map(({ id }) => id),
): FaultReport[] {
  const reports: FaultReport[] = []
  for (const [i, result] of results.entries()) {
    const row = rowOf(result.scenario.id)
    const isWholeRow = result.scenario.id === String(row)
    reports.push(
      isWholeRow && row !== undefined ? report(row, [result]) : report(result.scenario.id, [result]),
    )
    const next = results[i + 1]
    if (row === undefined || isWholeRow || (next !== undefined && rowOf(next.scenario.id) === row)) continue
    const parts = results.filter(({ scenario }) => rowOf(scenario.id) === row)
    if (parts.length === known.filter(id => rowOf(id) === row).length) reports.push(report(row, parts))
  }
  return reports
}

/** Nothing missed, nothing broken, and something was run. */
export function allMet(reports: readonly FaultReport[]): boolean {
  return reports.length > 0 && reports.every(({ met }) => met)
}

/** A table with one line a fault, violations below it. */
export function renderTable(reports: readonly FaultReport[]): string {
  const rows = reports.map(({ id, name, runs, violations, gapMs, boundMs, met }) => [
    String(id),
    name,
    String(runs),
    shown(gapMs.median, '?'),
    shown(gapMs.worst, '?'),
    shown(boundMs, '-'),
    violations.length === 0 ? '-' : String(violations.length),
    met ? 'yes' : 'NO',
  ])
  const table = align([
    ['#', 'fault', 'runs', 'median ms', 'worst ms', 'bound ms', 'violations', 'met'],
    ...rows,
  ])
  const broken = reports
    .filter(({ id }) => typeof id === 'string' || !hasParts(reports, id))
    .flatMap(({ id, violations }) => violations.map(violation => `  ${id}: ${violation}`))
  return [...table, ...(broken.length === 0 ? [] : ['', 'violations:', ...broken])].join('\n')
}

/** A row's gap and bound are those of its part that is nearest to its bound; `met` asks each part for its own. */
function report(id: number | string, parts: readonly ScenarioResult[]): FaultReport {
  const runs = parts.flatMap(part => part.runs)
  const violations = parts.flatMap(part => part.runs.flatMap((run, i) => violationsOf(run, i + 1)))
  const perPart = parts.map(measuresOf)
  const within = perPart.every(
    measures => measures.length > 0 && measures.every(({ gapMs, boundMs }) => isWithin(gapMs.worst, boundMs)),
  )
  const all = perPart.flat()
  const row = typeof id === 'number' ? ROW_NAMES[id] : undefined
  const met = violations.length === 0 && within
  return {
    id,
    name: (parts.length > 1 ? row : undefined) ?? parts.map(part => part.scenario.name).join('; '),
    runs: runs.length,
    violations,
    ...reported(parts, all),
    met,
    ...(parts.length === 1 && all.length > 1 && { measures: all }),
    why: why(violations.length, all),
  }
}

/** Of one scenario: gap and bound of the measure that is nearest to its bound. Of a row: all gaps, and the largest bound. */
function reported(
  parts: readonly ScenarioResult[],
  measures: readonly MeasureReport[],
): Pick<FaultReport, 'gapMs' | 'boundMs'> {
  if (measures.length === 0) return { gapMs: { median: null, worst: null }, boundMs: largestBound(parts) }
  if (parts.length === 1) {
    const { gapMs, boundMs } = tightest(
      measures.map(each => ({
        ...each,
        report: each,
        gapMs: each.gapMs.worst ?? 0,
        boundMs: each.boundMs ?? undefined,
      })),
    ).report
    return { gapMs, boundMs }
  }
  const gaps = parts.flatMap(part => part.runs.flatMap(({ gapMs }) => (gapMs === undefined ? [] : [gapMs])))
  return {
    gapMs: { median: median(gaps), worst: gaps.length === 0 ? null : Math.max(...gaps) },
    boundMs: largestBound(parts),
  }
}

function largestBound(parts: readonly ScenarioResult[]): number | null {
  const bounds = parts.flatMap(({ scenario }) => Object.values(scenario.bound) as number[])
  return bounds.length === 0 ? null : Math.max(...bounds)
}

/** Each measure over all runs that have a result. */
function measuresOf({ runs, scenario }: ScenarioResult): MeasureReport[] {
  const found = runs.flatMap(run => run.measures ?? plainMeasure(run, scenario.bound))
  const names = [...new Set(found.map(({ name }) => name))]
  return names.map(name => {
    const ofName = found.filter(each => each.name === name)
    const gaps = ofName.map(({ gapMs }) => gapMs)
    return {
      name,
      gapMs: { median: median(gaps), worst: Math.max(...gaps) },
      boundMs: ofName[0]?.boundMs ?? null,
    }
  })
}

function plainMeasure(
  { gapMs }: RunResult,
  { publishMs }: Fault['bound'],
): NonNullable<RunResult['measures']> {
  return gapMs === undefined ? [] : [{ name: 'gap', gapMs, boundMs: publishMs }]
}

function isWithin(worst: number | null, boundMs: number | null): boolean {
  return boundMs === null || (worst !== null && worst <= boundMs)
}

function why(violations: number, measures: readonly MeasureReport[]): string {
  const gaps = measures.map(({ name, gapMs, boundMs }) =>
    boundMs === null
      ? `no bound is asked for; ${name} up to ${gapMs.worst ?? '?'} ms`
      : `${name} up to ${gapMs.worst ?? '?'} of ${boundMs} ms`,
  )
  const said = gaps.length === 0 ? ['no run has a result'] : [...new Set(gaps)]
  return [...said, violations === 0 ? 'no violation' : `${violations} violations`].join('; ')
}

function violationsOf(run: RunResult, number: number): string[] {
  const found = run.error === undefined ? run.violations : [...run.violations, `no result: ${run.error}`]
  return found.map(violation => `run ${number}: ${violation}`)
}

function hasParts(reports: readonly FaultReport[], row: number): boolean {
  return reports.some(({ id }) => typeof id === 'string' && rowOf(id) === row)
}

/** The middle one; of an even number the mean of the middle two, rounded. */
function median(numbers: readonly number[]): number | null {
  if (numbers.length === 0) return null
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (i: number): number => sorted[i] ?? 0
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? at(middle) : Math.round((at(middle - 1) + at(middle)) / 2)
}

function shown(ms: number | null, none: string): string {
  return ms === null ? none : String(ms)
}

/** Columns of equal width; numbers to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, i) => (i >= 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
