/** The consumer of an inbox of the broker in memory, connection by connection. */
import { asError } from '../errors.js'
import type { MemoryBroker } from './memory-broker.js'
import type { MemoryBody, MemoryQueue } from './memory-queue.js'
import type { TransportDelivery, TransportEvent } from './transport.js'

export interface MemoryConsumerSetup {
  readonly prefetch: number
  readonly onDelivery: (delivery: TransportDelivery) => void
  readonly onLost: () => void
  readonly event: (event: TransportEvent) => void
}

let lastGeneration = 0

export class MemoryConsumer {
  #broker: MemoryBroker
  #address: string
  #setup: MemoryConsumerSetup
  #generation = 0
  #wanted = false
  #leave: (() => void) | undefined

  constructor(broker: MemoryBroker, address: string, setup: MemoryConsumerSetup) {
    this.#broker = broker
    this.#address = address
    this.#setup = setup
  }

  /** A new generation starts. */
  connect(): void {
    this.#wanted = true
    if (this.#leave !== undefined) return
    this.#broker.declare(this.#address)
    const queue = this.#broker.inbox(this.#address)
    if (queue === undefined) return
    const generation = ++lastGeneration
    this.#generation = generation
    this.#leave = queue.consume({
      prefetch: this.#setup.prefetch,
      deliver: body => this.#deliver(body, queue, generation),
      cancelled: () => this.#cancelled(),
    })
    this.#setup.event({ name: 'consuming', detail: { generation } })
  }

  /** The generation ends: what is unacknowledged goes back. */
  disconnect(): void {
    this.#wanted = false
    if (this.#leave === undefined) return
    this.#leave()
    this.#end('disconnected')
  }

  #cancelled(): void {
    this.#end('cancelled')
    setImmediate(() => this.#wanted && this.connect())
  }

  #end(reason: string): void {
    const generation = this.#generation
    this.#leave = undefined
    this.#generation = 0
    this.#setup.event({ name: 'consumer-lost', detail: { generation, reason } })
    this.#setup.onLost()
  }

  #deliver(body: MemoryBody, queue: MemoryQueue, generation: number): void {
    try {
      this.#setup.onDelivery(this.#delivery(body, queue, generation))
    } catch (thrown) {
      this.#setup.event({ name: 'delivery-failed', detail: { reason: asError(thrown).message } })
    }
  }

  #delivery(
    { position, publication, redelivered }: MemoryBody,
    queue: MemoryQueue,
    generation: number,
  ): TransportDelivery {
    let result: boolean | undefined
    const once = (settle: () => boolean): boolean => (result ??= this.#settle(settle, generation))
    return {
      body: publication.body,
      redelivered,
      claimedFrom: publication.from,
      token: `${generation}:${position}`,
      ack: () => once(() => queue.ack(position)),
      requeue: () => once(() => queue.requeue(position)),
    }
  }

  #settle(settle: () => boolean, generation: number): boolean {
    if (generation === this.#generation) return settle()
    this.#setup.event({ name: 'stale-ack', detail: { generation } })
    return false
  }
}
