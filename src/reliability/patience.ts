/**
 * Asks a store over a network until it answers. While it does not, nothing may be handed out or acknowledged: waiting is
 * the outcome, said once, with an end at closing only.
 */
import { asError, SealbusError } from '../errors.js'
import { type Backoff, backoff } from './backoff.js'
import type { SeenHooks } from './seen.js'

const PAUSES = { firstMs: 50, maxMs: 1_000, jitter: 'half' } as const
/** An answer that takes longer is told. */
const SLOW_MS = 2_000

/** Telling and pausing: {@link Patience.until} is all that its users need. */
export class Patience {
  readonly #what: string
  /** What stopping ends. n.b. no signal: there may be thousands. */
  readonly #waiters: Set<() => void> = new Set()
  #stopped = false
  #hooks: Pick<SeenHooks, 'waiting' | 'resumed'> | undefined
  #waiting = false

  /** @param what - the store's name, for people */
  constructor(what: string) {
    this.#what = what
  }

  /** From now on waiting is told. */
  tell(hooks: Pick<SeenHooks, 'waiting' | 'resumed'> | undefined): void {
    this.#hooks = hooks
  }

  /** n.b. asked again after an await: flow analysis would remember a property's first answer. */
  #isStopped(): boolean {
    return this.#stopped
  }

  /**
   * Asks until there is an answer. `attempt` counts from 0: an earlier one may have had its effect.
   * @param isFinal - errors that asking again will not mend
   * @throws SealbusError `closed`; a final error
   */
  async until<T>(
    ask: (attempt: number) => Promise<T>,
    isFinal: (error: Error) => boolean = () => false,
  ): Promise<T> {
    let pauses: Backoff = backoff(PAUSES)
    for (let attempt = 0; ; attempt++) {
      if (this.#isStopped()) throw this.#closed()
      const slow = setTimeout(() => this.unanswered(new Error(`no answer for ${SLOW_MS} ms`)), SLOW_MS)
      try {
        const answer = await this.#unlessStopped(ask(attempt))
        this.answered()
        return answer
      } catch (thrown) {
        const error = asError(thrown)
        if (this.#isStopped()) throw this.#closed()
        if (isFinal(error)) throw error
        this.unanswered(error)
      } finally {
        clearTimeout(slow)
      }
      await this.sleep(pauses.delayMs())
      pauses = pauses.next()
    }
  }

  /** Ends all waiting. */
  stop(): void {
    this.#stopped = true
    for (const stop of [...this.#waiters]) stop()
  }

  /** Resolves early at the end. */
  sleep(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    return new Promise(resolve => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiters.add(done)
    })
  }

  #unlessStopped<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const stop = (): void => reject(this.#closed())
      this.#waiters.add(stop)
      answer.then(resolve, reject).finally(() => this.#waiters.delete(stop))
    })
  }

  /** Tells once that there is no answer. */
  unanswered(reason: Error): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#hooks?.waiting(reason)
  }

  /** Tells that there is one again. */
  answered(): void {
    if (!this.#waiting) return
    this.#waiting = false
    this.#hooks?.resumed()
  }

  #closed(): SealbusError {
    return new SealbusError('closed', `${this.#what}: the seen store is closed`)
  }
}
