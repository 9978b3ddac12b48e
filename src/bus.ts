/**
 * The one interface that every bus here has: plain over RabbitMQ, plain in memory, secured. Types only.
 */

/** A participant: trust domain and address, each 1..64 characters of `[A-Za-z0-9_-]` (the domain also `.`). */
export interface Party {
  readonly domain: string
  readonly address: string
}

/**
 * How far a message has come.
 *
 * | stage | means |
 * | --- | --- |
 * | `stored` | in the outbox on disk, fsynced; refused by a bus that has none |
 * | `confirmed` | a majority of the broker's replicas has it, in the recipient's inbox |
 * | `handled` | the recipient's handler has succeeded, says its signed receipt |
 */
export type Until = 'stored' | 'confirmed' | 'handled'

/** Order of importance; each priority is a lane of its own: order holds within it, not across. */
export type Priority = 'command' | 'report' | 'backfill'

/** A value of a free header. */
export type HeaderValue = string | Uint8Array | number | boolean

/** What an application sends. */
export interface Message {
  /** `[A-Za-z0-9._/-]{1,64}`; `sealbus/…` is reserved. The policy is asked for it. */
  type: string
  /** Bytes as they are; a string as UTF-8; an object as JSON. Copied when `send` is called. */
  payload: Uint8Array | string | object
  /** Media type; `application/json` when absent. */
  contentType?: string
  correlationId?: string | Uint8Array
  /** Data for the application. n.b. sealbus never follows it: replies go to the authenticated sender. */
  replyTo?: string
  /** Now when absent; at most 120 s in the future. */
  createdAt?: Date
  /** When absent: `createdAt` plus the recipient's maximum lifetime. Whole seconds, rounded down. */
  expiresAt?: Date
  /** At most 64. */
  headers?: Record<string, HeaderValue>
}

export interface SendOptions {
  /** Default `report`. */
  priority?: Priority
  /** Default `stored` with an outbox on disk, else `confirmed`. */
  until?: Until
  /** Rejects instead of waiting for room; with an outbox on disk that drops when it is full, may make way later. Default false. */
  droppable?: boolean
  /** Aborting rejects with `outcome-unknown` when the message may already be on its way. */
  signal?: AbortSignal
}

export interface SendResult {
  /** The stage that was reached. */
  state: Until
  /** The lane's epoch, 16 hex digits. */
  epoch: string
  /** The message's number in it. */
  seq: number
}

/** The authenticated sender. */
export interface Sender extends Party {
  /** The certificate's OU. */
  readonly role: string
  /** SHA-256 of the tbsCertificate, 64 hex digits. */
  readonly fingerprint: string
}

/** What a handler gets. */
export interface Delivery extends Readonly<Omit<Message, 'payload' | 'createdAt' | 'expiresAt'>> {
  readonly payload: Uint8Array
  /** The payload as UTF-8. */
  text(): string
  /** The payload parsed as JSON. @throws SyntaxError */
  json(): unknown
  /** Absent on a plain bus. */
  readonly from?: Sender
  readonly createdAt: Date
  readonly expiresAt: Date
  /** Fires at the handler's limit, at shutdown, or when another worker may take over. */
  readonly signal: AbortSignal
  /** Sends to the authenticated sender, tied to this message. */
  reply(message: Message, options?: SendOptions): Promise<SendResult>
}

/** `tx` is the application's transaction in transactional mode, else undefined. */
export type Handler<Tx = undefined> = (message: Delivery, tx: Tx) => unknown

export interface ConsumeOptions {
  /** Lanes handled at once, 1..1024. Default 16. One lane never has two handlers at a time. */
  concurrency?: number
  /** Limit of one handler run in ms, then its signal fires. Default 30 000. */
  timeoutMs?: number
  /** Runs after the first failure before the message is parked, 0..10. Default 2. */
  retries?: number
}

export interface Status {
  state: 'connecting' | 'ready' | 'blocked' | 'unauthorised' | 'paused' | 'draining' | 'closed'
  reason?: Error
}

/** What was left when a bus stopped. */
export interface Leftover {
  unsent: number
  unhandled: number
}

export interface Bus {
  /**
   * Sends one message. Pends until its stage is reached or it expires.
   * @throws SealbusError `unknown-recipient`, `recipient-expired`, `not-permitted`, `payload-too-large`,
   * `message-expired`, `invalid-message`, `certificate-expires`, `buffer-full`, `unroutable`, `closed`
   */
  send(to: string | Party, message: Message, options?: SendOptions): Promise<SendResult>
  /** Starts handling what arrives in one's own inbox; once per bus. */
  consume<Tx = undefined>(handler: Handler<Tx>, options?: ConsumeOptions): Promise<{ stop(): Promise<void> }>
  /** Sends and waits for the reply of that party. */
  request(to: string | Party, message: Message, options: { timeoutMs: number }): Promise<Delivery>
  status(): Status
  /** Listens for an event; returns the function that stops listening. See docs/DELIVERY.md for the names. */
  on(event: string, listener: (event: unknown) => void): () => void
  /** Finishes what is under way, then closes. */
  drain(options?: { timeoutMs?: number }): Promise<Leftover>
  /** Closes; waits for running handlers. May be called twice. */
  close(): Promise<Leftover>
  /** Resolves once closed, with the error that forced it or undefined. */
  readonly closed: Promise<Error | undefined>
}

/** The least that {@link Bus}-like objects of others have; `secure()` wraps any of them. */
export interface BareBus {
  send(to: string, message: { type: string; payload: Uint8Array }): Promise<unknown>
  consume(handler: (message: { payload: Uint8Array }) => Promise<void>): Promise<unknown>
  /** Called when the wrapping bus has closed, if it is there. */
  close?(): Promise<unknown>
}

/** pino's shape. n.b. never given a payload or a key. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
