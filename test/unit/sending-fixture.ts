/** A scripted transport and a sealer without cryptography, on the seams of the sending half. */
import type { Party } from '../../src/bus.js'
import type { Recipient, Sealer, SealRequest } from '../../src/crypto/sealing.js'
import { SealbusError } from '../../src/errors.js'
import { createMemoryOutbox } from '../../src/reliability/memory-outbox.js'
import type { Outbox } from '../../src/reliability/outbox.js'
import { createSender, type MessageSender, type MessageSenderOptions } from '../../src/reliability/sender.js'
import type {
  ChannelKind,
  Confirmation,
  Publication,
  PublishChannel,
  Transport,
  TransportStatus,
} from '../../src/transport/transport.js'
import type { WireMessage } from '../../src/wire.js'

export const hub: Party = { domain: 'field', address: 'heh-0001' }
export const other: Party = { domain: 'field', address: 'heh-0002' }

/** What the fake sealer put into a body. */
export interface Sealed {
  to: string
  epoch: string
  seq: number
  floor: number
  open: number
  introduce: boolean
  predecessor?: { epoch: string; lastSeq: number }
  texts: string[]
}

export function read(body: Uint8Array): Sealed {
  return JSON.parse(Buffer.from(body).toString()) as Sealed
}

/** One publishing that waits for the script. */
export class Flight {
  readonly sealed: Sealed
  readonly publication: Publication
  readonly channel: FakeChannel
  answered = false
  readonly #settle: { resolve(word: Confirmation): void; reject(error: Error): void }

  constructor(
    channel: FakeChannel,
    publication: Publication,
    settle: { resolve(word: Confirmation): void; reject(error: Error): void },
  ) {
    this.channel = channel
    this.publication = publication
    this.sealed = read(publication.body)
    this.#settle = settle
  }

  answer(word: Confirmation): void {
    this.answered = true
    this.#settle.resolve(word)
  }

  fail(error: Error): void {
    this.answered = true
    this.#settle.reject(error)
  }
}

export class FakeChannel implements PublishChannel {
  readonly id: number
  readonly kind: ChannelKind
  open = true
  released = 0
  readonly flights: Flight[] = []
  readonly closed: Promise<Error | undefined>
  readonly #onPublish: (flight: Flight) => void
  #close: (error: Error | undefined) => void = () => undefined

  constructor(id: number, kind: ChannelKind, onPublish: (flight: Flight) => void) {
    this.id = id
    this.kind = kind
    this.#onPublish = onPublish
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
  }

  publish(publication: Publication): Promise<Confirmation> {
    return new Promise((resolve, reject) => {
      if (!this.open) {
        reject(new SealbusError('connection-lost', 'channel is dead'))
        return
      }
      const flight = new Flight(this, publication, { resolve, reject })
      this.flights.push(flight)
      this.#onPublish(flight)
    })
  }

  release(): void {
    this.released++
  }

  /** Dies with everything in flight. */
  die(code: 'connection-lost' | 'broker-refused' | 'unauthorised' = 'connection-lost'): void {
    if (!this.open) return
    this.open = false
    this.#close(undefined)
    for (const flight of this.flights)
      if (!flight.answered) flight.fail(new SealbusError(code, 'channel died'))
  }
}

export class FakeTransport implements Transport {
  readonly address = 'vpp'
  readonly channels: FakeChannel[] = []
  readonly flights: Flight[] = []
  /** Called at each publishing; without it flights wait for the script. */
  script: ((flight: Flight) => void) | undefined
  state: TransportStatus['state'] = 'ready'
  blockedWrite: Promise<void> | undefined
  readonly #listeners = new Set<(status: TransportStatus) => void>()
  #waiting: (() => void)[] = []

  start(): Promise<void> {
    return Promise.resolve()
  }

  async channel(kind: ChannelKind, signal?: AbortSignal): Promise<PublishChannel> {
    while (this.state !== 'ready') {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve)
        signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
    }
    const shared = this.channels.find(channel => channel.kind === 'shared' && channel.open)
    if (kind === 'shared' && shared) return shared
    const channel = new FakeChannel(this.channels.length + 1, kind, flight => {
      this.flights.push(flight)
      this.script?.(flight)
    })
    this.channels.push(channel)
    return channel
  }

  become(state: TransportStatus['state']): void {
    this.state = state
    for (const listener of this.#listeners) listener({ state })
    if (state === 'ready') for (const resolve of this.#waiting.splice(0)) resolve()
  }

  writable(): Promise<void> | undefined {
    return this.blockedWrite
  }

  consume(): never {
    throw new Error('not scripted')
  }

  consumers(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  status(): TransportStatus {
    return { state: this.state }
  }

  onStatus(listener: (status: TransportStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  onEvent(): () => void {
    return () => undefined
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** In flight and not answered yet. */
  get inFlight(): Flight[] {
    return this.flights.filter(flight => !flight.answered && flight.channel.open)
  }
}

let ids = 0

export type FakeSealer = Omit<Sealer, 'bodyLimit'> & { seals: number; fingerprint: string; bodyLimit: number }

export function fakeSealer(recipient: Partial<Recipient> = {}): FakeSealer {
  const sealer = {
    seals: 0,
    fingerprint: 'f0',
    get self() {
      return { domain: 'field', address: 'vpp', role: 'vpp', fingerprint: sealer.fingerprint }
    },
    notAfterMs: Number.MAX_SAFE_INTEGER,
    bodyLimit: 10_000,
    recipient: (to: Party): Recipient => {
      if (to.address === 'nobody') throw new SealbusError('unknown-recipient', 'no card')
      return { ...to, role: 'heh', lifetimeSeconds: 86_400, notAfterMs: 1e15, inbox: 'quorum', ...recipient }
    },
    size: (message: WireMessage) => message.payload.length + 20,
    overhead: () => 100,
    seal: (request: SealRequest) => {
      sealer.seals++
      const { to, epoch, seq, floor, open, introduce, predecessor } = request
      const texts = request.messages.map(message => Buffer.from(message.payload).toString())
      const sealed = { to: to.address, epoch, seq, floor, open, introduce, predecessor, texts }
      const id = (ids++).toString(16).padStart(32, '0')
      return { id, body: new Uint8Array(Buffer.from(JSON.stringify(sealed))), contentHash: id + id }
    },
  }
  return sealer
}

export function wire(text: string, more: Partial<WireMessage> = {}): WireMessage {
  return {
    type: 'report',
    payload: new Uint8Array(Buffer.from(text)),
    createdAtMs: Date.now(),
    ttlSeconds: 3600,
    contentType: 'application/json',
    receiptWanted: false,
    request: false,
    ...more,
  }
}

export interface Rig {
  transport: FakeTransport
  sealer: FakeSealer
  outbox: Outbox
  sender: MessageSender
  events: { event: string; detail: object }[]
}

export function rig(options: Partial<MessageSenderOptions> & { sealer?: FakeSealer } = {}): Rig {
  const transport = new FakeTransport()
  const sealer = options.sealer ?? fakeSealer()
  const outbox = options.outbox ?? createMemoryOutbox()
  const events: Rig['events'] = []
  const sender = createSender({
    transport,
    sealer,
    outbox,
    policy: { permit: (_from, _to, type) => (type === 'forbidden' ? undefined : {}) },
    now: () => Date.now(),
    emit: (event, detail) => events.push({ event, detail }),
    random: () => 0.5,
    ...options,
  })
  return { transport, sealer, outbox, sender, events }
}
