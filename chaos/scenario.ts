/**
 * A fault, and how one run of it goes:
 *
 * heal → place leaders and clients → connect, load flows → inject → observe → heal under load → stop → drain → judge.
 *
 * Whatever throws on the way is an error of the run, never a pass: a fault that could not be injected proves nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Action } from './drivers/actions.js'
import { actionOf } from './drivers/compose.js'
import type { Driver, LinkAction, LinkDriver } from './drivers/driver.js'
import { asExpected } from './expected.js'
import { longestStall } from './gap.js'
import { judge, type Terms, type Violation } from './invariants.js'
import { type Entry, nowMs } from './ledger.js'
import { Load, launchWorker } from './load.js'
import { backInTime, type Instants, type Measure, measuresOf, tightest } from './measures.js'
import type { Launch } from './member.js'
import { addressesOf, type Cast, type ProcessPlan, rollCall, standardPlan } from './plan.js'
import { participantOf } from './play.js'
import type { Random } from './random.js'
import { type RedisProcess, startRedis } from './redis.js'
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

interface Times {
  /** Steady load before the injection. */
  readonly steadyMs: number
  /** At most this long, whatever the scenario says. */
  readonly afterMs: number
  readonly drainMs: number
}

const TIMES: Times = {
  steadyMs: 1_500,
  afterMs: Number.POSITIVE_INFINITY,
  drainMs: Number.POSITIVE_INFINITY,
}
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
  const links = scenario.links ? setting.links?.() : undefined
  let redis: RedisProcess | undefined
  let made: Run | undefined
  try {
    checkAbilities(scenario, setting.driver, links)
    if (wantsRedis(scenario)) redis = await startRedis()
    made = new Run(scenario, setting, run, random, links, redis?.socket)
    return await made.make()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { violations: [], error: message, totals: NOTHING }
  } finally {
    await made?.close()
    await links?.close()
    await redis?.close()
  }
}

/** @throws Error `not injected: …` before anything is started */
function checkAbilities(scenario: Scenario, driver: Driver, links: LinkDriver | undefined): void {
  for (const action of scenario.needs) actionOf(driver, action)
  const missing = scenario.needsLinks.find(action => links?.can.has(action) !== true)
  if (missing !== undefined || (scenario.links && links === undefined))
    throw new Error(
      `not injected: nothing between clients and nodes can ${missing ?? 'carry them'}; give the scenario place.links: true, and the run a link driver (--driver proxy)`,
    )
}

function wantsRedis({ load }: Scenario): boolean {
  return [...load.parties.values()].some(({ seen }) => seen === 'shared')
}

class Run {
  readonly #scenario: Scenario
  readonly #setting: Setting
  readonly #run: string
  readonly #random: Random
  readonly #times: Times
  readonly #place: Place
  readonly #notes: string[] = []
  readonly #redis: string | undefined
  readonly #own = new Map<string, LinkDriver>()
  #injectedAt: number | undefined
  #load: Load | undefined

  constructor(
    scenario: Scenario,
    setting: Setting,
    run: string,
    random: Random,
    links: LinkDriver | undefined,
    redis: string | undefined,
  ) {
    this.#redis = redis
    this.#scenario = scenario
    this.#setting = setting
    this.#run = run
    this.#random = random
    this.#times = { ...TIMES, ...setting.times }
    const { driver, cast, signal } = setting
    const note = (line: string): void => {
      this.#notes.push(line)
      setting.note(line)
    }
    this.#place = { driver, links, random, cast, note, signal }
  }

  async make(): Promise<RunResult> {
    const { driver, cast } = this.#setting
    await driver.heal()
    await driver.actions.purge?.(addressesOf(cast))
    const brokers = await this.#scenario.place(this.#place)
    const load = await this.#startLoad(brokers)
    const abandon = (): void => load.abandon()
    this.#setting.signal.addEventListener('abort', abandon)
    try {
      return await this.#underLoad(this.#stage(load), load)
    } finally {
      this.#setting.signal.removeEventListener('abort', abandon)
      load.abandon()
    }
  }

