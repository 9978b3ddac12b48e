/**
 * The sending half of a bus: messages in, sealed envelopes out, in the order of each lane, until the broker's majority has
 * them or they are over. docs/DELIVERY.md. Composes admission → lanes → pump → settlement; holds no rule of its own.
 */
import type { Party, Priority, SendResult, Until } from '../bus.js'
import type { PolicyCheck, Sealer } from '../crypto/sealing.js'
import { asError, SealbusError } from '../errors.js'
import type { Transport } from '../transport/transport.js'
import type { MessageId, WireMessage } from '../wire.js'
import { Admission } from './admission.js'
import { AwaitingReceipts, type ReceiptItem } from './awaiting-receipts.js'
import { Bodies } from './bodies.js'
import { Introductions } from './introductions.js'
import type { LeftLane, Outbox } from './outbox.js'
import { Pump } from './pump.js'
import { type BufferBounds, SendBuffer } from './send-buffer.js'
import type { SendingLane } from './sending-lane.js'
import { SendingLanes } from './sending-lanes.js'
import { because, Settlement } from './settlement.js'

/** Memory bound over all lanes unless configured. */
const DEFAULT_BUFFER: BufferBounds = { messages: 100_000, bytes: 64 * 1024 * 1024 }
const DEFAULT_DRAIN_MS = 30_000

export interface MessageSenderOptions {
  readonly transport: Transport
  readonly sealer: Sealer
  readonly policy: PolicyCheck
  readonly outbox: Outbox
  /** Wall clock, ms. */
  readonly now: () => number
  /** For operators; names in docs/DELIVERY.md. n.b. never given a payload. */
  readonly emit: (event: string, detail: object) => void
  /** Messages and bytes in memory over all lanes. Default {@link DEFAULT_BUFFER}. */
  readonly limits?: Partial<BufferBounds>
  /** Jitter; default `Math.random`. */
  readonly random?: () => number
}

export interface SendMessageOptions {
  /** Default `report`. */
  readonly priority?: Priority
  /** Default `stored` with a durable outbox, else `confirmed`. */
  readonly until?: Until
  /** Rejects with `buffer-full` instead of waiting for room. Default false. */
  readonly droppable?: boolean
  readonly signal?: AbortSignal
  /** Carries our chain and card even if the peer should know them: the card is new. Default false. */
  readonly introduce?: boolean
  /** The policy has been asked: a reply to a request that it allowed. Default false. */
  readonly permitted?: boolean
  /** Called with the message's number before any byte of it leaves, so that no reply can come sooner. */
  readonly onNumbered?: (id: MessageId) => void
}

export interface SenderUsage {
  /** In memory: unsealed, unconfirmed, or kept for a receipt. */
  readonly messages: number
  readonly bytes: number
  /** Sends that wait for room. */
  readonly waiting: number
  /** Envelopes in flight. */
  readonly inFlight: number
  /** Confirmed envelopes kept until their receipts come. */
  readonly awaitingReceipt: number
  /** Lanes known, and those that have something to do. */
  readonly lanes: number
  readonly activeLanes: number
}

export interface MessageSender {
  /**
   * Opens the outbox; what a former life left goes first, lane by lane.
   * @throws SealbusError `corrupt-store`, `store-failed`
   */
  start(): Promise<void>
  /**
   * Sends one message; pends until its stage is reached or it is over.
   * @throws SealbusError `unknown-recipient`, `recipient-expired`, `not-permitted`, `message-expired`,
   * `payload-too-large`, `buffer-full`, `unroutable`, `quarantined`, `not-handled`, `outcome-unknown`, `store-failed`,
   * `configuration`, `closed`; the signal's reason while the message is not sealed yet
   */
  send(to: Party, message: WireMessage, options?: SendMessageOptions): Promise<SendResult>
  /** Sends a receipt, a card, … in the unordered lane, best effort: what finds no room or no way is dropped with an event. */
  sendSystem(to: Party, message: WireMessage): void
  /** A receipt of that authenticated party came. True if it counted: for something outstanding that was sealed to it. */
  handled(from: Party, item: ReceiptItem): boolean
  usage(): SenderUsage
  /** Refuses new sends (receipts excepted), waits for the confirms, closes. Resolves with the messages left unconfirmed. */
  drain(options?: { timeoutMs?: number }): Promise<number>
  /** Closes at once; resolves with the messages left unconfirmed. May be called twice. */
  close(): Promise<number>
}

/** @throws RangeError for limits that are not positive */
export function createSender(options: MessageSenderOptions): MessageSender {
  return new LaneSender(options)
}

class LaneSender implements MessageSender {
  readonly #options: MessageSenderOptions
  readonly #lanes: SendingLanes
  readonly #introductions = new Introductions()
  readonly #receipts = new AwaitingReceipts()
  readonly #buffer: SendBuffer
  readonly #settlement: Settlement
  readonly #pump: Pump
  readonly #admission: Admission
  #state: 'open' | 'draining' | 'closed' = 'open'
  #closed: Promise<number> | undefined

