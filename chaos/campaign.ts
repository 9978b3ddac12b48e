/** Many runs one after the other: each chosen fault so many times, with progress, stopped cleanly when asked. */

import { loadavg } from 'node:os'
import type { Fault } from './fault.js'
import type { Random } from './random.js'
import { allMet, type FaultReport, faultReports } from './report.js'
import { callRoll } from './run.js'
import type { RunResult, Setting } from './scenario.js'

/** What to run. */
export interface Campaign {
  readonly faults: readonly Fault[]
  readonly repeat: number
  /** Instead of `repeat`: rounds of all faults until this has passed, ms; each at least once. */
  readonly durationMs?: number
  readonly random: Random
  readonly setting: Setting
  /** Called after each run with all results so far. */
  readonly onResult?: (reports: readonly FaultReport[]) => void
  /** Called after each run with its evidence, which is not kept. */
  readonly onRun?: (run: FinishedRun) => void
}

/** One run that has a result, or none and the reason. */
export interface FinishedRun {
  readonly fault: Fault
  /** Rising from 1 within the fault. */
  readonly number: number
  readonly seed: string
  readonly result: RunResult
}

/** Runs it. @returns the reports, and whether all was met and nothing left out */
export async function runCampaign(campaign: Campaign): Promise<{ reports: FaultReport[]; met: boolean }> {
  const { faults, setting } = campaign
  const { signal } = setting
  const runs = new Map<Fault, RunResult[]>()
  const interruption = interrupted(signal)
  const began = performance.now()
  await Promise.race([callRoll(setting), interruption])
  for (const { fault, number } of order(campaign, () => performance.now() - began)) {
    if (signal.aborted) break
    const started = performance.now()
    const random = campaign.random.fork(`${fault.id}/${number}`)
    const result = await Promise.race([fault.run(setting, `f${fault.id}-${number}`, random), interruption])
    if (result === undefined) break // what was interrupted says nothing
    runs.set(fault, [...(runs.get(fault) ?? []), withoutEvidence(result)])
    const done = [...runs.values()].flat().length
    setting.note(
      line(
        `[${done}${campaign.durationMs === undefined ? `/${faults.length * campaign.repeat}` : ''}]`,
        fault,
        number,
        result,
        performance.now() - started,
      ),
    )
    campaign.onRun?.({ fault, number, seed: random.seed, result })
    campaign.onResult?.(reportsOf(faults, runs))
  }
  const reports = reportsOf(faults, runs)
  const least = campaign.durationMs === undefined ? campaign.repeat : 1
  const whole = faults.every(fault => (runs.get(fault)?.length ?? 0) >= least)
  return { reports, met: whole && allMet(reports) }
}

/** What tables need; ledgers and reports would fill the memory. */
function withoutEvidence({ violations, gapMs, measures, stallMs, error, totals }: RunResult): RunResult {
  return {
    ...{ violations, totals },
    ...(gapMs !== undefined && { gapMs }),
    ...(measures !== undefined && { measures }),
    ...(stallMs !== undefined && { stallMs }),
    ...(error !== undefined && { error }),
  }
}

/** Every fault so many times; or all of them in turn until the time is over. */
function* order(
  { faults, repeat, durationMs }: Campaign,
  passed: () => number,
): Generator<{ fault: Fault; number: number }> {
  if (durationMs === undefined) {
    for (const fault of faults) for (let number = 1; number <= repeat; number++) yield { fault, number }
    return
  }
  for (let number = 1; number === 1 || passed() < durationMs; number++)
    for (const fault of faults) if (number === 1 || passed() < durationMs) yield { fault, number }
}

/** Resolves when the signal has fired. */
function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

function reportsOf(faults: readonly Fault[], runs: ReadonlyMap<Fault, readonly RunResult[]>): FaultReport[] {
  return faultReports(
    faults.flatMap(scenario => {
      const own = runs.get(scenario) ?? []
      return own.length === 0 ? [] : [{ scenario, runs: own }]
    }),
  )
}

function line(count: string, fault: Fault, number: number, run: RunResult, tookMs: number): string {
  const head = `${count} fault ${fault.id} run ${number}`
  const took = `${Math.round(tookMs / 1000)} s, load average ${(loadavg()[0] ?? 0).toFixed(1)}`
  if (run.error !== undefined) return `${head}: NO RESULT (${run.error}), ${took}`
  const { sent, resolved, handled, rejected, nacked } = run.totals
  const counts = `sent ${sent}, resolved ${resolved}, handled ${handled}${rejected > 0 ? `, rejected ${rejected}` : ''}${nacked > 0 ? `, lanes nacked ${nacked}` : ''}`
  const broken = run.violations.length === 0 ? '' : `\n    ${run.violations.slice(0, 10).join('\n    ')}`
  return `${head}: ${gapsOf(run)} (the load itself stood still for up to ${run.stallMs ?? 0} ms), ${counts}, violations ${run.violations.length}, ${took}${broken}`
}

function gapsOf({ measures, gapMs }: RunResult): string {
  const said = (measures ?? []).map(
    measure =>
      `${measure.name} ${measure.gapMs}${measure.boundMs === undefined ? '' : ` of ${measure.boundMs}`} ms`,
  )
  return said.length === 0 ? `gap ${gapMs ?? '?'} ms` : said.join(', ')
}
