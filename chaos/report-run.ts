/** Makes the report's data of one run: what its ledgers hold over time, and what the judge said. */

import type { Terms, Violation } from './invariants.js'
import type { Entry } from './ledger.js'
import { FindingsMaker } from './report-findings.js'
import type { FaultSpan, Invariant, InvariantVerdict, NamedMessages, RunModel } from './report-model.js'
import { TimelineMaker } from './timeline.js'
import { type Range, rangeOfEntries } from './timeline-range.js'

/** What ledgers do not say. */
export interface RunFacts
  extends Pick<RunModel, 'id' | 'name' | 'number' | 'seed' | 'command' | 'configuration' | 'measures'> {
  readonly description?: string
  /** Times in ms since the epoch. */
  readonly faults: readonly {
    readonly name: string
    readonly injectedAt: number
    readonly healedAt?: number
  }[]
  readonly violations: readonly Violation[]
  /** Those that the judge used. */
  readonly terms: Pick<Terms, 'judgedAt' | 'allowedRejections'>
  /** The run has no result. */
  readonly error?: string
  /** Invariants that were not asked for beside I6 without one. */
  readonly notJudged?: readonly Invariant[]
  readonly notes?: readonly string[]
}

const ASKED: Readonly<Record<Invariant, string>> = {
  I1: 'every confirmed message is handled, or in a place with a name',
  I2: 'the effect of each message happens once',
  I3: 'each lane is handled in the order of sending',
  I4: 'no crash, no unhandled rejection, no promise pending past its deadline, no error that a caller should not see',
  I5: 'memory stays bounded',
  I6: 'confirms and deliveries are back within the bound',
}

const BREAKS: Readonly<Record<NamedMessages['what'], Invariant>> = {
  lost: 'I1',
  duplicated: 'I2',
  reordered: 'I3',
  pending: 'I4',
  rejected: 'I4',
}

/** @param entries - all ledgers of the run, in any order */
export function runModel(facts: RunFacts, entries: readonly Entry[]): RunModel {
  const maker = new RunModelMaker(rangeOfEntries(entries))
  for (const entry of entries.toSorted((a, b) => a.t - b.t)) maker.take(entry)
  return maker.finish(facts)
}

/** For runs whose ledgers are too long to be had at once: takes entries one by one, in the order of time. */
export class RunModelMaker {
  readonly #range: Range
  readonly #timeline: TimelineMaker
  readonly #findings = new FindingsMaker()

  constructor(range: Range) {
    this.#range = range
    this.#timeline = new TimelineMaker(range)
  }

  take(entry: Entry): void {
    this.#timeline.take(entry)
    this.#findings.take(entry)
  }

  /** The messages that broke a promise, among those taken so far. */
  messages(terms: RunFacts['terms']): NamedMessages[] {
    return this.#findings.finish(this.#range.from, terms)
  }

  finish(facts: RunFacts): RunModel {
    const { from, to } = this.#range
    const { id, name, number, seed, command, configuration, measures, error } = facts
    const invariants = verdictsOf(facts, this.messages(facts.terms))
    return {
      ...{ id, name, number, seed, command, configuration, measures, invariants },
      description: facts.description ?? '',
      startedAt: from,
      durationMs: to - from,
      verdict: verdictOf(invariants, error),
      ...(error !== undefined && { error }),
      faults: facts.faults.map(fault => spanOf(fault, from)),
      totals: this.#findings.totals,
      timeline: this.#timeline.finish(),
      notes: facts.notes ?? [],
    }
  }
}

function verdictOf(invariants: readonly InvariantVerdict[], error: string | undefined): RunModel['verdict'] {
  if (invariants.some(({ verdict }) => verdict === 'broken')) return 'not met'
  return error === undefined ? 'met' : 'no result'
}

/**
 * The judge has the last word: a scenario may allow what was named. What was broken is said even when the run has no result.
 */
function verdictsOf(facts: RunFacts, messages: readonly NamedMessages[]): InvariantVerdict[] {
  const { violations, error, measures, notJudged = [] } = facts
  const bound = measures.some(({ boundMs }) => boundMs !== undefined)
  const named = error === undefined ? messages : [] // a run that was cut short was not drained
  return (Object.keys(ASKED) as Invariant[]).map(invariant => {
    const said = violations.filter(violation => violation.invariant === invariant)
    const broken = said.length > 0
    const unasked = error !== undefined || notJudged.includes(invariant) || (invariant === 'I6' && !bound)
    return {
      invariant,
      asks: ASKED[invariant],
      verdict: broken ? 'broken' : unasked ? 'not judged' : 'held',
      violations: said.map(({ message }) => message),
      messages: named.filter(({ what }) => BREAKS[what] === invariant),
    }
  })
}

function spanOf({ name, injectedAt, healedAt }: RunFacts['faults'][number], from: number): FaultSpan {
  return { name, injectedMs: injectedAt - from, ...(healedAt !== undefined && { healedMs: healedAt - from }) }
}
