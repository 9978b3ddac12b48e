/** One message on its way, and the promise that `send` gave for it. It settles once. */
import type { SendResult, Until } from '../bus.js'
import { SealbusError } from '../errors.js'
import { expiresAtMs } from '../outgoing.js'
import type { MessageId, WireMessage } from '../wire.js'

export interface SubmissionOptions {
  readonly until: Until
  readonly droppable: boolean
  readonly signal?: AbortSignal
  /** Called when its number is known, before any byte of it leaves. */
  readonly onNumbered?: (id: MessageId) => void
}

export class Submission {
  readonly message: WireMessage
  /** Bytes that it adds to an envelope: what it is charged for. */
  readonly size: number
  readonly expiresAtMs: number
  readonly until: Until
  readonly droppable: boolean
  readonly promise: Promise<SendResult>
  /** Where it is counted in the send buffer. */
  place: 'nowhere' | 'outside' | 'inside' = 'nowhere'
  #id: MessageId | undefined
  #settled = false
  readonly #onNumbered: ((id: MessageId) => void) | undefined
  readonly #detach: () => void
  #resolve: (result: SendResult) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  /** @param onAbort - called when the signal fires before the submission has settled */
  constructor(
    message: WireMessage,
    size: number,
    options: SubmissionOptions,
    onAbort: (it: Submission) => void,
  ) {
    this.message = message
    this.size = size
    this.expiresAtMs = expiresAtMs(message)
    this.until = options.until
    this.droppable = options.droppable
    this.#onNumbered = options.onNumbered
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#detach = listen(options.signal, () => onAbort(this))
  }

  /** Known once it is sealed. */
  get id(): MessageId | undefined {
    return this.#id
  }

  get settled(): boolean {
    return this.#settled
  }

  numbered(id: MessageId): void {
    this.#id = id
    this.#onNumbered?.(id)
  }

  /** The stage was reached; resolves if it is the one that was asked for. */
  reached(state: Until): void {
    if (state !== this.until || this.#id === undefined || !this.#settle()) return
    this.#resolve({ state, epoch: this.#id.epoch, seq: this.#id.seq })
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  /** It was not taken: nobody will wait for its promise. */
  discard(): void {
    this.#settle()
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#detach()
    return true
  }
}

/** What an abort rejects with: n.b. once sealed it may arrive whatever we do. */
export function abortReason(submission: Submission, signal: AbortSignal): unknown {
  if (submission.id === undefined) return signal.reason
  return new SealbusError(
    'outcome-unknown',
    'send: aborted when the message was sealed already; it may still arrive, and sending it again may double it',
    { cause: signal.reason },
  )
}

function listen(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => undefined
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}
