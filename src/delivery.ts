/** What a handler gets, built in this one place: payload, dates, authenticated sender, signal, reply. */
import type { Delivery, HeaderValue, Message, Party, Sender, SendOptions, SendResult } from './bus.js'
import type { MessageId, WireMessage } from './wire.js'

/** What a reply answers. */
export interface Original {
  readonly id: MessageId
  /** It was a request: permitting it permitted its reply. */
  readonly request: boolean
}

/** Sends `message` to `to` as the reply to `original`. */
export type ReplyFunction = (
  to: Party,
  message: Message,
  original: Original,
  options?: SendOptions,
) => Promise<SendResult>

export interface DeliveryParts {
  readonly message: WireMessage
  readonly id: MessageId
  /** An empty fingerprint means that nothing was authenticated (plain bus): the application is not shown it. */
  readonly from: Sender
  /** The signed expiry, cut to the recipient's own longest lifetime. */
  readonly expiresAtMs: number
  readonly reply: ReplyFunction
}

/** What `util.inspect` and `console.log` ask for. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

const decoder = new TextDecoder('utf-8', { fatal: false })

/** A {@link Delivery}. n.b. neither `util.inspect` nor JSON shows payload, headers, correlation id or reply-to. */
export class ReceivedMessage implements Delivery {
  readonly type: string
  readonly contentType: string
  readonly createdAt: Date
  readonly expiresAt: Date
  declare readonly from?: Sender
  declare readonly correlationId?: string | Uint8Array
  declare readonly replyTo?: string
  declare readonly headers?: Record<string, HeaderValue>
  readonly #parts: DeliveryParts
  #controller: AbortController | undefined
  #aborted: Error | undefined

  constructor(parts: DeliveryParts) {
    const { message, from } = parts
    this.#parts = parts
    this.type = message.type
    this.contentType = message.contentType
    this.createdAt = new Date(message.createdAtMs)
    this.expiresAt = new Date(parts.expiresAtMs)
    if (from.fingerprint !== '') this.from = from
    if (message.correlationId !== undefined) this.correlationId = message.correlationId
    if (message.replyTo !== undefined) this.replyTo = message.replyTo
    if (message.headers !== undefined) this.headers = message.headers
  }

  get payload(): Uint8Array {
    return this.#parts.message.payload
  }

  /** Made on first use: most handlers never look at it. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }

  text(): string {
    return decoder.decode(this.payload)
  }

  json(): unknown {
    return JSON.parse(this.text())
  }

  reply(message: Message, options?: SendOptions): Promise<SendResult> {
    const { from, id, reply, message: received } = this.#parts
    const original = { id, request: received.request }
    return reply({ domain: from.domain, address: from.address }, message, original, options)
  }

  /** Fires {@link ReceivedMessage.signal} with this reason; the first one counts. */
  abort(reason: Error): void {
    this.#aborted ??= reason
    this.#controller?.abort(this.#aborted)
  }

  toJSON(): object {
    const { type, contentType, createdAt, expiresAt } = this
    return { type, contentType, createdAt, expiresAt, bytes: this.payload.length, from: this.from }
  }

  static {
    const value = function (this: ReceivedMessage): object {
      return { ...this.toJSON(), class: 'Delivery' }
    }
    Object.defineProperty(ReceivedMessage.prototype, INSPECT, { value })
  }
}
