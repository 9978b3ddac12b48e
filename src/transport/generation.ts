/**
 * One consuming channel from its opening to its death, and what was delivered on it. An acknowledgement of a dead
 * generation does nothing: its delivery tag may by now be another message's.
 */
import type { Channel, ConsumeMessage } from './amqp.js'
import { type Deferred, deferred } from './deadline.js'
import type { LinkChannel } from './link-channel.js'
import { claimedSender } from './topology.js'
import type { TransportDelivery } from './transport.js'

let lastId = 0

/** What a generation tells its consumer. */
export interface GenerationEvents {
  deliver(message: ConsumeMessage, generation: Generation): void
  /** An acknowledgement came after the death. */
  stale(generation: number): void
}

export class Generation {
  /** Unique in this process, rising. */
  readonly id: number
  /** Resolves when nothing more will be delivered; the channel is closed by then, or about to be. */
  readonly dead: Promise<Error | undefined>
  #opened: LinkChannel<Channel>
  #events: GenerationEvents
  #death: Deferred<Error | undefined> = deferred()
  #alive = true
  #reason: Error | undefined
  #credit = 0
  readonly #consumers = new Map<string, { tag: string; prefetch: number }>()
  #unsettled = 0

  constructor(opened: LinkChannel<Channel>, events: GenerationEvents) {
    this.id = ++lastId
    this.#opened = opened
    this.#events = events
    this.dead = this.#death.promise
    void opened.closed.then(reason => this.#die(reason))
  }

  get alive(): boolean {
    return this.#alive && this.#opened.open
  }

  /** Bodies that the broker may still deliver before something is settled. */
  get freeCredit(): number {
    return this.#credit - this.#unsettled
  }

  /** One consumer on this channel with `prefetch` credit of its own. */
  async consume(queue: string, prefetch: number): Promise<void> {
    const { channel } = this.#opened
    this.#credit += prefetch
    const qos = channel.prefetch(prefetch, false) // n.b. quorum queues know no global prefetch
    const consuming = channel.consume(queue, message => this.#take(message))
    const [, { consumerTag }] = await this.#opened.ask(Promise.all([qos, consuming]))
    this.#consumers.set(queue, { tag: consumerTag, prefetch })
  }

  /** Whether it consumes this queue. */
  consumes(queue: string): boolean {
    return this.alive && this.#consumers.has(queue)
  }

  /** Takes no more of a queue; what it has delivered stays in hand. */
  async cancel(queue: string): Promise<void> {
    const consumer = this.#consumers.get(queue)
    if (consumer === undefined) return
    this.#consumers.delete(queue)
    this.#credit -= consumer.prefetch
    await this.#opened.ask(this.#opened.channel.cancel(consumer.tag))
  }

  /** Closes the channel; resolves when it is closed, or its link destroyed. */
  async end(): Promise<void> {
    this.#alive = false
    await this.#opened.close()
    this.#die(undefined)
  }

  /** What the layers above get. */
  delivery(message: ConsumeMessage): TransportDelivery {
    const { deliveryTag, redelivered, routingKey } = message.fields
    let result: boolean | undefined
    const once = (settle: () => void): boolean => (result ??= this.#settle(settle))
    return {
      body: message.content,
      redelivered,
      claimedFrom: claimedSender(routingKey),
      token: `${this.id}:${deliveryTag}`,
      ack: () => once(() => this.#opened.channel.ack(message)),
      requeue: () => once(() => this.#opened.channel.nack(message, false, true)),
    }
  }

  #settle(settle: () => void): boolean {
    this.#unsettled -= 1
    if (this.alive && this.#written(settle)) return true
    this.#events.stale(this.id)
    return false
  }

  /** False where amqplib knows better than we that the channel is gone. */
  #written(settle: () => void): boolean {
    try {
      settle()
      return true
    } catch {
      return false
    }
  }

  #take(message: ConsumeMessage | null): void {
    if (message === null) this.#cancelled()
    if (message === null || !this.#alive) return
    this.#unsettled += 1
    this.#events.deliver(message, this)
  }

  /** The broker took the consumer away: queue deleted, or its node gone. */
  #cancelled(): void {
    this.#alive = false
    this.#reason = new Error('the broker cancelled the consumer')
    void this.#opened.close() // n.b. dead only then: what is unacknowledged has to go back before the next one starts
  }

  #die(reason: Error | undefined): void {
    this.#alive = false
    this.#death.resolve(reason ?? this.#reason)
  }
}
