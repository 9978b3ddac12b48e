/** Runs a load: forks its processes, gives them their orders, waits for counts, collects their ledgers. */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Entry, type Ledger, nowMs, openLedger, readLedger } from './ledger.js'
import type { LaneCount } from './party.js'
import type { Group, LoadPlan } from './plan.js'
import type { Order, Report } from './protocol.js'

const PREPARE_LIMIT_MS = 60_000
const DRAIN_LIMIT_MS = 15_000
const EXIT_GRACE_MS = 5_000
const POLL_MS = 50

/** One process of the load, as the coordinator sees it. */
interface Member {
  readonly name: string
  readonly child: ChildProcess
  readonly ledgerFile: string
  lanes: Readonly<Record<string, LaneCount>>
  prepared: boolean
  closed: boolean
  exited: boolean
  failure: string | undefined
}

/** How to start the program of a process; another one stands in for it in tests. */
export type Launch = (name: string) => ChildProcess

/** The load's own program, compiled, beside this file. */
export const launchWorker: Launch = () =>
  fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })

/** A running load. */
export class Load {
  readonly #members: Member[]
  readonly #own: Ledger
  readonly #ownFile: string

  private constructor(members: Member[], ownFile: string) {
    this.#members = members
    this.#ownFile = ownFile
    this.#own = openLedger(ownFile)
    for (const member of members) this.#watch(member)
  }

  /**
   * Forks the processes and connects all parties but the late ones.
   * @param folder - where ledgers go; must exist
   * @throws Error when a party cannot connect
   */
  static async start(
    plan: LoadPlan,
    brokers: readonly string[],
    folder: string,
    launch: Launch = launchWorker,
  ): Promise<Load> {
    const ownFile = join(folder, `${plan.run}-coordinator.jsonl`)
    if (existsSync(ownFile)) throw new Error(`${ownFile} is there already: each run needs a name of its own`)
    const members = plan.processes.map(({ name }) => ({
      name,
      child: launch(name),
      ledgerFile: join(folder, `${plan.run}-${name}.jsonl`),
      lanes: {},
      prepared: false,
      closed: false,
      exited: false,
      failure: undefined,
    }))
    const load = new Load(members, ownFile)
    for (const [i, member] of members.entries()) {
      const process = plan.processes[i]
      if (process === undefined) continue
      const { run, lifetimeMs } = plan
      tell(member, {
        do: 'prepare',
        assignment: { plan: process, run, lifetimeMs, ledgerFile: member.ledgerFile, brokers },
      })
    }
    try {
      await load.#until(
        () => members.every(({ prepared }) => prepared),
        PREPARE_LIMIT_MS,
        'all parties to connect',
      )
    } catch (error) {
      load.abandon()
      throw error
    }
    return load
  }

  /** Starts the lanes of a group, in all processes. */
  begin(group: Group): void {
    for (const member of this.#members) tell(member, { do: 'begin', group })
  }

  /** Waits until each lane that has sent has this many confirmed and handled. @throws Error after the limit */
  async flowing(lanes: number, messages: number, limitMs: number): Promise<void> {
    await this.#until(
      () => {
        const counts = [...this.counts().values()]
        return (
          counts.length >= lanes &&
          counts.every(lane => lane.resolved >= messages && lane.handled >= messages)
        )
      },
      limitMs,
      `${messages} messages through each of ${lanes} lanes`,
    )
  }

  /** Sums over the processes, by lane. */
  counts(): Map<string, LaneCount> {
    const sums = new Map<string, LaneCount>()
    for (const { lanes } of this.#members) {
      for (const [lane, count] of Object.entries(lanes)) {
        const sum = sums.get(lane) ?? { sent: 0, resolved: 0, rejected: 0, handled: 0 }
        sums.set(lane, {
          sent: sum.sent + count.sent,
          resolved: sum.resolved + count.resolved,
          rejected: sum.rejected + count.rejected,
          handled: sum.handled + count.handled,
        })
      }
    }
    return sums
  }

  /** Ends the sending. */
  stop(): void {
    for (const member of this.#members) tell(member, { do: 'stop' })
  }

  /**
   * Drains: waits until every promise has settled and what resolved is handled, at most so long. Does not throw:
   * what is missing then is for the judge.
   * @returns whether all of it came
   */
  async settle(limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs
    await sleep(3 * POLL_MS) // one more report of each process at least
    for (let quiet = 0; quiet < 6; ) {
      const counts = [...this.counts().values()]
      const settled = counts.every(
        lane => lane.resolved + lane.rejected >= lane.sent && lane.handled >= lane.resolved,
      )
      quiet = settled ? quiet + 1 : 0
      if (performance.now() > deadline) return false
      await sleep(POLL_MS)
    }
    return true
  }

  /** Ends the processes in order; one that does not end is killed, and its ledger says so. */
  async close(): Promise<void> {
    for (const member of this.#members) tell(member, { do: 'close', timeoutMs: DRAIN_LIMIT_MS })
    const deadline = performance.now() + DRAIN_LIMIT_MS + EXIT_GRACE_MS
    while (this.#members.some(({ exited }) => !exited) && performance.now() < deadline) await sleep(POLL_MS)
    for (const { name, exited, closed } of this.#members) {
      if (exited) continue
      const message = closed ? `${name} closed its buses and did not end` : `${name} did not close its buses`
      this.#own.write({ kind: 'fatal', t: nowMs(), what: 'hung', message })
    }
    this.abandon()
  }

  /** Kills what is left of the processes. Harmless when nothing is. */
  abandon(): void {
    for (const { child, exited } of this.#members) if (!exited) child.kill('SIGKILL')
    this.#own.close()
  }

  /** All ledgers of the run. n.b. after {@link Load.close} */
  entries(): Entry[] {
    return [...this.#members.map(({ ledgerFile }) => ledgerFile), this.#ownFile].flatMap(readLedger)
  }

  #watch(member: Member): void {
    member.child.on('message', message => {
      const report = message as Report
      take(member, report)
      if (report.is === 'failed')
        this.#own.write({ kind: 'fatal', t: nowMs(), what: 'order-failed', message: report.message })
    })
    member.child.on('error', error => {
      member.failure = error.message
    })
    member.child.once('exit', (code, signal) => void this.#ended(member, code, signal))
  }

  async #ended(member: Member, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    await sleep(POLL_MS) // what it said last may come after its end
    member.exited = true
    if (code === 0 && member.closed) return
    const message = `${member.name} ended with ${signal ?? `code ${code ?? 0}`}${member.closed ? '' : ' before it was told to'}`
    member.failure ??= message
    this.#own.write({ kind: 'fatal', t: nowMs(), what: 'exit', message })
  }

  async #until(holds: () => boolean, limitMs: number, what: string): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!holds()) {
      const failed = this.#members.find(({ failure }) => failure !== undefined)
      if (failed !== undefined) throw new Error(`process ${failed.name} of the load: ${failed.failure ?? ''}`)
      if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`)
      await sleep(POLL_MS)
    }
  }
}

function take(member: Member, report: Report): void {
  if (report.is === 'prepared') member.prepared = true
  else if (report.is === 'closed') member.closed = true
  else if (report.is === 'failed') member.failure = report.message
  else member.lanes = report.lanes
}

function tell(member: Member, order: Order): void {
  if (member.child.connected) member.child.send(order, () => undefined)
}
