/** What became of a run, from all its ledgers; pure but for the instant of judging. */
import { asExpected } from './expected.js'
import { longestStall } from './gap.js'
import { judge, type Terms } from './invariants.js'
import { type Entry, nowMs } from './ledger.js'
import { backInTime, type Instants, measuresOf, tightest } from './measures.js'
import type { Cast } from './plan.js'
import { participantOf } from './play.js'
import type { RunResult, Scenario, Totals } from './scenario.js'

/** A process may grow by this much in a run. */
const GROWTH_LIMIT_BYTES: number = 256 * 2 ** 20

/** Of a run that has no ledgers. */
export const NOTHING: Totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, nacked: 0 }

/** Judges it. @param notes - what was said during the run */
export function verdictOf(
  scenario: Scenario,
  cast: Cast,
  entries: readonly Entry[],
  at: Instants,
  notes: readonly string[],
): RunResult {
  const { bound, expect } = scenario
  const terms: Terms = {
    judgedAt: nowMs(),
    growthLimitBytes: GROWTH_LIMIT_BYTES,
    allowedRejections: new Set(expect.rejections),
    twice: expect.twice,
  }
  const { injectedAt, healedAt, observedUntil, loadEnd } = at
  const measures = measuresOf(entries, bound, at, lane => isBound(lane, scenario, cast))
  const window = { from: injectedAt, until: loadEnd }
  const violations = [
    ...judge(entries, terms),
    ...backInTime(measures),
    ...asExpected(entries, expect, window),
  ]
  const stall = longestStall(entries, { from: injectedAt, until: observedUntil, loadEnd })
  return {
    violations: violations.map(({ invariant, message }) => `${invariant} ${message}`),
    gapMs: tightest(measures).gapMs,
    measures: measures.map(({ name, gapMs, boundMs }) => ({ name, gapMs, boundMs })),
    stallMs: Math.round(stall),
    totals: totalsOf(entries),
    evidence: { entries, violations, measures, terms, injectedAt, healedAt, notes },
  }
}

/** Lanes from and to a party that the fault is meant for are held to no bound. */
function isBound(lane: string, { load }: Scenario, cast: Cast): boolean {
  const exempt = [...load.parties]
    .filter(([, { unbound = false }]) => unbound)
    .map(([role]) => participantOf(cast, role).address)
  const [ends = ''] = lane.split('#')
  return ends.split('>').every(address => !exempt.includes(address))
}

function totalsOf(entries: readonly Entry[]): Totals {
  const count = (kind: Entry['kind'], name?: string): number =>
    entries.filter(entry => entry.kind === kind && (entry.kind !== 'event' || entry.name === name)).length
  return {
    sent: count('sent'),
    resolved: count('resolved'),
    rejected: count('rejected'),
    handled: count('handled'),
    nacked: count('event', 'lane-stopped'),
  }
}
