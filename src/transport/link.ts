/**
 * One connection to a broker: it opens once and dies once, and everything on it has a deadline. Death is told by
 * amqplib's events, by the socket's, or by nobody: whichever comes first counts, the others find it done.
 */
import type net from 'node:net'
import { asError } from '../errors.js'
import { type AmqpTarget, type Channel, type ChannelModel, type ConfirmChannel, openModel } from './amqp.js'
import { abortable, atMost, type Deferred, deferred, within } from './deadline.js'
import { connectFailure, connectionLost } from './failures.js'
import { LinkChannel } from './link-channel.js'

/** From the wish to close until the socket is destroyed. */
export const CLOSE_MS = 2_000
/** To open a channel. */
export const CHANNEL_MS = 5_000

/** Chunks that amqplib buffers for a channel before `publish` says "wait". */
const WRITE_CHUNKS = 256

/** An open connection. */
export class Link {
  /** `host:port`, for people. */
  readonly where: string
  /** Resolves when dead; with the reason unless we closed it. */
  readonly closed: Promise<Error | undefined>
  #model: ChannelModel
  #socket: net.Socket
  #death: Deferred<Error | undefined>
  #state: 'open' | 'closing' | 'dead' = 'open'
  #blocked: string | undefined
  #reason: Error | undefined
  #blockedListeners: (() => void)[] = []
  #deathListeners = new Set<() => void>()

  /** Connects within the deadline. @throws SealbusError that says why not, and what to do */
  static async open(target: AmqpTarget, deadlineMs: number, signal: AbortSignal): Promise<Link> {
    const where = `${target.host}:${target.port}`
    try {
      return new Link(where, ...(await handshake(target, deadlineMs, signal)))
    } catch (thrown) {
      throw connectFailure(thrown, where)
    }
  }

  private constructor(where: string, model: ChannelModel, socket: net.Socket) {
    this.where = where
    this.#model = model
    this.#socket = socket
    this.#death = deferred()
    this.closed = this.#death.promise
    this.#listen()
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** Why it died, once it has; undefined where we closed it. */
  get reason(): Error | undefined {
    return this.#reason
  }

  /** The broker told us to stop publishing (an alarm): its words. */
  get blocked(): string | undefined {
    return this.open ? this.#blocked : undefined
  }

  /** Bytes that have come so far. */
  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  /** Calls back when `blocked` changes. */
  onBlocked(listener: () => void): void {
    this.#blockedListeners.push(listener)
  }

  /** Calls back at death, unless the returned function was called first. */
  onDeath(listener: () => void): () => void {
    this.#deathListeners.add(listener)
    return () => void this.#deathListeners.delete(listener)
  }

  /** Opens a channel with confirms. @throws SealbusError `connection-lost`, `timeout`; the link is dead then */
  confirmChannel(): Promise<LinkChannel<ConfirmChannel>> {
    return this.#channel(() => this.#model.createConfirmChannel({ highWaterMark: WRITE_CHUNKS }))
  }

  /** Opens a channel to consume or declare. @throws as above */
  plainChannel(): Promise<LinkChannel<Channel>> {
    return this.#channel(() => this.#model.createChannel())
  }

  /** Says goodbye, and destroys the socket after {@link CLOSE_MS} at the latest. */
  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing'
      // n.b. amqplib's close() never answers on a dead link, and throws on one that is closing already
      await atMost(
        CLOSE_MS,
        Promise.resolve().then(() => this.#model.close()),
      )
    }
    this.#die(undefined)
  }

  /** At once, without a word. */
  destroy(reason: Error): void {
    this.#die(reason)
  }

  async #channel<C extends Channel>(create: () => Promise<C>): Promise<LinkChannel<C>> {
    if (!this.open) throw connectionLost(this.#reason)
    // n.b. wrapped in the very microtask in which amqplib's promise resolves, before another frame can be read
    const opening = Promise.resolve()
      .then(create)
      .then(channel => new LinkChannel(channel, this))
    return this.#alive(this.#patiently(opening))
  }

  /** The promise, or the link's death; leaves nothing behind. */
  #alive<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const leave = this.onDeath(() => reject(connectionLost(this.#reason)))
      promise.then(resolve, reject).finally(leave)
    })
  }

  /** Within the deadline, which does not run while the broker reads nothing because of an alarm. */
  async #patiently<T>(opening: Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await within(CHANNEL_MS, `open a channel to ${this.where}`, opening)
      } catch (thrown) {
        if (this.open && this.blocked === undefined) this.#die(asError(thrown))
        if (!this.open) throw thrown
      }
    }
  }

  #listen(): void {
    this.#model.on('error', (error: Error) => this.#die(error))
    this.#model.on('close', (error?: Error) => this.#die(error))
    this.#model.on('blocked', (reason: string) => this.#block(reason))
    this.#model.on('unblocked', () => this.#block(undefined))
    this.#socket.on('error', (error: Error) => this.#die(error))
    this.#socket.on('close', () => this.#die(new Error('the socket closed')))
  }

  #block(reason: string | undefined): void {
    this.#blocked = reason
    for (const listener of this.#blockedListeners) listener()
  }

  #die(reason: Error | undefined): void {
    if (this.#state === 'dead') return
    const ours = this.#state === 'closing'
    this.#state = 'dead'
    this.#reason = ours ? undefined : reason
    this.#death.resolve(this.#reason)
    for (const listener of [...this.#deathListeners]) listener()
    this.#deathListeners.clear()
    // n.b. with an error: it is what makes amqplib clear its heartbeat timers
    this.#socket.destroy(reason ?? new Error('closed by us'))
  }
}

/** TCP, TLS and AMQP handshake under one deadline. The socket never outlives a failure. */
async function handshake(
  target: AmqpTarget,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<[ChannelModel, net.Socket]> {
  signal.throwIfAborted()
  const { model, socket } = openModel(target)
  try {
    return [
      await within(deadlineMs, 'connect', abortable(Promise.race([model, died(socket)]), signal)),
      socket,
    ]
  } catch (thrown) {
    socket.destroy()
    throw thrown
  }
}

/** Rejects when the socket dies; amqplib overlooks a close without end or error. Never unheard. */
function died(socket: net.Socket): Promise<never> {
  const death = new Promise<never>((_, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the broker closed the connection during the handshake')))
  })
  death.catch(() => undefined)
  return death
}
