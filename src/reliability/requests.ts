/**
 * Requests of ours that wait for their reply. A reply counts once, and only from the party that the request was sealed to.
 * What answers a request that is over is recognised for a while, so that it does not reach the application as news.
 */
import type { Delivery, Party } from '../bus.js'
import { SealbusError } from '../errors.js'
import { type MessageId, partyKey } from '../wire.js'

const MAX_OVER = 1_024

/** One request: made before it is numbered, since the reply can be faster than the confirm. */
export interface OpenRequest {
  /** The reply. Rejects with SealbusError `request-timeout`, `closed`, or what {@link OpenRequest.fail} was given. */
  readonly reply: Promise<Delivery>
  /** Says under which number it was sealed. */
  numbered(id: MessageId): void
  /** Gives the request up. */
  fail(error: Error): void
}

/** `late`: it answers a request that is over. `none`: it answers nothing of ours to that party. */
export type ReplyMatch = 'open' | 'late' | 'none'

interface Waiting {
  resolve(reply: Delivery): void
  reject(error: Error): void
}

export class Requests {
  readonly #waiting: Map<string, Waiting> = new Map()
  readonly #over: Set<string> = new Set()
  readonly #unnumbered: Set<Waiting> = new Set()
  #closed = false

  /** @throws RangeError unless timeoutMs is positive; SealbusError `closed` */
  open(to: Party, timeoutMs: number): OpenRequest {
    if (!(timeoutMs > 0))
      throw new RangeError(`timeoutMs: expected a positive number of ms, got ${timeoutMs}`)
    if (this.#closed) throw closedError()
    const { promise, waiting } = deferred()
    this.#unnumbered.add(waiting)
    let key: string | undefined
    const finish = (): void => this.#finish(waiting, key)
    const fail = (error: Error): void => {
      finish()
      waiting.reject(error)
    }
    const timer = setTimeout(() => fail(timeoutError(to, timeoutMs)), timeoutMs)
    const settled = (): void => clearTimeout(timer)
    promise.then(settled, settled)
    const numbered = (id: MessageId): void => {
      if (key !== undefined) return
      key = keyOf(to, id)
      if (this.#unnumbered.delete(waiting)) this.#waiting.set(key, waiting)
      else this.#remember(key)
    }
    return { reply: promise, numbered, fail }
  }

  match(from: Party, inReplyTo: MessageId): ReplyMatch {
    const key = keyOf(from, inReplyTo)
    if (this.#waiting.has(key)) return 'open'
    return this.#over.has(key) ? 'late' : 'none'
  }

  /** Hands the reply to whoever waits; false where nobody does any more. */
  resolve(from: Party, inReplyTo: MessageId, reply: Delivery): boolean {
    const key = keyOf(from, inReplyTo)
    const waiting = this.#waiting.get(key)
    if (!waiting) return false
    this.#finish(waiting, key)
    waiting.resolve(reply)
    return true
  }

  /** Rejects all that still wait. */
  close(): void {
    this.#closed = true
    const all = [...this.#waiting.values(), ...this.#unnumbered]
    this.#waiting.clear()
    this.#unnumbered.clear()
    for (const waiting of all) waiting.reject(closedError())
  }

  #finish(waiting: Waiting, key: string | undefined): void {
    this.#unnumbered.delete(waiting)
    if (key === undefined || this.#waiting.get(key) !== waiting) return
    this.#waiting.delete(key)
    this.#remember(key)
  }

  #remember(key: string): void {
    this.#over.add(key)
    if (this.#over.size <= MAX_OVER) return
    for (const oldest of this.#over) {
      this.#over.delete(oldest)
      return
    }
  }
}

function keyOf(party: Party, id: MessageId): string {
  return `${partyKey(party)} ${id.epoch} ${id.seq}`
}

function deferred(): { promise: Promise<Delivery>; waiting: Waiting } {
  let waiting: Waiting = { resolve: () => undefined, reject: () => undefined }
  const promise = new Promise<Delivery>((resolve, reject) => {
    waiting = { resolve, reject }
  })
  return { promise, waiting }
}

function timeoutError(to: Party, timeoutMs: number): SealbusError {
  return new SealbusError(
    'request-timeout',
    `request: expected a reply of ${partyKey(to)} within ${timeoutMs} ms, none came; it may still be handled there`,
  )
}

function closedError(): SealbusError {
  return new SealbusError('closed', 'request: the bus is closed; make a new one')
}
