/**
 * The consumer of one's own inbox. It lives in generations, one channel each; what kills one (cancel, channel, link)
 * makes it build the next, for ever. It never publishes: in an alarm one publish would freeze its connection.
 */
import { asError, isSealbusError, SealbusError } from '../errors.js'
import type { ConsumeMessage } from './amqp.js'
import { Backoff, WORKED_MS } from './backoff.js'
import { atMost, type Deferred, deferred, pause, within } from './deadline.js'
import { channelFailure, connectionLost, replyCode } from './failures.js'
import { Generation } from './generation.js'
import type { Link } from './link.js'
import { keepPartitions } from './partitions.js'
import type { LastingLink } from './reconnect.js'
import { Silence } from './silence.js'
import {
  DECLARE_MS,
  declareInbox,
  type InboxKind,
  inspectQueue,
  type Names,
  singleActive,
} from './topology.js'
import type { TransportConsumer, TransportDelivery, TransportEvent } from './transport.js'
import { everySecond } from './watchdog.js'

/** From the wish to stop until `stop` resolves; the channel's own deadline is shorter. */
const STOP_MS = 2_200

export interface ConsumerSetup {
  readonly lasting: LastingLink
  readonly names: Names
  readonly kind: InboxKind
  /** Declare the inbox where the broker says that it is missing. */
  readonly declare: boolean
  readonly prefetch: number
  /** Of a divided inbox: the queue of ours, from 1; the others are taken where nobody consumes them. Absent: all. */
  readonly partition?: number
  readonly onDelivery: (delivery: TransportDelivery) => void
  readonly onLost: () => void
  /** `refusal` changed. */
  readonly changed: () => void
  readonly event: (event: TransportEvent) => void
}

export class InboxConsumer implements TransportConsumer {
  #setup: ConsumerSetup
  #stop = new AbortController()
  #backoff = new Backoff()
  #generation: Generation | undefined
  #link: Link | undefined
  #refusal: SealbusError | undefined
  #missing = false
  #silence: Silence
  #first: Deferred<void> = deferred()
  #running: Promise<void>

