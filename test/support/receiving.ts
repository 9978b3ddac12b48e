/** A scripted broker and an opener without cryptography: the receiving half under full control. */
import type { Delivery, Handler, Sender } from '../../src/bus.js'
import { concat, toHex, utf8 } from '../../src/bytes.js'
import { createClock } from '../../src/clock.js'
import type { NotOpened, Opened, Opener, OpenResult } from '../../src/crypto/sealing.js'
import { createMemorySeen } from '../../src/reliability/memory-seen.js'
import type { Receipt } from '../../src/reliability/receipts.js'
import { createReceiver, type Receiver, type ReceiverOptions } from '../../src/reliability/receiver.js'
import { Requests } from '../../src/reliability/requests.js'
import type { Publication, Transport, TransportDelivery } from '../../src/transport/transport.js'
import type { WireMessage } from '../../src/wire.js'

export const HEH: Sender = { domain: 'field', address: 'heh-0001', role: 'heh', fingerprint: 'ab'.repeat(32) }
export const TSO: Sender = { domain: 'field', address: 'tso', role: 'tso', fingerprint: 'cd'.repeat(32) }
export const EPOCH = '00112233445566aa'
export const EPOCH2 = '00112233445566bb'

export function wire(payload: string, over: Partial<WireMessage> = {}): WireMessage {
  return {
    type: 'report',
    payload: utf8(payload),
    createdAtMs: Date.now(),
    ttlSeconds: 3600,
    contentType: 'application/json',
    receiptWanted: false,
    request: false,
    ...over,
  }
}

let made = 0

/** An envelope as its opening: `hash` tells its content from another's. */
export function envelope(seq: number, messages: readonly WireMessage[], over: Partial<Opened> = {}): Opened {
  made += 1
  const id = made.toString(16).padStart(32, '0')
  return {
    ok: true,
    from: HEH,
    envelopeId: id,
    contentHash: made.toString(16).padStart(16, '0').repeat(4),
    createdAtMs: messages[0]?.createdAtMs ?? Date.now(),
    messages,
    epoch: EPOCH,
    seq,
    floor: 0,
    open: 0,
    ...over,
  }
}

/** Opens what it was told about; everything else is no envelope. */
export class ScriptedOpener implements Opener {
  readonly #results: Map<string, () => OpenResult | Promise<OpenResult>> = new Map()
  opened = 0

  body(result: OpenResult | (() => OpenResult | Promise<OpenResult>), size = 0): Uint8Array {
    made += 1
    const body = concat(utf8(`body ${made} `), new Uint8Array(size))
    this.#results.set(toHex(body.subarray(0, 20)), typeof result === 'function' ? result : () => result)
    return body
  }

  open(body: Uint8Array): OpenResult | Promise<OpenResult> {
    this.opened += 1
    return this.#results.get(toHex(body.subarray(0, 20)))?.() ?? notOpened('not-an-envelope')
  }
}

export function notOpened(reason: NotOpened['reason']): NotOpened {
  return { ok: false, reason, detail: 'as the test says' }
}

/** A broker's queue: delivers within its credit, keeps what is unacknowledged, delivers it again after a loss. */
export class ScriptedBroker implements Pick<Transport, 'consume'> {
  readonly queue: Uint8Array[] = []
  readonly unacked: Map<number, Uint8Array> = new Map()
  acked = 0
  credit = 0
  /** addCredit works, as it does without single active consumer. */
  elastic = true
  #generation = 0
  #token = 0
  #onDelivery: ((delivery: TransportDelivery) => void) | undefined
  #onLost: (() => void) | undefined

