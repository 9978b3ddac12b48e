/** Runs a load: starts its processes, gives them their orders, waits for counts, collects their ledgers. */
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nothingLost } from './invariants.js'
import { type Entry, type Ledger, nowMs, openLedger, readLedger } from './ledger.js'
import { type Launch, Member } from './member.js'
import type { LaneCount } from './party.js'
import type { Group, LoadPlan } from './plan.js'
import type { Trick } from './protocol.js'
import type { LoadControl } from './stage.js'

export type { Launch } from './member.js'

const PREPARE_LIMIT_MS = 60_000
const DRAIN_LIMIT_MS = 15_000
const EXIT_GRACE_MS = 5_000
const POLL_MS = 50
const QUIET_POLLS = 6
const LEDGERS_EVERY_MS = 1_000

/** The load's own program, compiled, beside this file. */
export const launchWorker: Launch = () =>
  fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })

/** A running load. */
export class Load implements LoadControl {
  readonly #members: Member[]
  readonly #own: Ledger
  readonly #ownFile: string

  private constructor(members: Member[], own: Ledger, ownFile: string) {
    this.#members = members
    this.#own = own
    this.#ownFile = ownFile
  }

  /**
   * Starts the processes and connects all parties but the late ones.
   * @param folder - where ledgers go; must exist
   * @throws Error when a party cannot connect
   */
  static async start(
    plan: LoadPlan,
    brokers: readonly string[],
    folder: string,
    launch: Launch = launchWorker,
  ): Promise<Load> {
    const { run, lifetimeMs, redis, hosts = [] } = plan
    const ownFile = join(folder, `${run}-coordinator.jsonl`)
    if (existsSync(ownFile)) throw new Error(`${ownFile} is there already: each run needs a name of its own`)
    const own = openLedger(ownFile)
    const members = plan.processes.map(process => {
      const ledgerFile = join(folder, `${run}-${process.name}.jsonl`)
      return new Member(process, ledgerFile, { run, lifetimeMs, brokers, redis, hosts }, launch, own)
    })
    const load = new Load(members, own, ownFile)
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
    for (const member of this.#members) member.begin(group)
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

  /** Sums over the processes and their lives, by lane. */
  counts(): Map<string, LaneCount> {
    const sums = new Map<string, LaneCount>()
    for (const [lane, count] of this.#members.flatMap(({ counts }) =>
      counts.flatMap(Object.entries<LaneCount>),
    )) {
      const sum = sums.get(lane) ?? { sent: 0, resolved: 0, rejected: 0, handled: 0 }
      sums.set(lane, {
        sent: sum.sent + count.sent,
        resolved: sum.resolved + count.resolved,
        rejected: sum.rejected + count.rejected,
        handled: sum.handled + count.handled,
      })
    }
    return sums
  }

  /** Ends the sending. */
  stop(): void {
    for (const member of this.#members) member.stop()
  }

  /**
   * Drains: waits until every promise has settled and what resolved is handled or in a named place, at most so long. Does
   * not throw: what is missing then is for the judge.
   * @returns whether all of it came
   */
  async settle(limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs
    await sleep(3 * POLL_MS) // one more report of each process at least
    for (let quiet = 0, looked = 0; ; ) {
      const now = performance.now()
      if (now > deadline) return false
      quiet = this.#seemsSettled() ? quiet + 1 : 0
      if (now > looked + LEDGERS_EVERY_MS && (quiet >= QUIET_POLLS || this.#sendsSettled())) {
        // n.b. counts do not know places, and count a message twice that two processes handled
        if (nothingLost(this.entries()).length === 0) return true
        looked = now
      }
      await sleep(POLL_MS)
    }
  }

  #seemsSettled(): boolean {
    return this.#sendsSettled() && [...this.counts().values()].every(lane => lane.handled >= lane.resolved)
  }

  #sendsSettled(): boolean {
    return [...this.counts().values()].every(lane => lane.resolved + lane.rejected >= lane.sent)
  }

  async kill(party: string): Promise<void> {
    const member = this.#member(party)
    member.mayDie = true
    member.signal('SIGKILL')
    await this.ended(party, EXIT_GRACE_MS)
  }

  active(party: string): string {
    const workers = this.#members.filter(({ name }) => name === party || name.startsWith(`${party}-worker-`))
    const lastHandled = ({ ledgerFile }: Member): number =>
      readLedger(ledgerFile).findLast(({ kind }) => kind === 'handled')?.t ?? 0
    const [active] = workers.filter(({ exited }) => !exited).sort((a, b) => lastHandled(b) - lastHandled(a))
    if (active !== undefined && lastHandled(active) > 0) return active.name
    throw new Error(`not injected: no worker of ${party} has handled anything`)
  }

  async shutDown(party: string): Promise<void> {
    this.#member(party).tell({ do: 'close', timeoutMs: DRAIN_LIMIT_MS })
    await this.ended(party, DRAIN_LIMIT_MS + EXIT_GRACE_MS)
  }

  async ended(party: string, limitMs: number): Promise<void> {
    const member = this.#member(party)
    await until(() => member.exited, limitMs, `${party} to end`)
  }

  async revive(party: string): Promise<void> {
    const member = this.#member(party)
    member.revive()
    await this.#until(() => member.prepared, PREPARE_LIMIT_MS, `${party} to connect again`)
  }

  freeze(party: string): void {
    this.#member(party).signal('SIGSTOP')
  }

  thaw(party: string): void {
    this.#member(party).signal('SIGCONT')
  }

  trick(party: string, trick: Trick): void {
    const member = this.#member(party)
    if (DEADLY.has(trick.is)) member.mayDie = true
    member.tell({ do: 'trick', trick })
  }

  async handled(party: string, limitMs: number): Promise<void> {
    const { ledgerFile } = this.#member(party)
    const count = (): number => readLedger(ledgerFile).filter(({ kind }) => kind === 'handled').length
    const before = count()
    await until(() => count() > before, limitMs, `${party} to handle a message`)
  }

  /** Ends the processes in order; one that does not end is killed, and its ledger says so. */
  async close(): Promise<void> {
    for (const member of this.#members) {
      member.retire()
      member.tell({ do: 'close', timeoutMs: DRAIN_LIMIT_MS })
    }
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
    for (const member of this.#members) {
      member.retire()
      member.signal('SIGKILL')
    }
    this.#own.close()
  }

  /** All ledgers of the run. n.b. whole after {@link Load.close} */
  entries(): Entry[] {
    return [...this.#members.map(({ ledgerFile }) => ledgerFile), this.#ownFile].flatMap(readLedger)
  }

  /** The process of a party. @throws Error for one that has none of its own */
  #member(party: string): Member {
    const found = this.#members.find(({ name }) => name === party)
    if (found !== undefined) return found
    const names = this.#members.map(({ name }) => name).join(', ')
    throw new Error(
      `not injected: ${party} has no process of its own; there are ${names}. Name it under load.parties`,
    )
  }

  async #until(holds: () => boolean, limitMs: number, what: string): Promise<void> {
    await until(
      () => {
        const failed = this.#members.find(({ failure }) => failure !== undefined)
        if (failed !== undefined)
          throw new Error(`process ${failed.name} of the load: ${failed.failure ?? ''}`)
        return holds()
      },
      limitMs,
      what,
    )
  }
}

/** Tricks that end the process. */
const DEADLY: ReadonlySet<Trick['is']> = new Set(['die-in-handler', 'die-after-handler', 'poison'])

async function until(holds: () => boolean, limitMs: number, what: string): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`)
    await sleep(POLL_MS)
  }
}
