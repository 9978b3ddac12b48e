/**
 * Runs the application's handler for one message: time limit, retries, the application's transaction. A handler that
 * does not settle is never run a second time beside itself.
 */

import type { Handler } from '../bus.js'
import type { ReceivedMessage } from '../delivery.js'
import { asError, SealbusError } from '../errors.js'
import { backoff } from './backoff.js'

/** What a handler may take after its signal has fired. */
const SETTLE_MS = 5_000 // 5 seconds
const PAUSES = { firstMs: 100, maxMs: 2_000, jitter: 'half' } as const

export type RunResult =
  | { readonly state: 'handled' }
  | { readonly state: 'failed'; readonly error: Error }
  /** Shutdown came first: no outcome. */
  | { readonly state: 'stopped' }

export interface RunnerOptions<Tx> {
  readonly handler: Handler<Tx>
  readonly timeoutMs: number
  readonly retries: number
  /** Wraps handler and mark where the application has a transaction. */
  readonly transaction: <R>(run: (tx: Tx) => Promise<R>) => Promise<R>
  /** Time that counts ms only while the event loop turns. */
  readonly activeMs: () => number
}

export interface Job<Tx> {
  /** A new delivery for each run: the signal of the last one may have fired. */
  deliver(): ReceivedMessage
  /** The mark inside the transaction, in transactional mode. */
  readonly markIn: ((tx: Tx) => Promise<void>) | undefined
  /** The handler has not settled 5 s after its signal. */
  hung(): void
  /** It has settled after all. */
  recovered(): void
}

interface Run {
  readonly delivery: ReceivedMessage
  readonly sinceMs: number
  readonly hung: () => void
  stage: 'running' | 'signalled' | 'hung'
}

export class Runner<Tx> {
  readonly #options: RunnerOptions<Tx>
  readonly #runs: Set<Run> = new Set()
  readonly #wakers: Set<() => void> = new Set()
  #stopping = false

  constructor(options: RunnerOptions<Tx>) {
    this.#options = options
  }

  async run(job: Job<Tx>): Promise<RunResult> {
    let pause = backoff(PAUSES)
    for (let attempt = 0; ; attempt++) {
      if (this.#stopping) return { state: 'stopped' }
      const error = await this.#once(job)
      if (!error) return { state: 'handled' }
      if (this.#isStopping()) return { state: 'stopped' }
      if (attempt >= this.#options.retries) return { state: 'failed', error }
      await this.#sleep(pause.delayMs())
      pause = pause.next()
    }
  }

  /** Fires the signals that are due; call it now and then. */
  tick(): void {
    const { timeoutMs, activeMs } = this.#options
    for (const run of this.#runs) {
      const ranMs = activeMs() - run.sinceMs
      if (run.stage === 'running' && ranMs >= timeoutMs) {
        run.stage = 'signalled'
        run.delivery.abort(new SealbusError('timeout', `handler: expected to settle within ${timeoutMs} ms`))
      } else if (run.stage === 'signalled' && ranMs >= timeoutMs + SETTLE_MS) {
        run.stage = 'hung'
        run.hung()
      }
    }
  }

  /** Starts nothing more; what runs may end. */
  stop(): void {
    this.#stopping = true
    for (const wake of this.#wakers) wake()
  }

  /** Fires every signal. */
  abort(reason: Error): void {
    for (const run of this.#runs) run.delivery.abort(reason)
  }

  async #once(job: Job<Tx>): Promise<Error | undefined> {
    const { handler, transaction, activeMs } = this.#options
    const delivery = job.deliver()
    const run: Run = { delivery, sinceMs: activeMs(), hung: () => job.hung(), stage: 'running' }
    this.#runs.add(run)
    try {
      await transaction(async tx => {
        await handler(delivery, tx)
        await job.markIn?.(tx)
      })
      return undefined
    } catch (error) {
      return asError(error)
    } finally {
      this.#runs.delete(run)
      if (run.stage === 'hung') job.recovered()
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
