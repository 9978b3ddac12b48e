/**
 * The publishing connection's channels: the shared one, fresh ones, isolated ones. Asking for one pends while there is
 * no connection, while the broker blocks publishers (an alarm), and for a while after it refused the exchange.
 */
import { SealbusError } from '../errors.js'
import { Backoff } from './backoff.js'
import { abortable, type Deferred, deferred, pause } from './deadline.js'
import { channelFailure, refusedTopic, replyCode } from './failures.js'
import type { Link } from './link.js'
import { ConfirmingChannel } from './publish-channel.js'
import type { LastingLink } from './reconnect.js'
import type { Names } from './topology.js'
import type { ChannelKind, TransportEvent } from './transport.js'
import { ConfirmWatchdog, everySecond } from './watchdog.js'

/** Fresh channels that live at once; past that, the living in turn. */
const MOST_FRESH = 16
/** Before a channel that could not be opened is asked for again on a living link. */
const REOPEN_MS = 50

/** What the publisher tells the transport. */
export interface PublisherHooks {
  /** `refusal` changed. */
  changed(): void
  event(event: TransportEvent): void
}

interface Refusal {
  readonly reason: SealbusError
  readonly link: Link | undefined
  readonly until: Promise<void>
  over: boolean
}

export class Publisher {
  #lasting: LastingLink
  #names: Names
  #hooks: PublisherHooks
  #stop = new AbortController()
  #shared: ConfirmingChannel | undefined
  #opening = new Map<ChannelKind, Promise<ConfirmingChannel>>()
  #fresh = new Set<ConfirmingChannel>()
  #turn = 0
  #live = new Set<ConfirmingChannel>()
  #backoff = new Backoff()
  #refusal: Refusal | undefined
  #obstacle: Deferred<void> | undefined
  #watchdog = new ConfirmWatchdog()
  #unwatch: () => void

  constructor(lasting: LastingLink, names: Names, hooks: PublisherHooks) {
    this.#lasting = lasting
    this.#names = names
    this.#hooks = hooks
    this.#unwatch = everySecond((now, onTime) => this.#watch(now, onTime))
  }