  constructor(setup: ConsumerSetup) {
    this.#setup = setup
    this.#silence = new Silence({ ...setup, queues: this.#own }, this.#stop.signal)
    this.#running = this.#run()
    const unwatch = everySecond(now => this.#silence.look(now, this.#generation, this.#link))
    this.#stop.signal.addEventListener('abort', unwatch, { once: true })
  }

  /** Resolves when the first attempt to consume has succeeded or failed. */
  get tried(): Promise<void> {
    return this.#first.promise
  }

  /** Why the broker will not let us consume, as long as it will not. */
  get refusal(): SealbusError | undefined {
    return this.#refusal
  }

  /**
   * Resolves within {@link STOP_MS}; what a silent broker then still answers is given back unseen.
   * n.b. closes the channel: a cancel first would let the next worker run ahead of what is unacknowledged.
   */
  async stop(): Promise<void> {
    this.#stop.abort(new SealbusError('closed', 'the consumer was stopped'))
    await atMost(STOP_MS, Promise.all([this.#generation?.end(), this.#running]))
  }

  /** n.b. a second consumer on the channel has its own prefetch; with a single active consumer it would wait in vain. */
  addCredit(count: number): boolean {
    // n.b. only quorum queues divide an inbox, and those have a single active consumer
    if (singleActive(this.#setup.kind) || this.#generation?.alive !== true) return false
    this.#generation.consume(this.#setup.names.inbox, count).catch(() => undefined) // n.b. a refusal kills the generation
    return true
  }

  async #run(): Promise<void> {
    while (!this.#stopped()) {
      const failure = await this.#live().then(
        reason => reason,
        (thrown: unknown) => asError(thrown),
      )
      this.#first.resolve()
      if (!this.#stopped()) await this.#rest(failure)
    }
    this.#first.resolve()
  }

  /** One generation, from connection to death; resolves with the reason of the death. */
  async #live(): Promise<Error | undefined> {
    const { lasting, names, kind } = this.#setup
    const link = await lasting.link(this.#stop.signal)
    if (this.#missing) await declareInbox(link, names, kind)
    const generation = await this.#build(link)
    this.#generation = generation
    this.#link = link
    this.#built(generation, link)
    const builtAt = performance.now()
    const reason = await generation.dead
    this.#generation = undefined
    this.#setup.event({
      name: 'consumer-lost',
      detail: { generation: generation.id, reason: reason?.message ?? 'closed by us' },
    })
    this.#setup.onLost()
    if (performance.now() - builtAt >= WORKED_MS) this.#backoff.worked()
    return reason
  }

  async #build(link: Link): Promise<Generation> {
    const generation = new Generation(await link.plainChannel(), {
      deliver: (message: ConsumeMessage, from: Generation) => this.#deliver(message, from),
      stale: (id: number) => this.#setup.event({ name: 'stale-ack', detail: { generation: id } }),
    })
    try {
      for (const queue of this.#own) {
        await within(DECLARE_MS, `consume ${queue}`, generation.consume(queue, this.#share))
      }
      if (this.#stopped()) throw new SealbusError('closed', 'the consumer was stopped')
      return generation
    } catch (thrown) {
      await generation.end()
      throw thrown
    }
  }

  #built(generation: Generation, link: Link): void {
    this.#missing = false
    this.#silence.heard()
    this.#setRefusal(undefined)
    this.#first.resolve()
    this.#setup.event({ name: 'consuming', detail: { generation: generation.id } })
    const others = this.#setup.names.queues.filter(queue => !this.#own.includes(queue))
    if (others.length === 0) return
    void keepPartitions({
      ...{ generation, others, prefetch: this.#share, event: this.#setup.event },
      consumers: async queue => (await inspectQueue(link, queue)).consumerCount,
    })
  }

  /** The queues that are ours in any case. */
  get #own(): readonly string[] {
    const { names, partition } = this.#setup
    return partition === undefined ? names.queues : names.queues.slice(partition - 1, partition)
  }

  /** The queues of a divided inbox share the credit. */
  get #share(): number {
    const { names, prefetch } = this.#setup
    return Math.max(1, Math.floor(prefetch / names.queues.length))
  }

  /** How many consumers the broker sees on the queue that has most; where one is not ours, we count as one of its. */
  async consumers(link: Link): Promise<number> {
    const counts = this.#setup.names.queues.map(async queue => {
      const { consumerCount } = await inspectQueue(link, queue)
      return consumerCount + (this.#generation?.consumes(queue) === false ? 1 : 0)
    })
    return Math.max(...(await Promise.all(counts)))
  }

  #deliver(message: ConsumeMessage, generation: Generation): void {
    this.#silence.heard()
    if (this.#stopped()) return // n.b. too late to be wanted: its channel is about to close
    try {
      this.#setup.onDelivery(generation.delivery(message))
    } catch (thrown) {
      // n.b. thrown into amqplib it would close the channel; the body stays unacknowledged
      this.#setup.event({ name: 'delivery-failed', detail: { reason: asError(thrown).message } })
    }
  }

  /** Lost: soon again. Refused (403, 404, 406): a state of its own, slowly; a missing inbox of ours is declared. */
  async #rest(thrown: Error | undefined): Promise<void> {
    if (isOverdue(thrown)) this.#overdue(thrown?.message ?? '')
    const code = refusalCode(thrown)
    const declareNow = code === 404 && this.#setup.declare && !this.#missing
    this.#missing = code === 404 && this.#setup.declare
    if (declareNow) return
    if (code === undefined) return pause(this.#soon(thrown), this.#stop.signal)
    this.#setRefusal(channelFailure(thrown, `consume ${this.#setup.names.inbox}`))
    return pause(this.#backoff.refused(), this.#stop.signal)
  }

  #overdue(reason: string): void {
    this.#setup.event({ name: 'acknowledgement-timeout', detail: { reason } })
  }

  #soon(thrown: Error | undefined): number {
    this.#setRefusal(undefined)
    this.#setup.event({
      name: 'consumer-waits',
      detail: { reason: (thrown ?? connectionLost(undefined)).message },
    })
    return this.#backoff.failed()
  }

  #setRefusal(refusal: SealbusError | undefined): void {
    if (this.#refusal === refusal) return
    this.#refusal = refusal
    this.#setup.changed()
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted
  }
}

/** The reply code, where the broker refused the channel's request; undefined where connection or channel was lost. */
function refusalCode(thrown: Error | undefined): number | undefined {
  if (isSealbusError(thrown, 'connection-lost') || isSealbusError(thrown, 'timeout')) return undefined
  if (isOverdue(thrown)) return undefined
  return replyCode(thrown) ?? replyCode(thrown?.cause)
}

/** n.b. the broker's consumer_timeout comes as a 406, too: a body stayed unacknowledged for longer than it allows. */
function isOverdue(thrown: Error | undefined): boolean {
  return replyCode(thrown) === 406 && /delivery acknowledgement .* timed out/.test(thrown?.message ?? '')
}
