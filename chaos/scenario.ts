/**
 * A fault, and how one run of it goes:
 *
 * heal → place leaders and clients → connect, load flows → inject → observe → heal under load → stop → drain → judge.
 *
 * Whatever throws on the way is an error of the run, never a pass: a fault that could not be injected proves nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterDriver } from './drivers/driver.js'
import { gapMs, laneGaps, longestStall } from './gap.js'
import { judge } from './invariants.js'
import { type Entry, nowMs } from './ledger.js'
import { type Launch, Load, launchWorker } from './load.js'
import { addressesOf, type Cast, type Group, rollCall, standardPlan } from './plan.js'
import { Proxies } from './proxies.js'
import type { Random } from './random.js'

/** What a scenario works with during one run. */
export interface Stage {
  readonly driver: ClusterDriver
  readonly random: Random
  /** Proxies before the nodes; ended after the run. */
  readonly proxies: Proxies
  /** The load; from {@link Scenario.armed} on. */
  readonly load: Load
  /** Must be called at the moment of the injection; again where a fault comes several times. */
  injected(): void
  /** A line for people. */
  note(line: string): void
}

/** One row of the table of faults, or one sub-case of it. */
export interface Scenario {
  /** `2`, `4a`. */
  readonly id: string
  readonly name: string
  /** I6. */
  readonly boundMs: number
  /** Who takes part; quiet and late ones begin at the injection. */
  readonly groups: readonly Group[]
  /** How long the fault is looked at before it is healed, ms. */
  readonly observeMs: number
  /** Whether healing belongs to the fault (a restart, a revival): its gaps count too. */
  readonly healingCounts: boolean
  /** Moves leaders, gates listeners, sets up proxies. @returns the brokers that clients are given */
  place(stage: Omit<Stage, 'load'>): Promise<readonly string[]>
  /** Checks, with the load flowing, that all stands as the fault needs it. @throws Error when it does not */
  armed(stage: Stage): Promise<void>
  /** @throws Error when the fault could not be injected */
  inject(stage: Stage): Promise<void>
  /** Ends the fault. */
  heal(stage: Stage): Promise<void>
}

/** What is the same for all runs. */
export interface Setting {
  readonly driver: ClusterDriver
  readonly cast: Cast
  /** Ledgers go here. */
  readonly folder: string
  /** Time between two messages of a lane, ms. */
  readonly everyMs: number
  readonly note: (line: string) => void
  /** Ends the run that is under way; it then has no result. */
  readonly signal: AbortSignal
  readonly launch?: Launch
  /** Shorter times, for tests of the engine. */
  readonly times?: Partial<Times>
}

interface Times {
  /** Steady load before the injection. */
  readonly steadyMs: number
  /** Load after healing. */
  readonly afterMs: number
  readonly drainMs: number
}

const TIMES: Times = { steadyMs: 1_500, afterMs: 2_000, drainMs: 70_000 } // drain: a message's lifetime and some
const FLOWING = { messages: 20, limitMs: 30_000 }
/** First messages of quiet and late lanes come within this time after the injection: a new leader takes about 200 ms. */
const FIRST_WITHIN_MS = 400
const GROWTH_LIMIT_BYTES: number = 256 * 2 ** 20

/** Counts of one run, for people. */
export interface Totals {
  readonly sent: number
  readonly resolved: number
  readonly rejected: number
  readonly handled: number
  /** How often a lane met a queue without leader, or full: the nack trap. */
  readonly nacked: number
}

const NOTHING: Totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, nacked: 0 }

/** What became of one run. */
export interface RunResult {
  readonly violations: readonly string[]
  /** Worst lane; undefined when the run has no result. */
  readonly gapMs?: number
  /** How long the load itself stood still: below this a gap says nothing. */
  readonly stallMs?: number
  /** The run could not be made. */
  readonly error?: string
  readonly totals: Totals
}

/**
 * Everybody who declares an inbox does it once, while all nodes run: one that is declared without a node would lack a
 * member for ever. @throws Error when somebody cannot connect
 */
export async function callRoll({ driver, cast, folder, launch }: Setting): Promise<void> {
  await driver.heal()
  const brokers = driver.nodes.map(node => driver.url(node))
  const load = await Load.start(rollCall(cast, 'roll-call'), brokers, folder, launch)
  await load.close()
  const fatal = load.entries().find(entry => entry.kind === 'fatal')
  if (fatal !== undefined) throw new Error(`before any fault: ${fatal.what}: ${fatal.message}`)
}

