/** Results of all runs: as JSON for checks, as a table for people, and whether all is well. */
import type { RunResult, Scenario } from './scenario.js'
import { ROW_NAMES, rowOf, scenarios } from './scenarios/index.js'

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
  readonly boundMs: number
  /** No violation, and the worst gap within the bound. */
  readonly met: boolean
}

/** All runs of one scenario. */
export interface ScenarioResult {
  readonly scenario: Pick<Scenario, 'id' | 'name' | 'boundMs'>
  readonly runs: readonly RunResult[]
}

/** Sub-cases in the order of running, each complete row with sub-cases followed by its sum. */
export function faultReports(results: readonly ScenarioResult[]): FaultReport[] {
  const reports: FaultReport[] = []
  for (const [i, result] of results.entries()) {
    const row = rowOf(result.scenario.id)
    const isWholeRow = result.scenario.id === String(row)
    reports.push(isWholeRow ? report(row, [result]) : report(result.scenario.id, [result]))
    const next = results[i + 1]
    if (isWholeRow || (next !== undefined && rowOf(next.scenario.id) === row)) continue
    const parts = results.filter(({ scenario }) => rowOf(scenario.id) === row)
    if (parts.length === scenarios.filter(({ id }) => rowOf(id) === row).length)
      reports.push(report(row, parts))
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
    shown(gapMs.median),
    shown(gapMs.worst),
    String(boundMs),
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

/** A row's bound is its largest; `met` asks each part for its own. */
function report(id: number | string, parts: readonly ScenarioResult[]): FaultReport {
  const runs = parts.flatMap(part => part.runs)
  const gaps = gapsOf(runs)
  const worstOf = (part: ScenarioResult): number => Math.max(Number.NEGATIVE_INFINITY, ...gapsOf(part.runs))
  const violations = parts.flatMap(part => part.runs.flatMap((run, i) => violationsOf(run, i + 1)))
  const within = parts.every(part => gapsOf(part.runs).length > 0 && worstOf(part) <= part.scenario.boundMs)
  return {
    id,
    name:
      (parts.length > 1 ? ROW_NAMES[rowOf(String(id))] : undefined) ??
      parts.map(part => part.scenario.name).join('; '),
    runs: runs.length,
    violations,
    gapMs: { median: median(gaps), worst: gaps.length === 0 ? null : Math.max(...gaps) },
    boundMs: Math.max(...parts.map(({ scenario }) => scenario.boundMs)),
    met: violations.length === 0 && within,
  }
}

function violationsOf(run: RunResult, number: number): string[] {
  const found = run.error === undefined ? run.violations : [...run.violations, `no result: ${run.error}`]
  return found.map(violation => `run ${number}: ${violation}`)
}

function gapsOf(runs: readonly RunResult[]): number[] {
  return runs.flatMap(({ gapMs }) => (gapMs === undefined ? [] : [gapMs]))
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

function shown(ms: number | null): string {
  return ms === null ? '?' : String(ms)
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
