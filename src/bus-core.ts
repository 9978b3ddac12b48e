/**
 * The one implementation of `Bus`: sender and receiver over a transport, with whatever sealing it is given. The
 * secured bus and the plain ones differ in their parts alone. docs/DELIVERY.md.
 */
import type {
  ConsumeOptions,
  Delivery,
  Handler,
  Leftover,
  Message,
  Party,
  SendOptions,
  SendResult,
  Status,
} from './bus.js'
import type { BusParts, CoreBus } from './bus-parts.js'
import { BusStatus } from './bus-status.js'
import type { Original } from './delivery.js'
import { asError, SealbusError } from './errors.js'
import { begunWithin, connectionWithin, firstConnection } from './first-connection.js'
import { type OutgoingMarks, outgoing, systemMessage } from './outgoing.js'
import type { Outbox } from './reliability/outbox.js'
import { createPark } from './reliability/parking.js'
import { RECEIPT_TYPE, type Receipt, ReceiptBatcher } from './reliability/receipts.js'
import { createReceiver, type Receiver } from './reliability/receiver.js'
import { type OpenRequest, Requests } from './reliability/requests.js'
import type { SeenStore } from './reliability/seen.js'
import { createSender, type MessageSender, type SendMessageOptions } from './reliability/sender.js'
import { checkSendOptions } from './send-options.js'
import { SoleConsumer } from './sole-consumer.js'
import type { WireMessage } from './wire.js'

const DRAIN_MS = 30_000
const FLUSH_MS = 2_000 // what sending has at least, once receiving has ended
const RECEIPT_TTL_S = 3_600 // receipts are worth sending this long

/** Connects and starts. @throws SealbusError `unauthorised`, `corrupt-store`, `store-failed`; what aborted the signal */
export async function startBus(parts: BusParts, signal?: AbortSignal): Promise<CoreBus> {
  const bus = new ComposedBus(parts)
  try {
    await bus.start(signal)
    return bus
  } catch (error) {
    await bus.close()
    throw error
  }
}

class ComposedBus implements CoreBus {
  readonly closed: Promise<Error | undefined>
  readonly #parts: BusParts
  readonly #outbox: Outbox
  readonly #sender: MessageSender
  readonly #receiver: Receiver<unknown>
  readonly #requests: Requests = new Requests()
  readonly #receipts: ReceiptBatcher
  readonly #seen: SeenStore<unknown>
  readonly #sole: SoleConsumer
  readonly #status: BusStatus
  #stopping: Promise<Leftover> | undefined
  #handling = false
  #resolveClosed: (error: Error | undefined) => void = () => undefined

  constructor(parts: BusParts) {
    this.#parts = parts
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
    this.#receipts = new ReceiptBatcher((to, payload) =>
      this.sendSystem(to, RECEIPT_TYPE, payload, RECEIPT_TTL_S),
    )
    this.#seen = parts.seen(parts.events.emit)
    this.#sole = new SoleConsumer(parts.transport, () => this.#seen.workers?.())
    this.#outbox = parts.outbox((event, detail) => this.#onEvent(event, detail))
    this.#sender = this.#makeSender()
    this.#receiver = this.#makeReceiver()
    this.#status = new BusStatus(parts, () => this.#receiver)
    parts.transport.onStatus(() => this.#status.tell())
    parts.transport.onEvent(({ name, detail }) => parts.events.emit(name, detail ?? {}))
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.#sender.start()
    const { transport, startTimeoutMs, events } = this.#parts
    if (this.#outbox.durable) {
      const missing = await connectionWithin(transport, startTimeoutMs, signal)
      if (missing) events.emit('started-offline', { reason: missing.message, alarm: true })
    } else await firstConnection(transport, startTimeoutMs, signal)
    this.#status.tell()
  }

  async send(to: string | Party, message: Message, options: SendOptions = {}): Promise<SendResult> {
    this.#assertOpen()
    checkSendOptions(options)
    return this.#send(this.#party(to), message, {}, options)
  }

