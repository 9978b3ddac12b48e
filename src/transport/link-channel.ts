/**
 * One AMQP channel with its one death, by the broker, by the link or by us. Listeners are attached in its constructor:
 * a channel error without a listener would take the whole connection down (amqplib).
 */
import type { Channel } from './amqp.js'
import { type Deferred, deferred, within } from './deadline.js'
import { connectionLost } from './failures.js'

/** What a channel has to know of its link. */
export interface LinkOfChannel {
  readonly open: boolean
  readonly reason: Error | undefined
  /** The broker's words, where it reads nothing because of an alarm. */
  readonly blocked: string | undefined
  destroy(reason: Error): void
  /** Calls back at the link's death, unless the returned function was called first. */
  onDeath(listener: () => void): () => void
}

/** To close a channel, on a link whose broker reads. */
const CHANNEL_CLOSE_MS = 2_000

export class LinkChannel<C extends Channel> {
  readonly channel: C
  /**
   * Resolves when dead: with the broker's word (an Error with a reply code) where it closed this channel, with
   * `connection-lost` where the link died, with undefined where we closed either.
   */
  readonly closed: Promise<Error | undefined>
  #link: LinkOfChannel
  #death: Deferred<Error | undefined>
  #state: 'open' | 'closing' | 'dead' = 'open'
  /** n.b. the link lives longer than its channels: it must not keep them. */
  #leave: () => void

  constructor(channel: C, link: LinkOfChannel) {
    this.channel = channel
    this.#link = link
    this.#death = deferred()
    this.closed = this.#death.promise
    channel.on('error', (error: Error) => this.#die(error))
    channel.on('close', () => this.#die(undefined))
    this.#leave = link.onDeath(() => this.#die(undefined))
    if (!link.open) this.#die(undefined)
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** The answer, or the channel's death: amqplib does not notice every one. */
  ask<T>(answer: Promise<T>): Promise<T> {
    const dead = this.closed.then(reason => Promise.reject(reason ?? connectionLost(undefined)))
    return Promise.race([answer, dead])
  }

  /** Closes it. A broker that does not answer in time loses the whole link; in an alarm it cannot answer. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    // n.b. amqplib throws where the channel is closing already, and never answers on a dead link
    await this.#patiently(this.ask(Promise.resolve().then(() => this.channel.close())))
    if (this.#isDead()) return
    this.#link.destroy(new Error('the broker did not answer the closing of a channel'))
    this.#die(undefined)
  }

  /** Until it settles, or the broker has had {@link CHANNEL_CLOSE_MS} without an alarm. Never rejects. */
  async #patiently(answer: Promise<void>): Promise<void> {
    const settled = answer.then(
      () => true,
      () => true,
    )
    for (;;) {
      const before = this.#link.blocked
      if (await within(CHANNEL_CLOSE_MS, 'close a channel', settled).catch(() => false)) return
      if (before === undefined && this.#link.blocked === undefined) return
    }
  }

  #isDead(): boolean {
    return this.#state === 'dead'
  }

  #die(reason: Error | undefined): void {
    if (this.#isDead()) return
    const ours = this.#state === 'closing'
    this.#state = 'dead'
    this.#leave()
    // n.b. amqplib closes the channels of a dying connection before it says why the connection dies
    queueMicrotask(() => {
      this.#death.resolve(reason ?? this.#silent(ours))
    })
  }

  /** The reason where the broker gave none for this channel. */
  #silent(ours: boolean): Error | undefined {
    if (!this.#link.open) return this.#link.reason && connectionLost(this.#link.reason)
    return ours ? undefined : connectionLost(new Error('the channel was closed'))
  }
}