/** Makes one run and judges it. Never throws. */
export async function runOnce(
  scenario: Scenario,
  setting: Setting,
  run: string,
  random: Random,
): Promise<RunResult> {
  const proxies = new Proxies(setting.driver)
  try {
    return await new Run(scenario, setting, run, random, proxies).make()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { violations: [], error: message, totals: NOTHING }
  } finally {
    await proxies.close()
  }
}

class Run {
  readonly #scenario: Scenario
  readonly #setting: Setting
  readonly #run: string
  readonly #random: Random
  readonly #times: Times
  readonly #stage: Omit<Stage, 'load'>
  #injectedAt: number | undefined
  #load: Load | undefined

  constructor(scenario: Scenario, setting: Setting, run: string, random: Random, proxies: Proxies) {
    this.#scenario = scenario
    this.#setting = setting
    this.#run = run
    this.#random = random
    this.#times = { ...TIMES, ...setting.times }
    const { driver, note } = setting
    this.#stage = { driver, random, proxies, note, injected: () => this.#injected() }
  }

  async make(): Promise<RunResult> {
    const { driver, cast } = this.#setting
    await driver.heal()
    await driver.purge(addressesOf(cast))
    const brokers = await this.#scenario.place(this.#stage)
    const load = await this.#startLoad(brokers)
    const abandon = (): void => load.abandon()
    this.#setting.signal.addEventListener('abort', abandon)
    try {
      return await this.#underLoad({ ...this.#stage, load })
    } finally {
      this.#setting.signal.removeEventListener('abort', abandon)
      load.abandon()
    }
  }

  async #startLoad(brokers: readonly string[]): Promise<Load> {
    const { cast, everyMs, folder, launch = launchWorker } = this.#setting
    const { groups } = this.#scenario
    const delayMs = (): number => this.#random.int(0, FIRST_WITHIN_MS)
    const plan = standardPlan(cast, { run: this.#run, everyMs, groups, delayMs })
    this.#load = await Load.start(plan, brokers, folder, launch)
    this.#load.begin('steady')
    await this.#load.flowing(2 * cast.steady.length, FLOWING.messages, FLOWING.limitMs)
    await this.#pause(this.#times.steadyMs)
    return this.#load
  }

  async #underLoad(stage: Stage): Promise<RunResult> {
    const { observeMs, healingCounts } = this.#scenario
    await this.#scenario.armed(stage)
    await this.#scenario.inject(stage)
    const from = this.#injectedAt
    if (from === undefined) throw new Error('the scenario injected nothing')
    await this.#pause(from + observeMs - nowMs())
    const healedAt = nowMs()
    await this.#scenario.heal(stage)
    await this.#pause(this.#times.afterMs)
    const loadEnd = nowMs()
    stage.load.stop()
    await stage.load.settle(this.#times.drainMs)
    await stage.load.close()
    return this.#judge(stage.load.entries(), { from, until: healingCounts ? loadEnd : healedAt, loadEnd })
  }

  #judge(entries: readonly Entry[], window: { from: number; until: number; loadEnd: number }): RunResult {
    const gaps = laneGaps(entries, window)
    const violations = judge(entries, gaps, {
      judgedAt: nowMs(),
      growthLimitBytes: GROWTH_LIMIT_BYTES,
      allowedRejections: new Set(), // none of these faults outlives a message
      boundMs: this.#scenario.boundMs,
    })
    const worst = Math.max(0, ...gaps.map(gapMs))
    return {
      violations: violations.map(({ invariant, message }) => `${invariant} ${message}`),
      gapMs: Math.round(worst),
      stallMs: Math.round(longestStall(entries, window)),
      totals: totalsOf(entries),
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(Math.max(0, ms), undefined, { signal: this.#setting.signal })
  }

  /** The first call is the instant that gaps count from; it also lets the quiet and the late begin. */
  #injected(): void {
    if (this.#injectedAt !== undefined) return
    this.#injectedAt = nowMs()
    for (const group of this.#scenario.groups) if (group !== 'steady') this.#load?.begin(group)
  }
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
