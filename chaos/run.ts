/**
 * How one run of a fault goes:
 *
 * heal → place leaders and clients → connect, load flows → inject → observe → heal under load → stop → drain → judge.
 *
 * Whatever throws on the way is an error of the run, never a pass: a fault that could not be injected proves nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { actionOf } from './drivers/compose.js'
import type { Driver, LinkDriver } from './drivers/driver.js'
import { nowMs } from './ledger.js'
import { Load, launchWorker } from './load.js'
import { addressesOf, type ProcessPlan, rollCall, standardPlan } from './plan.js'
import type { Random } from './random.js'
import { type RedisProcess, startRedis } from './redis.js'
import type { RunResult, Scenario, Setting, Times } from './scenario.js'
import type { Place, Stage } from './stage.js'
import { NOTHING, verdictOf } from './verdict.js'

const TIMES: Times = {
  steadyMs: 1_500,
  afterMs: Number.POSITIVE_INFINITY,
  drainMs: Number.POSITIVE_INFINITY,
}
const FLOWING = { messages: 20, limitMs: 30_000 }
/** First messages of quiet and late lanes come within this time after the injection: a new leader takes about 200 ms. */
const FIRST_WITHIN_MS = 400

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
    const at = { injectedAt, observedUntil, healedAt, loadEnd }
    return verdictOf(this.#scenario, this.#setting.cast, load.entries(), at, this.#notes)
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
