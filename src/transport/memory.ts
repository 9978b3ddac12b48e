/** The transport to a {@link MemoryBroker}: the same contract as over RabbitMQ, reconnecting included. */
import { asError, SealbusError } from '../errors.js'
import { abortable, type Deferred, deferred } from './deadline.js'
import type { MemoryBroker } from './memory-broker.js'
import { MemoryChannel } from './memory-channel.js'
import { MemoryConsumer } from './memory-consumer.js'
import { Notices } from './notices.js'
import type {
  ChannelKind,
  PublishChannel,
  Transport,
  TransportConsumer,
  TransportDelivery,
  TransportEvent,
  TransportStatus,
} from './transport.js'

export { MemoryBroker, type MemoryBrokerOptions } from './memory-broker.js'

/** From the loss of a connection to the next one. */
const RECONNECT_MS = 5

/** A transport to a broker in this process. */
export function memoryTransport(broker: MemoryBroker, address: string): Transport {
  return new MemoryTransport(broker, address)
}

class MemoryTransport implements Transport {
  readonly address: string
  #broker: MemoryBroker
  #notices = new Notices(undefined)
  #disconnect: (() => void) | undefined
  #connected: Deferred<void> = deferred()
  #channels = new Set<MemoryChannel>()
  #shared: MemoryChannel | undefined
  #consumer: MemoryConsumer | undefined
  #closed = false

  constructor(broker: MemoryBroker, address: string) {
    this.#broker = broker
    this.address = address
  }

  async start(signal?: AbortSignal): Promise<void> {
    this.#assertOpen()
    this.#broker.declare(this.address)
    if (this.#disconnect === undefined) this.#connect()
    await abortable(this.#connected.promise, signal)
  }

  async channel(kind: ChannelKind, signal?: AbortSignal): Promise<PublishChannel> {
    this.#assertOpen()
    await abortable(this.#connected.promise, signal)
    this.#assertOpen()
    if (kind !== 'shared') return this.#open(false)
    if (this.#shared?.open !== true) this.#shared = this.#open(true)
    return this.#shared
  }

  writable(): Promise<void> | undefined {
    return undefined // n.b. memory takes every byte at once
  }

  consume(
    onDelivery: (delivery: TransportDelivery) => void,
    options: { prefetch: number; onLost?: () => void },
  ): Promise<TransportConsumer> {
    try {
      return Promise.resolve(this.#consume(onDelivery, options))
    } catch (thrown) {
      return Promise.reject(asError(thrown))
    }
  }

  consumers(): Promise<number | undefined> {
    return Promise.resolve(this.#broker.inbox(this.address)?.consumers)
  }

  status(): TransportStatus {
    return this.#notices.status
  }

  onStatus(listener: (status: TransportStatus) => void): () => void {
    return this.#notices.onStatus(listener)
  }

  onEvent(listener: (event: TransportEvent) => void): () => void {
    return this.#notices.onEvent(listener)
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    this.#connected.reject(new SealbusError('closed', 'the transport is closed'))
    this.#disconnect?.()
    this.#drop(undefined)
    this.#notices.setStatus({ state: 'closed' })
    return Promise.resolve()
  }

  #consume(
    onDelivery: (delivery: TransportDelivery) => void,
    options: { prefetch: number; onLost?: () => void },
  ): TransportConsumer {
    this.#assertOpen()
    if (this.#consumer !== undefined)
      throw new SealbusError('configuration', 'consume: expected one call, got a second')
    const consumer = new MemoryConsumer(this.#broker, this.address, {
      prefetch: options.prefetch,
      onDelivery,
      onLost: options.onLost ?? (() => undefined),
      event: event => this.#notices.event(event),
    })
    this.#consumer = consumer
    if (this.#disconnect !== undefined) consumer.connect()
    return {
      // n.b. as on a quorum inbox: with a single active consumer credit cannot be added
      addCredit: () => false,
      stop: () => {
        consumer.disconnect()
        this.#consumer = undefined
        return Promise.resolve()
      },
    }
  }

  #open(shared: boolean): MemoryChannel {
    const channel = new MemoryChannel(this.#broker, shared, () => this.#channels.delete(channel))
    this.#channels.add(channel)
    return channel
  }

  #connect(): void {
    if (this.#closed) return
    this.#disconnect = this.#broker.connect({ address: this.address, lost: reason => this.#lost(reason) })
    this.#connected.resolve()
    this.#consumer?.connect()
    this.#notices.setStatus({ state: 'ready' })
    this.#notices.event({ name: 'connected' })
  }

  #lost(reason: Error): void {
    this.#disconnect = undefined
    this.#connected = deferred()
    this.#drop(reason)
    this.#notices.setStatus({ state: 'connecting', reason })
    this.#notices.event({ name: 'disconnected', detail: { reason: reason.message } })
    setTimeout(() => this.#connect(), RECONNECT_MS)
  }

  #drop(reason: Error | undefined): void {
    for (const channel of this.#channels) channel.die(reason)
    this.#channels.clear()
    this.#consumer?.disconnect()
  }

  #assertOpen(): void {
    if (this.#closed) throw new SealbusError('closed', 'the transport is closed: make a new one')
  }
}