  /** The broker refused the exchange (403, 404) on this connection, and no publish has been judged since. */
  get refusal(): SealbusError | undefined {
    const link = this.#openLink()
    if (link !== undefined && link !== this.#refusal?.link) this.#refusal = undefined
    return this.#refusal?.reason
  }

  /** See {@link ChannelKind}. @throws SealbusError `closed`; whatever aborted the signal */
  async channel(kind: ChannelKind, signal?: AbortSignal): Promise<ConfirmingChannel> {
    for (;;) {
      const link = await this.#ready(signal)
      const channel = await this.#tryOpen(kind, link)
      if (channel === undefined) continue
      channel.retain()
      if (signal?.aborted !== true) return channel
      channel.release()
      signal.throwIfAborted()
    }
  }

  /** Undefined when bytes may be written now; else resolves when they may. */
  writable(): Promise<void> | undefined {
    if (!this.#obstructed()) return undefined
    this.#obstacle ??= deferred()
    return this.#obstacle.promise
  }

  /** To be called when the link's state, or whether it is blocked, has changed. */
  wake(): void {
    if (this.#obstacle === undefined || this.#obstructed()) return
    this.#obstacle.resolve()
    this.#obstacle = undefined
  }

  /** Rejects everybody who waits. The connection is the transport's to close. */
  close(): void {
    this.#unwatch()
    this.#stop.abort(new SealbusError('closed', 'the transport is closed'))
    this.wake()
  }

  /** A link that may be published on. */
  async #ready(signal: AbortSignal | undefined): Promise<Link> {
    for (;;) {
      this.#stop.signal.throwIfAborted()
      signal?.throwIfAborted()
      const link = await this.#lasting.link(signal)
      if (link.blocked !== undefined) await this.#interruptible(this.writable() ?? Promise.resolve(), signal)
      else if (this.refusal !== undefined && this.#refusal?.over === false)
        await this.#interruptible(this.#refusal.until, signal)
      else return link
    }
  }

  #interruptible<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return abortable(abortable(promise, this.#stop.signal), signal)
  }

  /** Undefined where the link died, or did not answer: to be tried again. */
  async #tryOpen(kind: ChannelKind, link: Link): Promise<ConfirmingChannel | undefined> {
    try {
      return await this.#of(kind, link)
    } catch (thrown) {
      this.#hooks.event({ name: 'channel-failed', detail: { kind, reason: String(thrown) } })
      await pause(link.open ? REOPEN_MS : 0, this.#stop.signal)
      return undefined
    }
  }

  #of(kind: ChannelKind, link: Link): Promise<ConfirmingChannel> {
    switch (kind) {
      case 'isolated':
        return this.#open(link)
      case 'shared':
        return this.#shared?.open === true ? Promise.resolve(this.#shared) : this.#together(kind, link)
      case 'fresh':
        return Promise.resolve(this.#inTurn() ?? this.#together(kind, link))
    }
  }

  /** Callers of the same moment share one. */
  #together(kind: 'shared' | 'fresh', link: Link): Promise<ConfirmingChannel> {
    const under = this.#opening.get(kind)
    if (under !== undefined) return under
    const opening = this.#open(link)
      .then(channel => this.#adopt(kind, channel))
      .finally(() => this.#opening.delete(kind))
    this.#opening.set(kind, opening)
    return opening
  }

  #adopt(kind: 'shared' | 'fresh', channel: ConfirmingChannel): ConfirmingChannel {
    if (kind === 'shared') this.#shared = channel
    else this.#fresh.add(channel)
    return channel
  }

  #inTurn(): ConfirmingChannel | undefined {
    if (this.#fresh.size < MOST_FRESH) return undefined
    this.#turn = (this.#turn + 1) % this.#fresh.size
    return [...this.#fresh][this.#turn]
  }

  async #open(link: Link): Promise<ConfirmingChannel> {
    const channel = new ConfirmingChannel(await link.confirmChannel(), this.#names, {
      settled: () => this.#accepted(),
      drained: () => this.wake(),
      unused: unused => this.#unused(unused),
    })
    this.#live.add(channel)
    void channel.closed.then(reason => this.#lost(channel, reason))
    return channel
  }

  #unused(channel: ConfirmingChannel): void {
    if (channel === this.#shared) return
    this.#fresh.delete(channel)
    void channel.close()
  }

  #lost(channel: ConfirmingChannel, reason: Error | undefined): void {
    this.#live.delete(channel)
    this.#fresh.delete(channel)
    if (this.#shared === channel) this.#shared = undefined
    if (reason === undefined) return
    this.#hooks.event({ name: 'channel-lost', detail: { channel: channel.id, reason: reason.message } })
    if (this.#isOurs(reason)) this.#refuse(reason)
  }

  /** True where all publishing is refused; a topic concerns its lane, another exchange whoever published there. */
  #isOurs(reason: Error): boolean {
    const code = replyCode(reason)
    if ((code !== 403 && code !== 404) || refusedTopic(reason) !== undefined) return false
    return reason.message.includes(`exchange '${this.#names.exchange}'`)
  }

  #refuse(reason: Error): void {
    const refusal: Refusal = {
      reason: channelFailure(reason, `publish to ${this.#names.exchange}`),
      link: this.#openLink(),
      until: pause(this.#backoff.refused(), this.#stop.signal),
      over: false,
    }
    void refusal.until.then(() => {
      refusal.over = true
    })
    this.#refusal = refusal
    this.#hooks.changed()
  }

  #accepted(): void {
    if (this.#refusal === undefined) return
    this.#refusal = undefined
    this.#backoff.worked()
    this.#hooks.changed()
  }

  #watch(now: number, onTime: boolean): void {
    const oldest = [...this.#live].map(channel => channel.oldest ?? Infinity)
    const since = Math.min(...oldest)
    this.#watchdog.look(this.#openLink(), since === Infinity ? undefined : since, now, onTime)
  }

  #openLink(): Link | undefined {
    const { state } = this.#lasting
    return state.name === 'open' ? state.link : undefined
  }

  #obstructed(): boolean {
    const { state } = this.#lasting
    if (this.#stop.signal.aborted || state.name !== 'open') return false
    return state.link.blocked !== undefined || [...this.#live].some(channel => channel.full)
  }
}
