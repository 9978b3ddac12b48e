/** One process of the load as the coordinator sees it: its lives, what it says, how it ends. */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Entry, type Ledger, nowMs, readLedger } from './ledger.js'
import type { LaneCount } from './party.js'
import type { Group, ProcessPlan } from './plan.js'
import type { Assignment, Order, Report } from './protocol.js'

const POLL_MS = 50
const RESTART_LIMIT = 20 // lives of one run; more would be a loop

/** How to start the program of a process; another one stands in for it in tests. */
export type Launch = (name: string) => ChildProcess

/** What all processes of a run have in common. */
export type Common = Pick<Assignment, 'run' | 'lifetimeMs' | 'brokers' | 'hosts' | 'redis'>

/** What the coordinator knows of a life. */
interface Life {
  readonly number: number
  readonly child: ChildProcess
  readonly lanes: readonly string[]
  prepared: boolean
  closed: boolean
  exited: boolean
}

/** A process, in one life after the other. */
export class Member {
  readonly plan: ProcessPlan
  readonly ledgerFile: string
  /** Why it is of no use any more. */
  failure: string | undefined
  /** It may die, and that is no crash: it was told to, or what it handles kills it. */
  mayDie = false
  readonly #common: Common
  readonly #launch: Launch
  readonly #own: Ledger
  readonly #counts = new Map<string, Readonly<Record<string, LaneCount>>>()
  readonly #restartMs: number | undefined
  readonly #begun: Group[] = []
  #life: Life
  #running = true

  /** @param own - the coordinator's ledger, for what a process cannot write any more */
  constructor(plan: ProcessPlan, ledgerFile: string, common: Common, launch: Launch, own: Ledger) {
    this.plan = plan
    this.ledgerFile = ledgerFile
    this.#common = common
    this.#launch = launch
    this.#own = own
    this.#restartMs = plan.parties.map(({ restartMs }) => restartMs).find(ms => ms !== undefined)
    this.#life = this.#start(1)
  }

  get name(): string {
    return this.plan.name
  }

  get prepared(): boolean {
    return this.#life.prepared
  }

  get exited(): boolean {
    return this.#life.exited
  }

  get closed(): boolean {
    return this.#life.closed
  }

  /** By lane, of all lives. */
  get counts(): readonly Readonly<Record<string, LaneCount>>[] {
    return [...this.#counts.values()]
  }

  tell(order: Order): void {
    const { child } = this.#life
    if (child.connected) child.send(order, () => undefined)
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#life.exited) this.#life.child.kill(name)
  }

  /** Starts the lanes of a group, in this life and in those that follow. */
  begin(group: Group): void {
    this.#begun.push(group)
    this.tell({ do: 'begin', group })
  }

  /** Ends the sending. */
  stop(): void {
    this.#begun.length = 0
    this.tell({ do: 'stop' })
  }

  /** Another life. @throws Error while this one lasts */
  revive(): void {
    if (!this.#life.exited) throw new Error(`process ${this.name} of the load was to be started and runs`)
    this.failure = undefined
    this.#life = this.#start(this.#life.number + 1)
  }

  /** No life will follow this one. */
  retire(): void {
    this.#running = false
  }

  #start(number: number): Life {
    const lanes = this.plan.lanes.map(({ lane }) => laneOfLife(lane, number))
    const child = this.#launch(this.name)
    const life = { number, child, lanes, prepared: false, closed: false, exited: false }
    child.on('message', message => this.#take(life, message as Report))
    child.on('error', error => {
      this.failure = error.message
    })
    child.once('exit', (code, signal) => void this.#ended(life, code, signal))
    const plan = {
      ...this.plan,
      lanes: this.plan.lanes.map(each => ({ ...each, lane: laneOfLife(each.lane, number) })),
    }
    const { brokers = this.#common.brokers } = this.plan
    const assignment = { ...this.#common, brokers, plan, life: number, ledgerFile: this.ledgerFile }
    if (child.connected) child.send({ do: 'prepare', assignment } satisfies Order, () => undefined)
    return life
  }

  #take(life: Life, report: Report): void {
    if (report.is === 'prepared') this.#prepared(life)
    else if (report.is === 'closed') life.closed = true
    else if (report.is === 'progress') this.#counts.set(String(life.number), report.lanes)
    else {
      this.failure = report.message
      this.#own.write({ kind: 'fatal', t: nowMs(), what: 'order-failed', message: report.message })
    }
  }

  #prepared(life: Life): void {
    life.prepared = true
    if (life.number > 1) for (const group of this.#begun) this.tell({ do: 'begin', group })
  }

  async #ended(life: Life, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    await sleep(POLL_MS) // what it said last may come after its end
    if (!life.closed) this.#countsOf(life)
    life.exited = true
    if (this.#running && (this.mayDie || life.closed)) {
      this.#own.write({ kind: 'ended', t: nowMs(), process: this.name, lanes: life.lanes })
      if (this.#restartMs !== undefined && life.number < RESTART_LIMIT)
        setTimeout(() => this.#again(), this.#restartMs).unref()
    }
    if ((code === 0 && life.closed) || this.mayDie) return
    const message = `${this.name} ended with ${signal ?? `code ${code ?? 0}`}${life.closed ? '' : ' before it was told to'}`
    this.failure ??= message
    this.#own.write({ kind: 'fatal', t: nowMs(), what: 'exit', message })
  }

  #again(): void {
    if (this.#running && this.#life.exited) this.revive()
  }

  /** n.b. one that was killed did not say its last numbers; its ledger has them. What it had not settled counts as never sent. */
  #countsOf(life: Life): void {
    const counts: Record<string, LaneCount> = {}
    const handled = new Set<string>()
    for (const entry of readLedger(this.ledgerFile)) countEntry(entry, counts, handled)
    for (const count of Object.values(counts)) count.sent = count.resolved + count.rejected
    for (let number = 1; number < life.number; number++) this.#counts.delete(String(number))
    this.#counts.set(String(life.number), counts)
  }
}

/** The first life's lanes have their plain names. */
function laneOfLife(lane: string, life: number): string {
  return life === 1 ? lane : `${lane}~${life}`
}

function countEntry(entry: Entry, counts: Record<string, LaneCount>, handled: Set<string>): void {
  if (entry.kind !== 'resolved' && entry.kind !== 'rejected' && entry.kind !== 'handled') return
  const key = `${entry.lane}:${entry.n}`
  if (entry.kind === 'handled' && handled.has(key)) return
  if (entry.kind === 'handled') handled.add(key)
  counts[entry.lane] ??= { sent: 0, resolved: 0, rejected: 0, handled: 0 }
  const count = counts[entry.lane]
  if (count !== undefined) count[entry.kind]++
}