  async #startLoad(brokers: readonly string[]): Promise<Load> {
    const { cast, folder, launch = launchWorker } = this.#setting
    const { groups, rate, lifetimeMs, parties } = this.#scenario.load
    const everyMs = rate === undefined ? this.#setting.everyMs : 1_000 / rate
    const delayMs = (): number => this.#random.int(0, FIRST_WITHIN_MS)
    const plan = standardPlan(cast, { run: this.#run, everyMs, groups, delayMs, lifetimeMs, parties })
    const processes = await Promise.all(plan.processes.map(process => this.#linked(process)))
    const hosts = [...this.#own.values(), this.#place.links].flatMap(links => links?.hosts ?? [])
    this.#load = await Load.start({ ...plan, processes, hosts, redis: this.#redis }, brokers, folder, launch)
    this.#load.begin('steady')
    await this.#load.flowing(2 * cast.steady.length, FLOWING.messages, FLOWING.limitMs)
    await this.#pause(this.#times.steadyMs)
    return this.#load
  }

  /** A process of a party with links of its own dials those. */
  async #linked(process: ProcessPlan): Promise<ProcessPlan> {
    const [party] = process.parties
    if (party?.links !== true) return process
    const links = this.#setting.links?.()
    if (links === undefined) throw new Error('not injected: nothing can stand between clients and nodes')
    this.#own.set(party.role, links)
    return { ...process, brokers: await links.everywhere() }
  }

  #stage(load: Load): Stage {
    const linksOf = (party: string): LinkDriver => {
      const links = this.#own.get(party)
      if (links !== undefined) return links
      throw new Error(
        `not injected: ${party} has no links of its own; give it some in load.parties: {links: true}`,
      )
    }
    return { ...this.#place, load, linksOf, injected: () => this.#injected() }
  }

  /** Ends what stands between parties and nodes. */
  async close(): Promise<void> {
    await Promise.all([...this.#own.values()].map(links => links.close()))
  }

  async #underLoad(stage: Stage, load: Load): Promise<RunResult> {
    const { observeMs, healingCounts, afterMs, drainMs } = this.#scenario
    await this.#scenario.armed(stage)
    await this.#scenario.inject(stage)
    const injectedAt = this.#injectedAt
    if (injectedAt === undefined) throw new Error('the scenario injected nothing')
    await this.#pause(injectedAt + observeMs - nowMs())
    const healingAt = nowMs()
    const healedAt = await this.#scenario.heal(stage)
    await this.#pause(Math.min(afterMs, this.#times.afterMs))
    const loadEnd = nowMs()
    load.stop()
    await load.settle(Math.min(drainMs, this.#times.drainMs))
    await load.close()
    const observedUntil = healingCounts ? loadEnd : healingAt
    return this.#judge(load.entries(), { injectedAt, observedUntil, healedAt, loadEnd })
  }

  #judge(entries: readonly Entry[], at: Instants): RunResult {
    const { bound, expect } = this.#scenario
    const terms: Terms = {
      judgedAt: nowMs(),
      growthLimitBytes: GROWTH_LIMIT_BYTES,
      allowedRejections: new Set(expect.rejections),
      twice: expect.twice,
    }
    const measures = measuresOf(entries, bound, at, lane => this.#isBound(lane))
    const window = { from: at.injectedAt, until: at.loadEnd }
    const violations = [
      ...judge(entries, terms),
      ...backInTime(measures),
      ...asExpected(entries, expect, window),
    ]
    const { injectedAt, healedAt, observedUntil, loadEnd } = at
    const stall = longestStall(entries, { from: injectedAt, until: observedUntil, loadEnd })
    return {
      violations: violations.map(({ invariant, message }) => `${invariant} ${message}`),
      gapMs: tightest(measures).gapMs,
      measures: measures.map(({ name, gapMs, boundMs }) => ({ name, gapMs, boundMs })),
      stallMs: Math.round(stall),
      totals: totalsOf(entries),
      evidence: { entries, violations, measures, terms, injectedAt, healedAt, notes: this.#notes },
    }
  }

  /** Lanes from and to a party that the fault is meant for are held to no bound. */
  #isBound(lane: string): boolean {
    const exempt = [...this.#scenario.load.parties]
      .filter(([, { unbound = false }]) => unbound)
      .map(([role]) => participantOf(this.#setting.cast, role).address)
    const [ends = ''] = lane.split('#')
    return ends.split('>').every(address => !exempt.includes(address))
  }

  async #pause(ms: number): Promise<void> {
    await sleep(Math.max(0, ms), undefined, { signal: this.#setting.signal })
  }

  /** The first call is the instant that gaps count from; it also lets the quiet and the late begin. */
  #injected(): void {
    if (this.#injectedAt !== undefined) return
    this.#injectedAt = nowMs()
    for (const group of this.#scenario.load.groups) if (group !== 'steady') this.#load?.begin(group)
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
