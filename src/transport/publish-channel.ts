/**
 * One confirm channel. Confirms match by delivery tag (`multiple` included), returns by message id; a return precedes
 * its ack, acks come out of order. Every publish settles exactly once: with the broker's word, or with the death.
 */
import { SealbusError } from '../errors.js'
import type { ConfirmChannel } from './amqp.js'
import { type Deferred, deferred } from './deadline.js'
import { channelFailure, connectionLost, refusedTopic, replyCode } from './failures.js'
import type { LinkChannel } from './link-channel.js'
import { type Names, routingKey } from './topology.js'
import type { Confirmation, Publication, PublishChannel } from './transport.js'

/** The only header: which message of a parked batch failed. */
export const INDEX_HEADER = 'sealbus-index'

interface Pending extends Deferred<Confirmation> {
  readonly messageId: string
  readonly routingKey: string
  readonly writtenAt: number
  returned: boolean
}

let lastId = 0

/** What the channel tells its publisher. */
export interface PublishChannelEvents {
  /** The broker has judged a publish: permissions and exchange are in order. */
  settled(): void
  /** `full` changed. */
  drained(): void
  /** Nobody uses it any more. */
  unused(channel: ConfirmingChannel): void
}

/** A {@link PublishChannel} over amqplib. */
export class ConfirmingChannel implements PublishChannel {
  readonly id: number
  readonly closed: Promise<Error | undefined>
  #opened: LinkChannel<ConfirmChannel>
  #names: Names
  #events: PublishChannelEvents
  #pending = new Map<number, Pending>()
  #lastTag = 0
  #users = 0
  #full = false

  constructor(opened: LinkChannel<ConfirmChannel>, names: Names, events: PublishChannelEvents) {
    this.id = ++lastId
    this.#opened = opened
    this.#names = names
    this.#events = events
    this.closed = opened.closed
    const { channel } = opened
    channel.on('ack', ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple, 'confirmed'))
    channel.on('nack', ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple, 'nacked'))
    channel.on('return', message => this.#return(message.properties.messageId))
    channel.on('drain', () => this.#drain())
    void opened.closed.then(reason => this.#die(reason))
  }

  get open(): boolean {
    return this.#opened.open
  }

  /** amqplib's buffer is full: wait for drain or close. */
  get full(): boolean {
    return this.#full && this.open
  }

  /** When the oldest unconfirmed publish was written (`performance.now()`). */
  get oldest(): number | undefined {
    return this.#pending.values().next().value?.writtenAt
  }

  /** One more user; {@link ConfirmingChannel.release} is its opposite. */
  retain(): this {
    this.#users += 1
    return this
  }

  publish(publication: Publication): Promise<Confirmation> {
    if (!this.open) return Promise.reject(connectionLost(new Error('the channel is closed')))
    const key = routingKey(publication.to, publication.from)
    try {
      this.#full = !this.#write(publication, key)
    } catch (thrown) {
      return Promise.reject(channelFailure(thrown, 'publish')) // n.b. nothing was written: no delivery tag is used up
    }
    const pending: Pending = {
      ...deferred<Confirmation>(),
      messageId: publication.messageId,
      routingKey: key,
      writtenAt: performance.now(),
      returned: false,
    }
    this.#lastTag += 1
    this.#pending.set(this.#lastTag, pending)
    return pending.promise
  }

  release(): void {
    this.#users -= 1
    if (this.#users <= 0) this.#events.unused(this)
  }

  /** Closes it, whoever uses it. */
  close(): Promise<void> {
    return this.#opened.close()
  }

  #write({ exchange, messageId, body, index }: Publication, key: string): boolean {
    const name = exchange === 'inbox' ? this.#names.exchange : this.#names.parkedExchange
    return this.#opened.channel.publish(name, key, Buffer.from(body.buffer, body.byteOffset, body.length), {
      mandatory: true, // n.b. without it the broker confirms what it drops
      persistent: true,
      messageId,
      ...(index === undefined ? {} : { headers: { [INDEX_HEADER]: index } }),
    })
  }

  #settle(tag: number, multiple: boolean, word: Confirmation): void {
    if (!multiple) this.#settleOne(tag, word)
    else for (const each of this.#upTo(tag)) this.#settleOne(each, word)
    this.#events.settled()
  }

  /** Tags rise in the map's order. */
  #upTo(tag: number): number[] {
    const tags: number[] = []
    for (const each of this.#pending.keys()) {
      if (each > tag) break
      tags.push(each)
    }
    return tags
  }

  #settleOne(tag: number, word: Confirmation): void {
    const pending = this.#pending.get(tag)
    if (pending === undefined) return
    this.#pending.delete(tag)
    pending.resolve(pending.returned ? 'returned' : word)
  }

  /** The oldest of that id which was not returned yet. */
  #return(messageId: unknown): void {
    for (const pending of this.#pending.values()) {
      if (pending.messageId !== messageId || pending.returned) continue
      pending.returned = true
      return
    }
  }

  #drain(): void {
    this.#full = false
    this.#events.drained()
  }

  #die(reason: Error | undefined): void {
    const topic = refusedTopic(reason)
    for (const pending of this.#pending.values()) pending.reject(verdict(reason, topic, pending.routingKey))
    this.#pending.clear()
    this.#events.drained()
  }
}

/** 403 naming a topic concerns that topic alone; every other refusal concerns all that was in flight. */
function verdict(reason: Error | undefined, topic: string | undefined, key: string): Error {
  if (reason instanceof SealbusError) return reason
  if (replyCode(reason) === undefined || (topic !== undefined && topic !== key)) return connectionLost(reason)
  return channelFailure(reason, `publish ${key}`)
}
