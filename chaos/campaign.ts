/** Many runs one after the other: each chosen fault so many times, with progress, stopped cleanly when asked. */

import { loadavg } from 'node:os'
import type { Random } from './random.js'
import { allMet, type FaultReport, faultReports, type ScenarioResult } from './report.js'
import { callRoll, type RunResult, runOnce, type Scenario, type Setting } from './scenario.js'

/** What to run. */
export interface Campaign {
  readonly scenarios: readonly Scenario[]
  readonly repeat: number
  readonly random: Random
  readonly setting: Setting
  /** Called after each run with all results so far. */
  readonly onResult?: (reports: readonly FaultReport[]) => void
}

/** Runs it. @returns the reports, and whether all was met and nothing left out */
export async function runCampaign(campaign: Campaign): Promise<{ reports: FaultReport[]; met: boolean }> {
  const { scenarios, repeat, setting } = campaign
  const { signal } = setting
  const results: { scenario: Scenario; runs: RunResult[] }[] = []
  const interruption = interrupted(signal)
  let done = 0
  await Promise.race([callRoll(setting), interruption])
  for (const scenario of scenarios) {
    const result = { scenario, runs: [] as RunResult[] }
    for (let i = 1; i <= repeat && !signal.aborted; i++) {
      if (i === 1) results.push(result)
      const started = performance.now()
      const random = campaign.random.fork(`${scenario.id}/${i}`)
      const run = await Promise.race([
        runOnce(scenario, setting, `f${scenario.id}-${i}`, random),
        interruption,
      ])
      if (run === undefined) break // what was interrupted says nothing
      result.runs.push(run)
      setting.note(line(++done, scenarios.length * repeat, scenario, i, run, performance.now() - started))
      campaign.onResult?.(reportsOf(results))
    }
  }
  const reports = reportsOf(results)
  return { reports, met: done === scenarios.length * repeat && allMet(reports) }
}

/** Resolves when the signal has fired. */
function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

function reportsOf(results: readonly ScenarioResult[]): FaultReport[] {
  return faultReports(results.filter(({ runs }) => runs.length > 0))
}

function line(
  done: number,
  all: number,
  scenario: Scenario,
  i: number,
  run: RunResult,
  tookMs: number,
): string {
  const head = `[${done}/${all}] fault ${scenario.id} run ${i}`
  const took = `${Math.round(tookMs / 1000)} s, load average ${(loadavg()[0] ?? 0).toFixed(1)}`
  if (run.error !== undefined) return `${head}: NO RESULT (${run.error}), ${took}`
  const { sent, resolved, handled, rejected, nacked } = run.totals
  const counts = `sent ${sent}, resolved ${resolved}, handled ${handled}${rejected > 0 ? `, rejected ${rejected}` : ''}${nacked > 0 ? `, lanes nacked ${nacked}` : ''}`
  const broken = run.violations.length === 0 ? '' : `\n    ${run.violations.slice(0, 10).join('\n    ')}`
  return `${head}: gap ${run.gapMs ?? '?'} of ${scenario.boundMs} ms (the load itself stood still for up to ${run.stallMs ?? 0} ms), ${counts}, violations ${run.violations.length}, ${took}${broken}`
}
