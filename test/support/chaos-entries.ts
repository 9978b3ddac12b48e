/** Ledgers made by hand, for tests of what is made from them. */
import type { Entry } from '../../chaos/ledger.js'
import type { GapMeasure, ReportModel, RunModel } from '../../chaos/report-model.js'
import { type RunFacts, runModel } from '../../chaos/report-run.js'

export const EPOCH = '14b3c9043ce002ac'
export const LANE = 'heh-1>vpp-1#report'

/** Message n is sent at n × 100 ms, confirmed 10 ms and handled 20 ms later. */
export function flow(count: number, lane: string = LANE, from = 0): Entry[] {
  return Array.from({ length: count }, (_, n): Entry[] => {
    const t = from + n * 100
    return [
      { kind: 'sent', t, lane, n, deadline: t + 65_000 },
      { kind: 'resolved', t: t + 10, lane, n, epoch: EPOCH, seq: n + 5 },
      { kind: 'handled', t: t + 20, lane, n, from: lane.split('>')[0] ?? '' },
    ]
  }).flat()
}

export const TERMS = { judgedAt: 1_000_000, allowedRejections: new Set<string>() }

export function facts(changes: Partial<RunFacts> = {}): RunFacts {
  return {
    ...{
      id: '2',
      name: 'kill -9 the leader',
      number: 1,
      seed: 'abc/2/1',
      command: 'sealbus chaos run --seed abc',
    },
    ...{
      configuration: [{ name: 'broker', value: 'rabbitmq 3.10.8' }],
      measures: [],
      violations: [],
      terms: TERMS,
    },
    faults: [{ name: 'kill', injectedAt: 500, healedAt: 900 }],
    ...changes,
  }
}

export function measureOf(boundMs: number | undefined, confirmMs: number, deliveryMs: number): GapMeasure {
  const gaps = [{ lane: LANE, confirmMs, deliveryMs, dead: false }]
  return { name: 'gap', gapMs: Math.max(confirmMs, deliveryMs), boundMs, gaps }
}

export function report(...runs: RunModel[]): ReportModel {
  return {
    ...{ title: 'sealbus chaos run', madeAt: '2026-01-02T03:04:05.678Z', seed: 'abc', runs },
    command: 'sealbus chaos run --seed abc',
  }
}

/** One run of each verdict. */
export function threeRuns(): RunModel[] {
  const measures = [measureOf(3_000, 1_150, 900)]
  const lossy = flow(30).filter(entry => !(entry.kind === 'handled' && entry.n >= 7 && entry.n <= 9))
  const lost = { invariant: 'I1', message: `${LANE}: 7, 8, 9 resolved, but neither handled` } as const
  return [
    runModel(facts({ measures }), flow(30)),
    runModel(facts({ number: 2, measures, violations: [lost] }), lossy),
    runModel(facts({ id: '7a', number: 1, faults: [], error: 'not injected: no root' }), []),
  ]
}
