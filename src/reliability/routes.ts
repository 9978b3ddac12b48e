/**
 * Channels for lanes. The shared one is opened once for all and again after each death; fresh ones are shared by the
 * lanes that the transport gave the same one to; isolated ones serve one suspect each, a few at a time.
 */
import { isSealbusError } from '../errors.js'
import type { ChannelKind, PublishChannel, Transport } from '../transport/transport.js'
import { retry } from './retry.js'
import { Route } from './route.js'
import type { SendingLane } from './sending-lane.js'

/** Isolated channels at a time. */
const MAX_ISOLATED = 8

export interface RoutesEvents {
  /** The lane has a route now. */
  attached(lane: SendingLane): void
  /** The channel died; `error` says of what, where anything does. */
  closed(route: Route<SendingLane>, error: Error | undefined): void
}

export class Routes {
  readonly #transport: Transport
  readonly #events: RoutesEvents
  readonly #stop = new AbortController()
  readonly #byChannel = new Map<number, Route<SendingLane>>()
  readonly #waitingForShared = new Set<SendingLane>()
  readonly #waitingForIsolated = new Set<SendingLane>()
  #shared: Route<SendingLane> | undefined
  #opening = false
  #isolated = 0

  constructor(transport: Transport, events: RoutesEvents) {
    this.#transport = transport
    this.#events = events
  }

  /** Envelopes in flight. */
  get flying(): number {
    let sum = 0
    for (const route of this.#byChannel.values()) sum += route.flying.size
    return sum
  }

  /** Gets the lane a channel of this kind, now or later; asking again while it is under way changes nothing. */
  attach(lane: SendingLane, kind: ChannelKind): void {
    if (lane.opening === kind || this.#stop.signal.aborted) return
    lane.opening = kind
    if (kind === 'shared') this.#attachShared(lane)
    else if (kind === 'fresh') void this.#attachOwn(lane, 'fresh')
    else this.#attachIsolated(lane)
  }

  /** Takes the lane off its channel, and out of every queue for one. */
  detach(lane: SendingLane): void {
    lane.opening = undefined
    this.#waitingForShared.delete(lane)
    this.#waitingForIsolated.delete(lane)
    const route = lane.route
    lane.route = undefined
    if (route === undefined) return
    if (route !== this.#shared) route.leave(lane)
    else route.lanes.delete(lane)
    this.#freeIsolated(lane)
  }

  /** A confirm came in: the channel may be of no more use to anybody. */
  landed(route: Route<SendingLane>): void {
    if (route !== this.#shared) route.releaseIfUnused()
  }

  /** True when the lane is on the channel that all share. */
  onShared(lane: SendingLane): boolean {
    return lane.route !== undefined && lane.route === this.#shared
  }

  /** Forgets a dead channel; says which lanes were on it. */
  bury(route: Route<SendingLane>): readonly SendingLane[] {
    route.dead = true
    if (this.#shared === route) this.#shared = undefined
    this.#byChannel.delete(route.channel.id)
    const lanes = [...route.lanes]
    for (const lane of lanes) this.detach(lane)
    route.lanes.clear()
    route.releaseIfUnused()
    return lanes
  }

  close(): void {
    this.#stop.abort()
    for (const route of this.#byChannel.values()) this.bury(route)
  }

  #attachShared(lane: SendingLane): void {
    if (this.#shared !== undefined) {
      this.#join(lane, this.#shared)
      return
    }
    this.#waitingForShared.add(lane)
    if (!this.#opening) void this.#openShared()
  }

  async #openShared(): Promise<void> {
    this.#opening = true
    const channel = await this.#open('shared')
    this.#opening = false
    if (channel === undefined) return
    this.#shared = this.#routeOf(channel)
    const lanes = [...this.#waitingForShared]
    this.#waitingForShared.clear()
    for (const lane of lanes) this.#join(lane, this.#shared)
  }

  #attachIsolated(lane: SendingLane): void {
    if (this.#isolated >= MAX_ISOLATED) {
      this.#waitingForIsolated.add(lane)
      return
    }
    this.#isolated++
    lane.isolated = true
    void this.#attachOwn(lane, 'isolated')
  }

  #freeIsolated(lane: SendingLane): void {
    if (!lane.isolated) return
    lane.isolated = false
    this.#isolated--
    for (const next of this.#waitingForIsolated) {
      this.#waitingForIsolated.delete(next)
      this.#attachIsolated(next)
      return
    }
  }

  async #attachOwn(lane: SendingLane, kind: 'fresh' | 'isolated'): Promise<void> {
    const channel = await this.#open(kind)
    if (channel === undefined) return
    const route = this.#routeOf(channel)
    if (lane.opening === kind && lane.route === undefined) this.#join(lane, route)
    else {
      if (kind === 'isolated') this.#freeIsolated(lane)
      route.releaseIfUnused()
    }
  }

  #join(lane: SendingLane, route: Route<SendingLane>): void {
    lane.opening = undefined
    if (!route.dead) {
      lane.route = route
      route.lanes.add(lane)
    }
    this.#events.attached(lane)
  }

  #routeOf(channel: PublishChannel): Route<SendingLane> {
    const route = this.#byChannel.get(channel.id) ?? this.#watch(new Route(channel))
    route.hold()
    return route
  }

  #watch(route: Route<SendingLane>): Route<SendingLane> {
    this.#byChannel.set(route.channel.id, route)
    void route.channel.closed.then(error => this.#events.closed(route, error))
    return route
  }

  /** Undefined when we or the transport are closing. */
  async #open(kind: ChannelKind): Promise<PublishChannel | undefined> {
    const signal = this.#stop.signal
    try {
      const policy = { retries: Number.POSITIVE_INFINITY, signal }
      const channel = await retry(() => this.#transport.channel(kind, signal), policy)
      if (!signal.aborted) return channel
      channel.release()
      return undefined
    } catch (error) {
      if (signal.aborted || isSealbusError(error, 'closed')) return undefined
      throw error
    }
  }
}
