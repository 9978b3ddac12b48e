/**
 * Whose turn it is: hands messages to the handler, one of a lane at a time; lanes take turns, up to `concurrency` of them
 * at once. What has waited is asked again just before.
 */
import type { ConsumeOptions, Handler, Sender } from '../bus.js'
import type { ReplyFunction } from '../delivery.js'
import { SealbusError } from '../errors.js'
import { isExpired, type JudgeOptions, type Rule, ruleFor } from './judge.js'
import type { Lane } from './lane.js'
import type { Verdict } from './outcome.js'
import type { Predecessors } from './predecessors.js'
import { type Job, Runner } from './runner.js'
import type { Known, SeenStore } from './seen.js'
import { deliveryOf, describe, markOf, type Slot } from './slots.js'

export interface TurnsOptions<Tx> extends JudgeOptions {
  readonly seen: SeenStore<Tx>
  readonly predecessors: Predecessors
  readonly reply: ReplyFunction
  /** Asked before a message that has waited is handed out: the sender's certificate may have been revoked meanwhile. */
  readonly stillTrusted?: (from: Sender) => boolean
  /** Carries a verdict out. @param remembered - its mark was written already */
  readonly settle: (lane: Lane, slot: Slot, verdict: Verdict, remembered?: boolean) => Promise<void>
  /** Another worker has used the number up. */
  readonly known: (lane: Lane, slot: Slot, known: Known) => void
  readonly emit: (event: string, detail: object) => void
  readonly nowMs: () => number
  readonly activeMs: () => number
}

export class Turns<Tx> {
  readonly #options: TurnsOptions<Tx>
  readonly #ready: Set<Lane> = new Set()
  readonly #jobs: Map<Slot, Job<Tx>> = new Map()
  #runner: Runner<Tx> | undefined
  #concurrency = 0
  #running = 0
  #hung = 0
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
    return this.#running === this.#hung && this.#ready.size === 0
  }

  get hasHandler(): boolean {
    return this.#runner !== undefined
  }

  /** From now on turns are given. */
  begin(handler: Handler<Tx>, options: Required<ConsumeOptions>): void {
    const { seen, activeMs } = this.#options
    const { concurrency, timeoutMs, retries } = options
    const transaction = <R>(run: (tx: Tx) => Promise<R>): Promise<R> => seen.transaction(run)
    this.#concurrency = concurrency
    this.#runner = new Runner({ handler, timeoutMs, retries, transaction, activeMs })
  }

  /** Gives the lane a turn as soon as it can have one. */
  offer(lane: Lane): void {
    if (this.#stopping || !this.#runner || this.#options.predecessors.holds(lane)) return
    if (lane.head()) this.#ready.add(lane)
    this.#startReady(this.#runner)
  }

  /** Fires signals that are due. */
  tick(): void {
    this.#runner?.tick()
  }

  /** Starts nothing more; what runs may end. */
  stop(): void {
    this.#stopping = true
    this.#ready.clear()
    this.#runner?.stop()
  }

  /** Fires the signal of every handler. */
  abort(reason: string): void {
    this.#runner?.abort(new SealbusError('closed', `handler: ${reason}; the message comes again`))
  }

  /** Fires the signal of one handler: another worker may have its message. */
  withdraw(slot: Slot): void {
    const reason = new SealbusError(
      'closed',
      'handler: another worker has taken over; the message comes again',
    )
    const job = this.#jobs.get(slot)
    if (job) this.#runner?.abort(reason, job)
  }

  #startReady(runner: Runner<Tx>): void {
    while (this.#running < this.#concurrency) {
      const [next] = this.#ready
      if (!next) return
      this.#ready.delete(next)
      this.#start(next, runner)
    }
  }

  #start(lane: Lane, runner: Runner<Tx>): void {
    const slot = lane.head()
    if (!slot) return
    const verdict = this.#judgeAgain(slot)
    if (verdict) {
      lane.take(slot, 'settling')
      void this.#options.settle(lane, slot, verdict)
      if (lane.head()) this.#ready.add(lane)
      return
    }
    lane.take(slot, 'running')
    lane.busy = true
    this.#running += 1
    void this.#work(lane, slot, runner)
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

  async #work(lane: Lane, slot: Slot, runner: Runner<Tx>): Promise<void> {
    const { seen, settle, known, emit } = this.#options
    const inTransaction = seen.kind === 'transactional'
    const job = this.#job(lane, slot, inTransaction)
    this.#jobs.set(slot, job)
    const result = await runner.run(job)
    this.#jobs.delete(slot)
    this.#running -= 1
    if (result.state === 'seen') known(lane, slot, result.known)
    else if (result.state === 'handled') {
      void settle(lane, slot, 'handled', inTransaction) // n.b. not awaited: the next may run while this is fsynced
    } else if (result.state === 'failed') {
      emit('handler-failed', { ...describe(slot), error: result.error.name, alarm: true })
      this.#offerNext()
      await settle(lane, slot, 'failed')
    } else this.#giveBack(lane, slot)
    lane.busy = false
    this.offer(lane)
  }

  /** n.b. what the broker will deliver again, maybe to another worker, is not kept. */
  #giveBack(lane: Lane, slot: Slot): void {
    const { seen } = this.#options
    seen.release?.(lane.memory.key, slot.seq)
    if (slot.arrivals.length === 0 && !this.#stopping) lane.withdraw(slot)
    else lane.giveBack(slot)
  }

  #job(lane: Lane, slot: Slot, inTransaction: boolean): Job<Tx> {
    const { emit, seen, reply } = this.#options
    return {
      check: () => seen.check(lane.memory.key, slot.seq),
      deliver: () => deliveryOf(slot, reply),
      markIn: inTransaction ? tx => seen.mark(markOf(slot, 'handled'), tx) : undefined,
      hung: () => {
        lane.halted = true
        this.#hung += 1
        emit('lane-halted', { ...describe(slot), reason: 'handler', alarm: true })
        emit('unhealthy', { ...describe(slot), alarm: true })
      },
      recovered: () => {
        lane.halted = false
        this.#hung -= 1
        emit('lane-resumed', { ...describe(slot), alarm: false })
      },
    }
  }

  #offerNext(): void {
    const [lane] = this.#ready
    if (lane) this.offer(lane)
  }
}