  constructor(options: MessageSenderOptions) {
    const { random = Math.random, outbox, emit, now } = options
    this.#options = options
    this.#buffer = new SendBuffer({ ...DEFAULT_BUFFER, ...options.limits })
    const bodies = new Bodies({ outbox, receipts: this.#receipts })
    const shared = { introductions: this.#introductions, receipts: this.#receipts, bodies }
    this.#settlement = new Settlement({
      ...shared,
      outbox,
      now,
      emit,
      buffer: this.#buffer,
      ended: lane => {
        this.#admission.admit(lane)
        this.#pump.ended(lane)
      },
    })
    this.#lanes = new SendingLanes(outbox)
    const laneOf = (epoch: string): SendingLane | undefined => this.#lanes.byEpoch(epoch)
    this.#pump = new Pump({ ...options, ...shared, random, laneOf, settlement: this.#settlement })
    this.#admission = new Admission({ ...options, buffer: this.#buffer, pump: this.#pump })
  }

  async start(): Promise<void> {
    for (const left of await this.#options.outbox.start()) this.#resume(left)
  }

  async send(to: Party, message: WireMessage, options: SendMessageOptions = {}): Promise<SendResult> {
    if (this.#state !== 'open') throw closed()
    const { durable } = this.#options.outbox
    const { until = durable ? 'stored' : 'confirmed', priority = 'report', droppable = false } = options
    if (until === 'stored' && !durable) throw notDurable()
    const { inbox } = this.#admission.check(to, message, options.permitted ?? false)
    if (options.introduce) this.#introductions.repeat(to)
    // n.b. a transient inbox dies with its node: there only a receipt says that the bytes may go.
    const receiptWanted = message.receiptWanted || until === 'handled' || inbox === 'transient'
    const wanted = receiptWanted === message.receiptWanted ? message : { ...message, receiptWanted }
    return await this.#admission.enter(this.#lanes.of(to, priority), wanted, { ...options, until, droppable })
  }

  sendSystem(to: Party, message: WireMessage): void {
    this.#sendSystem(to, message).catch((error: unknown) => {
      this.#options.emit('system-message-dropped', { to, type: message.type, reason: asError(error).message })
    })
  }

  handled(from: Party, item: ReceiptItem): boolean {
    return this.#settlement.received(from, item)
  }

  usage(): SenderUsage {
    return {
      messages: this.#buffer.inside.messages,
      bytes: this.#buffer.inside.bytes,
      waiting: this.#buffer.outside.messages,
      inFlight: this.#pump.flying,
      awaitingReceipt: this.#receipts.kept,
      lanes: this.#lanes.size,
      activeLanes: this.#pump.active.size,
    }
  }

  async drain({ timeoutMs = DEFAULT_DRAIN_MS }: { timeoutMs?: number } = {}): Promise<number> {
    if (this.#state === 'open') this.#state = 'draining'
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>(resolve => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([this.#pump.idle(), late])
    clearTimeout(timer)
    return await this.close()
  }

  close(): Promise<number> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<number> {
    this.#state = 'closed'
    this.#pump.close()
    await this.#options.outbox.close() // n.b. what was being stored is stored yet, and its sends resolve
    let unsent = 0
    for (const lane of this.#lanes) {
      if (lane.priority !== 'receipt') unsent += lane.unsent
      this.#abandon(lane)
    }
    for (const entry of this.#receipts.entries()) {
      for (const submission of entry.submissions) submission.reject(unknown())
    }
    return unsent
  }

  /** n.b. what may have left, or will from a durable outbox, is unknown; the rest was certainly not sent. */
  #abandon(lane: SendingLane): void {
    clearTimeout(lane.timer)
    for (const entry of lane.entries()) {
      const error = entry.published || this.#options.outbox.durable ? unknown : closed
      for (const submission of entry.submissions) submission.reject(error())
    }
    this.#settlement.refuseAll(lane, closed)
  }

  async #sendSystem(to: Party, message: WireMessage): Promise<void> {
    if (this.#state === 'closed') throw closed()
    this.#admission.check(to, message, true)
    const lane = this.#lanes.of(to, 'receipt')
    await this.#admission.enter(lane, message, { until: 'confirmed', droppable: true })
  }

  /** n.b. what expired while nobody ran is given up before any of it could leave. */
  #resume(left: LeftLane): void {
    const lane = this.#lanes.resume(left)
    const nowMs = this.#options.now()
    const expiryMs = left.stored.reduce(
      (first, { expiresAtMs }) => Math.min(first, expiresAtMs),
      Number.POSITIVE_INFINITY,
    )
    this.#pump.activate(lane, expiryMs)
    if (expiryMs <= nowMs) this.#settlement.expire(lane, nowMs)
  }
}

const closed = because('closed', 'send: the bus is closed or closing; open a new one')
const unknown = because(
  'outcome-unknown',
  'send: the bus closed while the message was under way; it may still arrive',
)

function notDurable(): SealbusError {
  return new SealbusError(
    'configuration',
    "send: until 'stored' needs an outbox on disk, which this bus does not have: ask for 'confirmed' or 'handled'",
  )
}
