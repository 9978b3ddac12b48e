/** The soak as a row among others: its own program, the same result. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { asError } from '../src/errors.js'
import type { Fault } from './fault.js'
import type { Random } from './random.js'
import type { RunModel } from './report-model.js'
import type { RunResult, Setting } from './scenario.js'
import { runSoak } from './soak.js'

/** Where the command says nothing: long enough for some forty faults. */
export const SOAK_MS = 600_000 // 10 minutes

export const soakFault: Fault = {
  id: '29',
  name: 'soak: one of these at random every 5 to 15 s',
  description: 'Load flows all the time, and faults come at moments and in an order that the seed draws.',
  bound: {},
  run: soaked,
}

async function soaked(setting: Setting, run: string, random: Random): Promise<RunResult> {
  const links = setting.links?.()
  const folder = join(setting.folder, run)
  try {
    mkdirSync(folder)
    const durationMs = setting.soakMs ?? SOAK_MS
    const { model } = await runSoak({
      ...setting,
      ...{ links, folder, durationMs },
      seed: random.seed,
      command: `sealbus chaos run --faults 29 --soak ${durationMs / 1_000}`,
      configuration: [],
    })
    return resultOf(model)
  } catch (error) {
    const totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, nacked: 0 }
    return { violations: [], error: asError(error).message, totals }
  } finally {
    await links?.close()
  }
}

/** n.b. silences stand in the report's timeline; faults overlap, so no gap belongs to one of them. */
function resultOf(model: RunModel): RunResult {
  const { totals, error, invariants } = model
  return {
    violations: invariants.flatMap(({ invariant, verdict, violations }) =>
      verdict === 'broken' ? violations.map(message => `${invariant} ${message}`) : [],
    ),
    ...(error === undefined
      ? { measures: [{ name: 'gap', gapMs: longestSilence(model), boundMs: undefined }] }
      : { error }),
    gapMs: longestSilence(model),
    totals,
    model,
  }
}

function longestSilence({ timeline }: RunModel): number {
  return Math.round(Math.max(0, ...timeline.silences.map(({ fromMs, toMs }) => toMs - fromMs)))
}
