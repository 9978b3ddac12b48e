/** What one process of the load does with its orders: connects its parties, starts and ends their sending. */
import type { Bus, ConsumeOptions, Logger } from '../src/bus.js'
import { type Ledger, nowMs, openLedger, readLedger } from './ledger.js'
import { Mishaps } from './mishaps.js'
import { type LaneCount, LoadParty, ledgerLogger } from './party.js'
import { CONNECT_AT_BEGIN, type Group, type PartyPlan } from './plan.js'
import type { Assignment, Order, Report, Trick } from './protocol.js'
import { answerNames, takeForLoopback } from './resolver.js'
import { vitals } from './soak-vitals.js'
import { block, breakDisk, moveClock } from './tricks.js'

const PROGRESS_MS = 200
const MEMORY_MS = 500

/** Makes a party's bus. */
export type Connect = (party: PartyPlan, assignment: Assignment, logger: Logger) => Promise<Bus>

/** Obeys orders; one at a time, in the order of their coming. */
export class Crew {
  readonly #connect: Connect
  readonly #report: (report: Report) => void
  readonly #counts = new Map<string, LaneCount>()
  readonly #parties: LoadParty[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #assignment: Assignment | undefined
  #ledger: Ledger | undefined
  #mishaps: Mishaps | undefined

  constructor(connect: Connect, report: (report: Report) => void) {
    this.#connect = connect
    this.#report = report
  }

  /** The ledger, once there is an assignment. */
  get ledger(): Ledger | undefined {
    return this.#ledger
  }

  async obey(order: Order): Promise<void> {
    switch (order.do) {
      case 'prepare':
        await this.#prepare(order.assignment)
        break
      case 'begin':
        await this.#begin(order.group)
        break
      case 'stop':
        for (const party of this.#parties) party.stop()
        break
      case 'trick':
        await this.#trick(order.trick)
        break
      case 'close':
        await this.#close(order.timeoutMs)
    }
  }

  async #prepare(assignment: Assignment): Promise<void> {
    this.#assignment = assignment
    takeForLoopback(assignment.hosts)
    const before = readLedger(assignment.ledgerFile)
    const ledger = openLedger(assignment.ledgerFile)
    this.#ledger = ledger
    this.#mishaps = new Mishaps(ledger, before)
    await this.#connectAll(assignment.plan.parties.filter(({ group }) => !CONNECT_AT_BEGIN.has(group)))
    this.#every(MEMORY_MS, () => sampleMemory(ledger, assignment.plan.name))
    this.#every(PROGRESS_MS, () => this.#progress())
    this.#report({ is: 'prepared' })
  }

  async #begin(group: Group): Promise<void> {
    for (const party of this.#parties) party.begin(group)
    if (!CONNECT_AT_BEGIN.has(group)) return
    const { plan } = this.#assigned().assignment
    for (const party of await this.#connectAll(plan.parties.filter(each => each.group === group)))
      party.begin(group)
  }

  async #connectAll(plans: readonly PartyPlan[]): Promise<LoadParty[]> {
    return await Promise.all(plans.map(plan => this.#connectOne(plan)))
  }

  async #connectOne(plan: PartyPlan): Promise<LoadParty> {
    const { assignment, ledger, mishaps } = this.#assigned()
    const { run, lifetimeMs } = assignment
    const { address, handlerMs = 0, until } = plan
    const lanes = assignment.plan.lanes.filter(({ from }) => from === address)
    const bus = await this.#connect(plan, assignment, ledgerLogger(ledger, address))
    const setting = { run, lifetimeMs, lanes, ledger, address, mishaps, handlerMs, ...(until && { until }) }
    const party = new LoadParty({ ...setting, counts: this.#counts }, bus)
    this.#parties.push(party)
    await party.consume(handling(plan))
    return party
  }

  async #close(timeoutMs: number): Promise<void> {
    await Promise.all(this.#parties.map(party => party.close(timeoutMs)))
    for (const timer of this.#timers) clearInterval(timer)
    this.#progress()
    this.#report({ is: 'closed' })
  }

  async #trick(trick: Trick): Promise<void> {
    if (trick.is === 'block') block(trick.forMs)
    else if (trick.is === 'disk') await breakDisk(trick.fault)
    else if (trick.is === 'clock') moveClock(trick.byMs)
    else if (trick.is === 'names') answerNames(trick.names)
    else if (trick.is === 'large') this.#parties[0]?.sendLarge(trick.bytes)
    else this.#assigned().mishaps.arm(trick.is)
  }

  #progress(): void {
    this.#report({ is: 'progress', lanes: Object.fromEntries(this.#counts) })
  }

  #every(ms: number, run: () => void): void {
    run()
    this.#timers.push(setInterval(run, ms))
  }

  #assigned(): { assignment: Assignment; ledger: Ledger; mishaps: Mishaps } {
    if (this.#assignment === undefined || this.#ledger === undefined || this.#mishaps === undefined)
      throw new Error('expected the order "prepare" first')
    return { assignment: this.#assignment, ledger: this.#ledger, mishaps: this.#mishaps }
  }
}

function handling({ handlerLimitMs, concurrency }: PartyPlan): ConsumeOptions {
  return {
    ...(handlerLimitMs !== undefined && { timeoutMs: handlerLimitMs }),
    ...(concurrency !== undefined && { concurrency }),
  }
}

function sampleMemory(ledger: Ledger, process_: string): void {
  const { rss, heapUsed } = process.memoryUsage()
  ledger.write({
    kind: 'memory',
    t: nowMs(),
    process: process_,
    rssBytes: rss,
    heapBytes: heapUsed,
    ...vitals(),
  })
}