  consume(
    onDelivery: (delivery: TransportDelivery) => void,
    options: { prefetch: number; onLost?: () => void },
  ): ReturnType<Transport['consume']> {
    this.#onDelivery = onDelivery
    this.#onLost = options.onLost
    this.credit = options.prefetch
    this.#pump()
    return Promise.resolve({
      stop: () => {
        this.cut()
        return Promise.resolve()
      },
      addCredit: (count: number) => {
        if (this.elastic) this.credit += count
        queueMicrotask(() => this.#pump())
        return this.elastic
      },
    })
  }

  deliver(...bodies: readonly Uint8Array[]): void {
    this.queue.push(...bodies)
    this.#pump()
  }

  /** The channel dies: what was unacknowledged comes again. */
  lose(prefetch: number = this.credit): void {
    this.#requeue()
    this.#onLost?.()
    this.credit = prefetch
    this.#pump()
  }

  /** The consumer is gone for good. */
  cut(): void {
    this.#onDelivery = undefined
    this.#requeue()
  }

  #requeue(): void {
    this.#generation += 1
    this.queue.unshift(...this.unacked.values())
    this.unacked.clear()
  }

  #pump(): void {
    while (this.#onDelivery && this.unacked.size < this.credit) {
      const body = this.queue.shift()
      if (!body) return
      const token = ++this.#token
      const generation = this.#generation
      this.unacked.set(token, body)
      this.#onDelivery({
        body,
        redelivered: false,
        claimedFrom: 'heh-0001',
        token: String(token),
        ack: () => this.#ack(token, generation),
        requeue: () => false,
      })
    }
  }

  #ack(token: number, generation: number): boolean {
    if (generation !== this.#generation || !this.unacked.delete(token)) return false
    this.acked += 1
    queueMicrotask(() => this.#pump())
    return true
  }
}

export interface Rig {
  readonly broker: ScriptedBroker
  readonly opener: ScriptedOpener
  readonly receiver: Receiver
  readonly requests: Requests
  readonly parked: Publication[]
  readonly receipts: Receipt[]
  readonly received: Receipt[]
  readonly cards: Uint8Array[]
  readonly events: [string, object][]
  readonly names: () => string[]
  /** One envelope, sealed and queued. */
  readonly send: (opened: Opened, size?: number) => Uint8Array
}

/** A receiver on a scripted broker; nothing is started yet. */
export function rig(
  over: Partial<ReceiverOptions> = {},
  shared: { broker?: ScriptedBroker; opener?: ScriptedOpener } = {},
): Rig {
  const broker = shared.broker ?? new ScriptedBroker()
  const opener = shared.opener ?? new ScriptedOpener()
  const requests = new Requests()
  const parked: Publication[] = []
  const receipts: Receipt[] = []
  const received: Receipt[] = []
  const cards: Uint8Array[] = []
  const events: [string, object][] = []
  const receiver = createReceiver({
    transport: broker,
    opener,
    self: TSO,
    seen: createMemorySeen(() => undefined),
    clock: createClock(),
    emit: (name, detail) => events.push([name, detail]),
    park: publication => {
      parked.push(publication)
      return Promise.resolve()
    },
    reply: () => Promise.reject(new Error('no reply in this test')),
    receipt: (_to, receipt) => receipts.push(receipt),
    requests,
    onReceipt: (_from, receipt) => received.push(receipt) > 0,
    onCard: bytes => void cards.push(bytes),
    ...over,
  })
  const names = (): string[] => events.map(([name]) => name)
  const send = (opened: Opened, size = 0): Uint8Array => {
    const body = opener.body(opened, size)
    broker.deliver(body)
    return body
  }
  return { broker, opener, receiver, requests, parked, receipts, received, cards, events, names, send }
}

/** Lets everything that is ready happen; with fake timers too. */
export async function turns(count = 100): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve()
}

/** A handler that writes down what it gets. */
export function ledger(): { texts: string[]; handler: Handler; deliveries: Delivery[] } {
  const texts: string[] = []
  const deliveries: Delivery[] = []
  const handler: Handler = delivery => {
    texts.push(delivery.text())
    deliveries.push(delivery)
  }
  return { texts, handler, deliveries }
}
