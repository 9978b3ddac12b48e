/** The transport over RabbitMQ: a publishing and a consuming connection, each lasting, and one status of both. */
import { isSealbusError, SealbusError } from '../errors.js'
import { Backoff } from './backoff.js'
import { InboxConsumer } from './consumer.js'
import { abortable, pause } from './deadline.js'
import { dialler } from './dial.js'
import { Endpoints } from './endpoints.js'
import type { Link } from './link.js'
import { Notices } from './notices.js'
import { Publisher } from './publisher.js'
import { type RabbitOptions, type RabbitSettings, settings } from './rabbit-options.js'
import { LastingLink, type LinkState } from './reconnect.js'
import { Standby } from './standby.js'
import { combine } from './status.js'
import { declareInbox, inspectQueue, type Names, names } from './topology.js'
import type {
  ChannelKind,
  PublishChannel,
  Transport,
  TransportConsumer,
  TransportDelivery,
  TransportEvent,
  TransportStatus,
} from './transport.js'

export type { RabbitOptions } from './rabbit-options.js'

/**
 * A transport over RabbitMQ; nothing happens before `start`.
 *
 * @throws SealbusError `configuration`; RangeError a number out of its range
 */
export function rabbitTransport(options: RabbitOptions): Transport {
  return new RabbitTransport(settings(options))
}

class RabbitTransport implements Transport {
  readonly address: string
  #options: RabbitSettings
  #names: Names
  #notices: Notices
  #standbys: Standby[] = []
  #publishing: LastingLink
  #consuming: LastingLink
  #publisher: Publisher
  #consumer: InboxConsumer | undefined
  #declareRefusal: SealbusError | undefined
  #stop = new AbortController()
  #started: Promise<void> | undefined

  constructor(options: RabbitSettings) {
    this.address = options.address
    this.#options = options
    this.#names = names(options.address, options.exchange, options.inbox.partitions)
    this.#notices = new Notices(options.logger)
    const endpoints = new Endpoints(options.brokers, options.allowPlaintext)
    this.#publishing = this.#lasting(endpoints, 'publishing')
    this.#consuming = options.oneConnection ? this.#publishing : this.#lasting(endpoints, 'consuming')
    const hooks = {
      changed: () => this.#update(),
      event: (event: TransportEvent) => this.#notices.event(event),
    }
    this.#publisher = new Publisher(this.#publishing, this.#names, hooks)
  }

