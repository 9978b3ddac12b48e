/**
 * Whose turn it is: hands messages to the handler, one of a lane at a time; lanes take turns, up to `concurrency` of them
 * at once, and one at a time on probation. What has waited is asked again just before; who is paused waits.
 */
import type { ConsumeOptions, Handler, Sender } from '../bus.js'
import { partyKey } from '../wire.js'
import { isExpired, type JudgeOptions, type Rule, ruleFor } from './judge.js'
import type { Lane } from './lane.js'
import type { Verdict } from './outcome.js'
import type { Pauses } from './pauses.js'
import type { Predecessors } from './predecessors.js'
import type { Known } from './seen.js'
import { describe, type Slot } from './slots.js'
import { Work, type WorkOptions, type WorkResult } from './work.js'

export interface TurnsOptions<Tx> extends JudgeOptions, WorkOptions<Tx> {
  readonly predecessors: Predecessors
  readonly pauses: Pauses
  /** Asked before a message that has waited is handed out: the sender's certificate may have been revoked meanwhile. */
  readonly stillTrusted?: (from: Sender) => boolean
  /** Carries a verdict out. @param remembered - its mark was written already */
  readonly settle: (lane: Lane, slot: Slot, verdict: Verdict, remembered?: boolean) => Promise<void>
  /** Another worker has used the number up. */
  readonly known: (lane: Lane, slot: Slot, known: Known) => void
  /** Something goes on that stood still: every lane is to be offered. */
  readonly resumed: () => void
  readonly nowMs: () => number
}

export class Turns<Tx> {
  readonly #options: TurnsOptions<Tx>
  readonly #ready: Set<Lane> = new Set()
  #work: Work<Tx> | undefined
  #concurrency = 0
  #running = 0
  #stopping = false

  constructor(options: TurnsOptions<Tx>) {
    this.#options = options
  }

  /** Handlers that run, or wait to be run again. */
  get running(): number {
    return this.#running
  }

  /** No handler will end soon, nor start. */
  get isIdle(): boolean {
    return this.#running === (this.#work?.hung ?? 0) && this.#ready.size === 0
  }

  get hasHandler(): boolean {
    return this.#work !== undefined
  }

  /** From now on turns are given. */
  begin(handler: Handler<Tx>, options: Required<ConsumeOptions>): void {
    const hang = new Error('the handler hangs')
    const onHung = (lane: Lane): void => {
      this.#options.pauses.failed(partyKey(lane.memory.key), hang)
      this.#startReady()
    }
    this.#concurrency = options.concurrency
    this.#work = new Work(this.#options, handler, options, onHung)
  }

  /** Gives the lane a turn as soon as it can have one. */
  offer(lane: Lane): void {
    if (this.#stopping || !this.#work || this.#options.predecessors.holds(lane)) return
    if (lane.head()) this.#ready.add(lane)
    this.#startReady()
  }

  /** Fires signals that are due, and ends pauses that are over. */
  tick(): void {
    this.#work?.tick()
    if (this.#options.pauses.tick()) this.#options.resumed()
  }

  /** Starts nothing more; what runs may end. */
  stop(): void {
    this.#stopping = true
    this.#ready.clear()
    this.#work?.stop()
  }

  /** Fires the signal of every handler. */
  abort(reason: string): void {
    this.#work?.abort(reason)
  }

  /** Fires the signal of one handler: another worker may have its message. */
  withdraw(slot: Slot): void {
    this.#work?.withdraw(slot)
  }

  #startReady(): void {
    while (this.#work && this.#hasPlace(this.#work)) {
      const [next] = this.#ready
      if (!next) return
      this.#ready.delete(next)
      this.#start(next, this.#work)
    }
  }

  /** n.b. a handler that hangs keeps its place, but on probation: there it would keep the only one. */
  #hasPlace(work: Work<Tx>): boolean {
    if (this.#options.probation.isOn) return this.#running === work.hung
    return this.#running < this.#concurrency
  }

  #start(lane: Lane, work: Work<Tx>): void {
    const slot = lane.head()
    if (!slot) return
    const verdict = this.#judgeAgain(slot)
    if (verdict) {
      lane.take(slot, 'settling')
      void this.#options.settle(lane, slot, verdict)
      if (lane.head()) this.#ready.add(lane)
      return
    }
    if (!this.#options.pauses.admits(partyKey(slot.envelope.from))) return
    lane.take(slot, 'running')
    lane.busy = true
    this.#running += 1
    void this.#do(lane, slot, work)
  }

  /** n.b. what waits is asked again: time has gone by, policy and certificates may have changed since it came. */
  #judgeAgain({ message, envelope }: Slot): 'expired' | 'refused' | undefined {
    const rule = ruleFor(this.#options, envelope.from, message.type)
    if (isExpired(message, rule, this.#options.lifetimeMs, this.#options.nowMs())) return 'expired'
    return this.#isAllowed(envelope.from, rule) ? undefined : 'refused'
  }

  #isAllowed(from: Sender, rule: Rule): boolean {
    return rule.allowed && (this.#options.stillTrusted?.(from) ?? true)
  }

  async #do(lane: Lane, slot: Slot, work: Work<Tx>): Promise<void> {
    const { pauses, resumed } = this.#options
    const sender = partyKey(slot.envelope.from)
    pauses.started(sender)
    const result = await work.do(lane, slot)
    this.#running -= 1
    const goesOn = result.state === 'handled' && pauses.succeeded(sender)
    if (result.state === 'handled') this.#handled(lane, slot)
    else if (result.state === 'failed') await this.#failed(lane, slot, result.error)
    else await this.#notRun(lane, slot, result)
    lane.busy = false
    this.offer(lane)
    if (goesOn) resumed()
  }

  /** n.b. not awaited: the next may run while this is fsynced. */
  #handled(lane: Lane, slot: Slot): void {
    void this.#options.settle(lane, slot, 'handled', this.#options.seen.kind === 'transactional')
  }

  async #failed(lane: Lane, slot: Slot, error: Error): Promise<void> {
    const { pauses, settle, emit } = this.#options
    const fate = pauses.failed(partyKey(slot.envelope.from), error)
    emit('handler-failed', { ...describe(slot), error: error.name, alarm: true })
    this.#startReady()
    if (fate === 'park') await settle(lane, slot, 'failed')
    else this.#giveBack(lane, slot)
  }

  /** The handler had no part in it. */
  async #notRun(
    lane: Lane,
    slot: Slot,
    result: Exclude<WorkResult, { state: 'handled' | 'failed' }>,
  ): Promise<void> {
    const { pauses, settle, known } = this.#options
    pauses.withdrawn(partyKey(slot.envelope.from))
    if (result.state === 'seen') known(lane, slot, result.known)
    else if (result.state === 'fatal') {
      this.#startReady()
      await settle(lane, slot, 'fatal')
    } else this.#giveBack(lane, slot)
  }

  /** n.b. what the broker will deliver again, maybe to another worker, is not kept. */
  #giveBack(lane: Lane, slot: Slot): void {
    this.#options.seen.release?.(lane.memory.key, slot.seq)
    if (slot.arrivals.length === 0 && !this.#stopping) lane.withdraw(slot)
    else lane.giveBack(slot)
  }
}
