/**
 * The handler's work on one message: counted beforehand while the process is on probation, watched while it lasts. What
 * becomes of the message is decided elsewhere.
 */
import type { ConsumeOptions, Handler } from '../bus.js'
import type { ReplyFunction } from '../delivery.js'
import { asError, SealbusError } from '../errors.js'
import type { Lane } from './lane.js'
import type { Probation } from './probation.js'
import { type Job, Runner, type RunResult } from './runner.js'
import type { SeenStore } from './seen.js'
import { deliveryOf, describe, markOf, type Slot } from './slots.js'

/** `fatal`: not begun, since the process did not survive it before. */
export type WorkResult = RunResult | { readonly state: 'fatal' }

export interface WorkOptions<Tx> {
  readonly seen: SeenStore<Tx>
  readonly probation: Probation
  readonly reply: ReplyFunction
  /** Nothing can be remembered any more: final. */
  readonly fail: (error: Error) => void
  readonly emit: (event: string, detail: object) => void
  readonly activeMs: () => number
}

export class Work<Tx> {
  readonly #options: WorkOptions<Tx>
  readonly #runner: Runner<Tx>
  readonly #jobs: Map<Slot, Job<Tx>> = new Map()
  readonly #onHung: (lane: Lane) => void
  #hung = 0

  /** @param onHung - a handler did not settle 5 s after its signal */
  constructor(
    options: WorkOptions<Tx>,
    handler: Handler<Tx>,
    { timeoutMs, retries }: Required<ConsumeOptions>,
    onHung: (lane: Lane) => void,
  ) {
    const { seen, activeMs } = options
    const transaction = <R>(run: (tx: Tx) => Promise<R>): Promise<R> => seen.transaction(run)
    this.#options = options
    this.#runner = new Runner({ handler, timeoutMs, retries, transaction, activeMs })
    this.#onHung = onHung
  }

  /** Handlers of which nothing is to be expected. */
  get hung(): number {
    return this.#hung
  }

  async do(lane: Lane, slot: Slot): Promise<WorkResult> {
    const { probation } = this.#options
    if (!probation.isOn) return this.#run(lane, slot)
    const isAdmitted = await this.#admits(lane, slot)
    if (isAdmitted === undefined) return { state: 'stopped' }
    const result = isAdmitted ? await this.#run(lane, slot) : ({ state: 'fatal' } as const)
    if (result.state !== 'handled') probation.survived(lane.memory.key, slot.seq) // else the mark ends the count
    return result
  }

  /** Fires signals that are due. */
  tick(): void {
    this.#runner.tick()
  }

  /** Starts nothing more; what runs may end. */
  stop(): void {
    this.#runner.stop()
  }

  /** Fires the signal of every handler. */
  abort(reason: string): void {
    this.#runner.abort(new SealbusError('closed', `handler: ${reason}; the message comes again`))
  }

  /** Fires the signal of one handler: another worker may have its message. */
  withdraw(slot: Slot): void {
    const reason = 'handler: another worker has taken over; the message comes again'
    const job = this.#jobs.get(slot)
    if (job) this.#runner.abort(new SealbusError('closed', reason), job)
  }

  /** Undefined where it cannot be written down. */
  async #admits(lane: Lane, slot: Slot): Promise<boolean | undefined> {
    try {
      return await this.#options.probation.admits(lane.memory.key, slot.seq)
    } catch (error) {
      this.#options.fail(asError(error))
      return undefined
    }
  }

  async #run(lane: Lane, slot: Slot): Promise<RunResult> {
    const job = this.#job(lane, slot)
    this.#jobs.set(slot, job)
    const result = await this.#runner.run(job)
    this.#jobs.delete(slot)
    return result
  }

  #job(lane: Lane, slot: Slot): Job<Tx> {
    const { emit, seen, reply } = this.#options
    const inTransaction = seen.kind === 'transactional'
    return {
      check: () => seen.check(lane.memory.key, slot.seq),
      deliver: () => deliveryOf(slot, reply),
      markIn: inTransaction ? tx => seen.mark(markOf(slot, 'handled'), tx) : undefined,
      hung: () => {
        lane.halted = true
        this.#hung += 1
        emit('lane-halted', { ...describe(slot), reason: 'handler', alarm: true })
        emit('unhealthy', { ...describe(slot), alarm: true })
        this.#onHung(lane)
      },
      recovered: () => {
        lane.halted = false
        this.#hung -= 1
        emit('lane-resumed', { ...describe(slot), alarm: false })
      },
    }
  }
}