  async start(signal?: AbortSignal): Promise<void> {
    this.#assertOpen()
    const link = await this.#publishing.link(signal)
    if (!this.#options.inbox.declare) return
    this.#started ??= this.#declare(link)
    await this.#started
  }

  async channel(kind: ChannelKind, signal?: AbortSignal): Promise<PublishChannel> {
    this.#assertOpen()
    return this.#publisher.channel(kind, signal)
  }

  writable(): Promise<void> | undefined {
    return this.#publisher.writable()
  }

  async consume(
    onDelivery: (delivery: TransportDelivery) => void,
    options: { prefetch: number; onLost?: () => void; signal?: AbortSignal },
  ): Promise<TransportConsumer> {
    this.#assertOpen()
    if (this.#consumer !== undefined)
      throw new SealbusError('configuration', 'consume: expected one call, got a second')
    if (!Number.isInteger(options.prefetch) || options.prefetch < 1 || options.prefetch > 65_535) {
      throw new RangeError(`prefetch: expected a whole number 1..65535, got ${options.prefetch}`)
    }
    const consumer = this.#inboxConsumer(onDelivery, options.prefetch, options.onLost ?? (() => undefined))
    await abortable(consumer.tried, options.signal).catch(() => undefined) // n.b. stopped or not, it can be stopped
    return {
      addCredit: count => consumer.addCredit(count),
      stop: async () => {
        await consumer.stop()
        if (this.#consumer === consumer) this.#consumer = undefined
      },
    }
  }

  async consumers(): Promise<number | undefined> {
    const { state } = this.#consuming.state.name === 'open' ? this.#consuming : this.#publishing
    if (state.name !== 'open') return undefined
    const { link } = state
    const consumer = this.#consumer
    if (consumer !== undefined) return consumer.consumers(link).catch(() => undefined)
    const counts = this.#names.queues.map(async queue => (await inspectQueue(link, queue)).consumerCount)
    return Promise.all(counts).then(
      each => Math.max(...each),
      () => undefined,
    )
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

  async close(): Promise<void> {
    this.#stop.abort(new SealbusError('closed', 'the transport is closed'))
    this.#publisher.close()
    // n.b. not the consumer first: closing its link closes its channel, and has a deadline of its own
    const standbys = this.#standbys.map(standby => standby.close())
    await Promise.all([this.#publishing.close(), this.#consuming.close(), ...standbys])
    await this.#consumer?.stop()
    this.#update()
  }

  #inboxConsumer(
    onDelivery: (delivery: TransportDelivery) => void,
    prefetch: number,
    onLost: () => void,
  ): InboxConsumer {
    const { partition } = this.#options
    const { kind, declare } = this.#options.inbox
    this.#consumer = new InboxConsumer({
      ...(partition !== undefined && { partition }),
      ...{ lasting: this.#consuming, names: this.#names, kind, declare, prefetch, onDelivery, onLost },
      changed: () => this.#update(),
      event: event => this.#notices.event(event),
    })
    return this.#consumer
  }

  #lasting(endpoints: Endpoints, purpose: 'publishing' | 'consuming'): LastingLink {
    const changed = (state: LinkState): void => this.#linkChanged(purpose, state)
    const backoff = new Backoff(Math.random, this.#options.reconnectMaxMs)
    const dial = dialler(this.#options, endpoints, purpose)
    if (!this.#options.standby) return new LastingLink(dial, changed, backoff)
    const standby = new Standby(dial, where =>
      this.#notices.event({ name: 'standby', detail: { connection: purpose, where } }),
    )
    this.#standbys.push(standby)
    return new LastingLink(standby.dial, changed, backoff)
  }

  #linkChanged(purpose: string, state: LinkState): void {
    if (state.name === 'open') state.link.onBlocked(() => this.#linkBlocked(purpose, state.link))
    const event = linkEvent(purpose, state)
    if (event !== undefined) this.#notices.event(event)
    this.#update()
  }

  #linkBlocked(connection: string, link: Link): void {
    const reason = link.blocked
    this.#notices.event({
      name: reason === undefined ? 'unblocked' : 'blocked',
      detail: { connection, ...(reason && { reason }) },
    })
    this.#update()
  }

  /** The first declaring; a refusal is a state, asked again slowly. The connection is usable meanwhile. */
  async #declare(link: Link): Promise<void> {
    const failure = await this.#tryDeclare(link)
    if (failure !== undefined) void this.#keepDeclaring(failure)
  }

  async #keepDeclaring(first: SealbusError): Promise<void> {
    const backoff = new Backoff()
    for (let failure: SealbusError | undefined = first; failure !== undefined && !this.#closed(); ) {
      const lost = isSealbusError(failure, 'connection-lost') || isSealbusError(failure, 'timeout')
      await pause(lost ? backoff.failed() : backoff.refused(), this.#stop.signal)
      const link = await this.#publishing.link(this.#stop.signal).catch(() => undefined)
      if (link !== undefined) failure = await this.#tryDeclare(link)
    }
  }

  async #tryDeclare(link: Link): Promise<SealbusError | undefined> {
    const { kind } = this.#options.inbox
    const failure = await declareInbox(link, this.#names, kind).then(
      () => undefined,
      (thrown: unknown) =>
        thrown instanceof SealbusError ? thrown : new SealbusError('connection-lost', String(thrown)),
    )
    const lost = isSealbusError(failure, 'connection-lost') || isSealbusError(failure, 'timeout')
    this.#declareRefusal = lost ? undefined : failure
    this.#notices.event({
      name: failure === undefined ? 'declared' : 'declare-failed',
      detail: { inbox: this.#names.inbox },
    })
    this.#update()
    return failure
  }

  #update(): void {
    const links =
      this.#consumer === undefined
        ? [this.#publishing.state]
        : [this.#publishing.state, this.#consuming.state]
    const refusals = [this.#publisher.refusal, this.#consumer?.refusal, this.#declareRefusal]
    this.#notices.setStatus(this.#closed() ? { state: 'closed' } : combine(links, refusals))
    this.#publisher.wake()
  }

  #closed(): boolean {
    return this.#stop.signal.aborted
  }

  #assertOpen(): void {
    if (this.#closed()) throw new SealbusError('closed', 'the transport is closed: make a new one')
  }
}

function linkEvent(connection: string, state: LinkState): TransportEvent | undefined {
  switch (state.name) {
    case 'open':
      return { name: 'connected', detail: { connection, where: state.link.where } }
    case 'waiting':
      return { name: 'disconnected', detail: { connection, ...failureOf(state) } }
    case 'refused':
      return { name: 'unauthorised', detail: { connection, ...failureOf(state) } }
    case 'idle':
    case 'connecting':
    case 'closed':
      return undefined
  }
}

/** Why, and when the next attempt comes. */
function failureOf({ lastFailure, delayMs }: Extract<LinkState, { delayMs: number }>): {
  reason: string
  againInMs: number
} {
  return { reason: lastFailure.message, againInMs: Math.round(delayMs) }
}
