/**
 * A connection that is built anew after every loss, for ever: a state machine as a union, each state with its own
 * fields. One loop moves it, so the order of Node's events does not matter.
 */
import { asError, isSealbusError, SealbusError } from '../errors.js'
import { Backoff, WORKED_MS } from './backoff.js'
import { abortable, type Deferred, deferred, pause } from './deadline.js'
import { connectFailure } from './failures.js'
import type { Link } from './link.js'

/**
 * | state | means | goes to |
 * | --- | --- | --- |
 * | `idle` | nobody has asked for it yet | connecting, closed |
 * | `connecting` | an attempt is under way | open, waiting, refused, closed |
 * | `open` | usable until the link dies | waiting, closed |
 * | `waiting` | failed or lost: the next attempt comes soon | connecting, closed |
 * | `refused` | certificate, user or virtual host refused: the next attempt comes slowly | connecting, closed |
 * | `closed` | by us, final | |
 */
export type LinkState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly lastFailure: SealbusError | undefined }
  | { readonly name: 'open'; readonly link: Link }
  | { readonly name: 'waiting'; readonly lastFailure: SealbusError; readonly delayMs: number }
  | { readonly name: 'refused'; readonly lastFailure: SealbusError; readonly delayMs: number }
  | { readonly name: 'closed' }

/** A node that goes down may refuse us before it stops listening: what has worked counts as refused at the third in a row. */
const BELIEVED_REFUSALS = 3

/** Opens one connection; called for each attempt. */
export interface Dial {
  (signal: AbortSignal): Promise<Link>
  /** The next is open already: no pause before it. */
  readonly isReady?: () => boolean
}

/** Keeps one connection open. */
export class LastingLink {
  #dial: Dial
  #backoff: Backoff
  #state: LinkState = { name: 'idle' }
  #changed: (state: LinkState) => void
  #waiting: Deferred<Link> = deferred()
  #stop = new AbortController()
  #running: Promise<void> | undefined
  #refusals = BELIEVED_REFUSALS

  /** @param changed - called after every change of state; must not throw */
  constructor(dial: Dial, changed: (state: LinkState) => void, backoff: Backoff = new Backoff()) {
    this.#dial = dial
    this.#changed = changed
    this.#backoff = backoff
  }

  get state(): LinkState {
    return this.#state
  }

  /** The open link, now or as soon as there is one. @throws SealbusError `closed`; whatever aborted the signal */
  link(signal?: AbortSignal): Promise<Link> {
    if (this.#state.name === 'open' && this.#state.link.open) return Promise.resolve(this.#state.link)
    this.#running ??= this.#run()
    return abortable(this.#waiting.promise, signal)
  }

  /** Final. Resolves when the link is down, within the link's own deadline. */
  async close(): Promise<void> {
    const link = this.#state.name === 'open' ? this.#state.link : undefined
    this.#waiting.reject(new SealbusError('closed', 'the connection was closed by us'))
    this.#move({ name: 'closed' })
    this.#stop.abort(new SealbusError('closed', 'the connection was closed by us'))
    await link?.close()
    await this.#running
  }

  async #run(): Promise<void> {
    let lastFailure: SealbusError | undefined
    while (!this.#closed()) {
      this.#move({ name: 'connecting', lastFailure })
      lastFailure = await this.#once()
    }
  }

  /** One attempt, the life of its link, and the pause after it. Never rejects. */
  async #once(): Promise<SealbusError> {
    const { link, failure } = await this.#attempt()
    if (link === undefined) return this.#rest(failure)
    if (this.#closed()) {
      await link.close()
      return failure
    }
    this.#opened(link)
    const openedAt = performance.now()
    const reason = await link.closed
    this.#waiting = this.#closed() ? this.#waiting : deferred()
    const loss = connectFailure(reason ?? new Error('it was closed'), link.where)
    const lifeMs = performance.now() - openedAt
    const delayMs = this.#backoff.lost(lifeMs)
    return this.#pause(loss, 'waiting', lifeMs >= WORKED_MS && this.#dial.isReady?.() ? 0 : delayMs)
  }

  async #attempt(): Promise<{ link: Link | undefined; failure: SealbusError }> {
    const none = new SealbusError('connection-lost', 'no connection yet')
    try {
      return { link: await this.#dial(this.#stop.signal), failure: none }
    } catch (thrown) {
      return { link: undefined, failure: connectFailure(asError(thrown), 'the broker') }
    }
  }

  #judge(failure: SealbusError): 'failed' | 'refused' {
    if (!isSealbusError(failure, 'unauthorised')) return 'failed'
    this.#refusals += 1
    return this.#refusals >= BELIEVED_REFUSALS ? 'refused' : 'failed'
  }

  #opened(link: Link): void {
    this.#refusals = 0
    this.#move({ name: 'open', link })
    this.#waiting.resolve(link)
  }

  #rest(failure: SealbusError): Promise<SealbusError> {
    if (this.#judge(failure) === 'refused') return this.#pause(failure, 'refused', this.#backoff.refused())
    return this.#pause(failure, 'waiting', this.#backoff.failed())
  }

  async #pause(
    lastFailure: SealbusError,
    name: 'waiting' | 'refused',
    delayMs: number,
  ): Promise<SealbusError> {
    this.#move({ name, lastFailure, delayMs })
    await pause(delayMs, this.#stop.signal)
    return lastFailure
  }

  #closed(): boolean {
    return this.#state.name === 'closed'
  }

  #move(state: LinkState): void {
    if (this.#closed()) return
    this.#state = state
    this.#changed(state)
  }
}
