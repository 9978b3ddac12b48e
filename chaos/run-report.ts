/** A finished run as the model that pages and JUnit files are made from. */
import { hostname } from 'node:os'
import type { FinishedRun } from './campaign.js'
import type { ReportModel, RunModel, Setting } from './report-model.js'
import { runModel } from './report-run.js'

/** What all runs of a command have in common. */
export interface CommandFacts {
  readonly seed: string
  /** `sealbus chaos run`, with what was asked for. */
  readonly command: string
  readonly broker: string
  readonly driver: string
  readonly rate: number
}

/** @returns undefined for a run without ledgers: there is nothing to show but its error */
export function modelOf({ fault, number, seed, result }: FinishedRun, facts: CommandFacts): RunModel {
  const { evidence, error } = result
  if (result.model !== undefined) return { ...result.model, number, configuration: configuration(facts) }
  const { id, name, description } = fault
  const entries = evidence?.entries ?? []
  return runModel(
    {
      ...{ id, name, description, number, seed },
      command: `${facts.command} --seed ${facts.seed}`,
      configuration: configuration(facts),
      measures: evidence?.measures ?? [],
      faults:
        evidence === undefined
          ? []
          : [{ name, injectedAt: evidence.injectedAt, healedAt: evidence.healedAt }],
      violations: evidence?.violations ?? [],
      terms: evidence?.terms ?? { judgedAt: Date.now(), allowedRejections: new Set() },
      ...(error !== undefined && { error }),
      notes: evidence?.notes ?? [],
    },
    entries,
  )
}

/** All runs of a command. */
export function reportOf(runs: readonly RunModel[], { seed, command }: CommandFacts): ReportModel {
  return {
    title: 'sealbus chaos run',
    madeAt: new Date().toISOString(),
    seed,
    command: `${command} --seed ${seed}`,
    runs,
  }
}

function configuration({ broker, driver, rate }: CommandFacts): Setting[] {
  return [
    { name: 'broker', value: broker },
    { name: 'driver', value: driver },
    { name: 'rate', value: `${rate} messages a second in each lane` },
    { name: 'machine', value: hostname() },
    { name: 'node', value: process.version },
  ]
}
