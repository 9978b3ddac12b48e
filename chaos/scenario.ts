/** A fault as the engine sees it, what its runs share, and what becomes of one. Types only; run.ts makes runs. */
import type { Action } from './drivers/actions.js'
import type { Driver, LinkAction, LinkDriver } from './drivers/driver.js'
import type { Terms, Violation } from './invariants.js'
import type { Entry } from './ledger.js'
import type { Measure } from './measures.js'
import type { Launch } from './member.js'
import type { Cast } from './plan.js'
import type { RunModel } from './report-model.js'
import type { Bound, Expectation, LoadSpec } from './script.js'
import type { Place, Stage } from './stage.js'

/** One row of the table of faults, or one sub-case of it; or one of a user's own. */
export interface Scenario {
  /** `2`, `4a`. */
  readonly id: string
  readonly name: string
  readonly description: string
  /** I6. */
  readonly bound: Bound
  /** Who takes part; all but the steady ones begin at the injection. */
  readonly load: LoadSpec
  /** Clients reach the nodes through links. */
  readonly links: boolean
  /** What drivers must be able to do for it. */
  readonly needs: readonly Action[]
  readonly needsLinks: readonly LinkAction[]
  /** How long the fault is looked at before it is healed, from the injection, ms. */
  readonly observeMs: number
  /** Whether healing belongs to the fault (a restart, a revival): its gaps count too. */
  readonly healingCounts: boolean
  /** Load after healing, ms. */
  readonly afterMs: number
  /** Longest time of draining, ms. */
  readonly drainMs: number
  readonly expect: Expectation
  /** Moves leaders, gates listeners. @returns the brokers that clients are given */
  place(place: Place): Promise<readonly string[]>
  /** Checks, with the load flowing, that all stands as the fault needs it. @throws Error when it does not */
  armed(stage: Stage): Promise<void>
  /** @throws Error when the fault could not be injected */
  inject(stage: Stage): Promise<void>
  /** Ends the fault. @returns when it had ended, ms since the epoch: that may be before all is whole */
  heal(stage: Stage): Promise<number>
}

/** What is the same for all runs. */
export interface Setting {
  readonly driver: Driver
  /** Something between clients and nodes, new for each run; undefined where nothing can stand there. */
  readonly links: (() => LinkDriver) | undefined
  readonly cast: Cast
  /** Ledgers go here. */
  readonly folder: string
  /** Time between two messages of a lane, ms. */
  readonly everyMs: number
  readonly note: (line: string) => void
  /** Ends the run that is under way; it then has no result. */
  readonly signal: AbortSignal
  readonly launch?: Launch
  /** How long a soak lasts, ms. */
  readonly soakMs?: number
  /** Shorter times, for tests of the engine. */
  readonly times?: Partial<Times>
}

/** Of a run. */
export interface Times {
  /** Steady load before the injection. */
  readonly steadyMs: number
  /** At most this long, whatever the scenario says. */
  readonly afterMs: number
  readonly drainMs: number
}

/** Counts of one run, for people. */
export interface Totals {
  readonly sent: number
  readonly resolved: number
  readonly rejected: number
  readonly handled: number
  /** How often a lane met a queue without leader, or full: the nack trap. */
  readonly nacked: number
}

/** What became of one run. */
export interface RunResult {
  readonly violations: readonly string[]
  /** Worst lane of the measure that is nearest to its bound; undefined when the run has no result. */
  readonly gapMs?: number
  readonly measures?: readonly Pick<Measure, 'name' | 'gapMs' | 'boundMs'>[]
  /** How long the load itself stood still: below this a gap says nothing. */
  readonly stallMs?: number
  /** The run could not be made. */
  readonly error?: string
  readonly totals: Totals
  /** What reports are made from; absent when the run has no ledgers. */
  readonly evidence?: Evidence
  /** The report of a fault that makes its own. */
  readonly model?: RunModel
}

/** All that was seen. */
export interface Evidence {
  readonly entries: readonly Entry[]
  readonly violations: readonly Violation[]
  readonly measures: readonly Measure[]
  readonly terms: Terms
  readonly injectedAt: number
  readonly healedAt: number
  readonly notes: readonly string[]
}