  async consume<Tx = undefined>(
    handler: Handler<Tx>,
    options: ConsumeOptions = {},
  ): Promise<{ stop(): Promise<void> }> {
    this.#assertOpen()
    if (typeof handler !== 'function')
      throw new TypeError(`handler: expected a function, got ${typeof handler}`)
    if (this.#handling)
      throw new SealbusError('configuration', 'consume: expected one handler for a bus, got a second')
    this.#handling = true
    const begun = this.#receiver.start(handler as Handler<unknown>, options)
    const late = (error: Error): void => this.#onEvent('store-failed', { error, alarm: true })
    await (this.#outbox.durable ? begunWithin(begun, this.#parts.startTimeoutMs, late) : begun)
    return {
      stop: async () => {
        await this.#receiver.stop({ timeoutMs: DRAIN_MS, graceMs: DRAIN_MS })
      },
    }
  }

  async request(to: string | Party, message: Message, options: { timeoutMs: number }): Promise<Delivery> {
    this.#assertOpen()
    const party = this.#party(to)
    const wire = this.#outgoing(party, message, { request: true })
    const request = this.#requests.open(party, options.timeoutMs) // n.b. its clock runs: consuming may wait for an outage's end
    const withdraw = new AbortController()
    this.#ask(party, wire, request, withdraw.signal).catch((error: unknown) => request.fail(asError(error)))
    try {
      return await request.reply
    } finally {
      withdraw.abort(new SealbusError('request-timeout', 'request: over before it was sealed'))
    }
  }

  async #ask(to: Party, message: WireMessage, request: OpenRequest, signal: AbortSignal): Promise<void> {
    if (!this.#sole.fresh) {
      await this.#receiver.start() // replies come to the own inbox
      await this.#sole.expect()
    }
    if (!signal.aborted)
      await this.#sender.send(to, message, { signal, onNumbered: id => request.numbered(id) })
  }

  status(): Status {
    return this.#status.current()
  }

  on(event: string, listener: (event: unknown) => void): () => void {
    return this.#parts.events.on(event, listener)
  }

  drain({ timeoutMs = DRAIN_MS }: { timeoutMs?: number } = {}): Promise<Leftover> {
    this.#stopping ??= this.#stop(timeoutMs, timeoutMs, true)
    return this.#stopping
  }

  close(): Promise<Leftover> {
    this.#stopping ??= this.#stop(DRAIN_MS, 0, false)
    return this.#stopping
  }

  recheck(): void {
    this.#receiver.recheck()
    this.#status.tell()
  }

  sendSystem(to: Party, type: string, payload: Uint8Array, ttlSeconds: number): void {
    this.#sender.sendSystem(to, systemMessage(type, payload, this.#parts.clock.now(), ttlSeconds))
  }

  #makeSender(): MessageSender {
    const { transport, sealer, clock, events } = this.#parts
    const policy = this.#parts.policy ?? { permit: () => ({}) }
    const now = (): number => clock.now()
    return createSender({ transport, sealer, policy, outbox: this.#outbox, now, emit: events.emit })
  }

  #makeReceiver(): Receiver<unknown> {
    const { transport, sealer, opener, policy, clock, lifetimeMs, onCard, stillTrusted } = this.#parts
    return createReceiver<unknown>({
      ...{ transport, opener, clock, onCard, requests: this.#requests, self: sealer.self },
      ...(policy && { policy }),
      ...(stillTrusted && { stillTrusted }),
      ...(lifetimeMs !== undefined && { lifetimeMs }),
      seen: this.#seen,
      emit: (event, detail) => this.#onEvent(event, detail),
      park: createPark(transport),
      reply: (to, message, original, options) => this.#reply(to, message, original, options),
      receipt: (to, receipt) => this.#receipts.add(to, receipt),
      onReceipt: (from, receipt: Receipt) => this.#sender.handled(from, receipt),
    })
  }

  /** Permitting a request permits its reply; the answer to any other message has to be allowed by itself. */
  #reply(to: Party, message: Message, original: Original, options: SendOptions = {}): Promise<SendResult> {
    checkSendOptions(options)
    return this.#send(to, message, { inReplyTo: original.id }, { ...options, permitted: original.request })
  }

  /** n.b. nothing is awaited before the message has its place in the lane: the order of calls is the order of sending. */
  async #send(
    to: Party,
    message: Message,
    marks: OutgoingMarks,
    options: SendMessageOptions,
  ): Promise<SendResult> {
    const wire = this.#outgoing(to, message, marks)
    const sent = this.#sender.send(to, wire, options)
    const { inbox } = this.#parts.sealer.recipient(to)
    // Receipts come to the own inbox; a transient inbox wants one for every message.
    if (options.until !== 'handled' && inbox !== 'transient') return sent
    const [result] = await Promise.all([sent, this.#receiver.start()])
    return result
  }

  #outgoing(to: Party, message: Message, marks: OutgoingMarks): WireMessage {
    const { sealer, clock } = this.#parts
    const { lifetimeSeconds } = sealer.recipient(to)
    return outgoing(message, { nowMs: clock.now(), lifetimeSeconds, notAfterMs: sealer.notAfterMs }, marks)
  }

  async #stop(timeoutMs: number, graceMs: number, finish: boolean): Promise<Leftover> {
    const deadline = performance.now() + timeoutMs
    this.#status.phase = 'draining'
    this.#status.tell()
    this.#requests.close()
    const unhandled = await this.#receiver.stop({ timeoutMs, graceMs })
    this.#receipts.flush()
    const left = Math.max(FLUSH_MS, deadline - performance.now()) // n.b. handlers may have used all the time up
    const unsent = await (finish ? this.#sender.drain({ timeoutMs: left }) : this.#sender.close())
    await this.#parts.transport.close()
    await this.#parts.onClose?.()
    this.#status.phase = 'closed'
    this.#status.tell()
    this.#resolveClosed(this.#status.failure)
    return { unsent, unhandled }
  }

  #onEvent(event: string, detail: object): void {
    if (event === 'store-failed') this.#status.fail((detail as { error?: Error }).error)
    this.#parts.events.emit(event, detail)
    if (event === 'paused' || event === 'resumed' || event === 'store-failed') this.#status.tell()
  }

  #party(to: string | Party): Party {
    if (typeof to !== 'string') return { domain: to.domain, address: to.address }
    return { domain: this.#parts.sealer.self.domain, address: to }
  }

  #assertOpen(): void {
    if (this.#stopping) throw new SealbusError('closed', 'the bus is closed or closing; make a new one')
  }
}
