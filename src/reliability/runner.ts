/**
 * Runs the application's handler for one message: time limit, retries, the application's transaction. A handler that
 * does not settle is never run a second time beside itself.
 */

import type { Handler } from '../bus.js'
import type { ReceivedMessage } from '../delivery.js'
import { asError, SealbusError } from '../errors.js'
import { backoff } from './backoff.js'
import type { Known } from './seen.js'
import { AlreadySeen, StoreUnavailable } from './store-errors.js'

/** What a handler may take after its signal has fired. */
const SETTLE_MS = 5_000 // 5 seconds
const PAUSES = { firstMs: 100, maxMs: 2_000, jitter: 'half' } as const

export type RunResult =
  | { readonly state: 'handled' }
  | { readonly state: 'failed'; readonly error: Error }
  /** Another worker has used the number up. */
  | { readonly state: 'seen'; readonly known: Known }
  /** Shutdown came first, or another worker takes over: no outcome. */
  | { readonly state: 'stopped' }

export interface RunnerOptions<Tx> {
  readonly handler: Handler<Tx>
  readonly timeoutMs: number
  readonly retries: number
  /** Wraps mark and handler where the application has a transaction. */
  readonly transaction: <R>(run: (tx: Tx) => Promise<R>) => Promise<R>
  /** Time that counts ms only while the event loop turns. */
  readonly activeMs: () => number
}

export interface Job<Tx> {
  /** What others have made of the number; pends while another worker has it. Absent: there are no others. */
  readonly check: (() => Promise<Known | undefined> | undefined) | undefined
  /** A new delivery for each run: the signal of the last one may have fired. */
  deliver(): ReceivedMessage
  /** The mark inside the transaction, in transactional mode: before the handler, so that a second one waits for it. */
  readonly markIn: ((tx: Tx) => Promise<void>) | undefined
  /** The handler has not settled 5 s after its signal. */
  hung(): void
  /** It has settled after all. */
  recovered(): void
}

interface Run {
  readonly job: object
  readonly delivery: ReceivedMessage
  readonly sinceMs: number
  readonly hung: () => void
  withdrawn: boolean
  stage: Stage
}

type Stage =
  | { readonly name: 'running' }
  | { readonly name: 'signalled'; readonly sinceMs: number }
  | { readonly name: 'hung' }

export class Runner<Tx> {
  readonly #options: RunnerOptions<Tx>
  readonly #runs: Set<Run> = new Set()
  readonly #wakers: Set<() => void> = new Set()
  #stopping = false

  constructor(options: RunnerOptions<Tx>) {
    this.#options = options
  }

  async run(job: Job<Tx>): Promise<RunResult> {
    const known = await this.#check(job)
    if (known) return known
    let pause = backoff(PAUSES)
    for (let failures = 0; ; ) {
      if (this.#stopping) return { state: 'stopped' }
      const error = await this.#once(job)
      if (!error) return { state: 'handled' }
      if (error instanceof AlreadySeen) return { state: 'seen', known: error.known }
      if (this.#isStopping() || error instanceof Withdrawn) return { state: 'stopped' }
      if (!(error instanceof StoreUnavailable)) failures += 1
      if (failures > this.#options.retries) return { state: 'failed', error }
      await this.#sleep(pause.delayMs())
      pause = pause.next()
    }
  }

  /** Fires the signals that are due; call it now and then. */
  tick(): void {
    const { timeoutMs, activeMs } = this.#options
    const late = `handler: expected to settle within ${timeoutMs} ms`
    for (const run of this.#runs) {
      const { stage } = run
      if (stage.name === 'running' && activeMs() - run.sinceMs >= timeoutMs)
        this.#signal(run, new SealbusError('timeout', late))
      else if (stage.name === 'signalled' && activeMs() - stage.sinceMs >= SETTLE_MS) {
        run.stage = { name: 'hung' }
        run.hung()
      }
    }
  }

  /** Starts nothing more; what runs may end. */
  stop(): void {
    this.#stopping = true
    for (const wake of this.#wakers) wake()
  }

  /** Fires every signal, or that of one job. What then fails has no outcome. */
  abort(reason: Error, job?: object): void {
    for (const run of this.#runs) {
      if (job !== undefined && run.job !== job) continue
      run.withdrawn = true
      this.#signal(run, reason)
    }
  }

  /** n.b. whatever the reason, a handler that does not settle after it hangs. */
  #signal(run: Run, reason: Error): void {
    run.delivery.abort(reason)
    if (run.stage.name === 'running') run.stage = { name: 'signalled', sinceMs: this.#options.activeMs() }
  }

  /** n.b. a store or another worker may let us wait for long: stopping must not. */
  async #check(job: Job<Tx>): Promise<RunResult | undefined> {
    const checking = job.check?.()
    if (!checking) return undefined
    let wake = (): void => undefined
    const stopped = new Promise<RunResult>(resolve => {
      wake = () => resolve({ state: 'stopped' })
      this.#wakers.add(wake)
    })
    const answer = checking.then(
      (known): RunResult | undefined => known && { state: 'seen', known },
      (): RunResult => ({ state: 'stopped' }), // n.b. the store is closed
    )
    return await Promise.race([answer, stopped]).finally(() => this.#wakers.delete(wake))
  }

  async #once(job: Job<Tx>): Promise<Error | undefined> {
    try {
      await this.#options.transaction(async tx => {
        await job.markIn?.(tx)
        await this.#handle(job, tx)
      })
      return undefined
    } catch (error) {
      return asError(error)
    }
  }

  /** n.b. the limit is the handler's own: what a transaction waits for at its begin and end does not count. */
  async #handle(job: Job<Tx>, tx: Tx): Promise<void> {
    const { handler, activeMs } = this.#options
    const delivery = job.deliver()
    const sinceMs = activeMs()
    const stage: Stage = { name: 'running' }
    const run: Run = { job, delivery, sinceMs, hung: () => job.hung(), withdrawn: false, stage }
    this.#runs.add(run)
    try {
      await handler(delivery, tx)
    } catch (error) {
      throw run.withdrawn ? new Withdrawn() : error
    } finally {
      this.#runs.delete(run)
      if (run.stage.name === 'hung') job.recovered()
    }
  }

  /** Asked again after an await: flow analysis would remember the first answer. */
  #isStopping(): boolean {
    return this.#stopping
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#wakers.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#wakers.add(wake)
    })
  }
}

/** The handler was told to give up, and has. */
class Withdrawn extends Error {
  override readonly name: string = 'Withdrawn'
}
