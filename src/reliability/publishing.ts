/** From the window of a lane to the broker, and the conclusions from what it says. docs/DELIVERY.md, "Publishing". */
import type { Sealer } from '../crypto/sealing.js'
import { asError } from '../errors.js'
import type { Confirmation } from '../transport/transport.js'
import type { Deadlines } from './deadlines.js'
import type { Entry } from './entry.js'
import * as laneState from './lane-state.js'
import { type Attempt, type Route, SLOW_AFTER_MS } from './route.js'
import type { Routes } from './routes.js'
import type { SendingLane } from './sending-lane.js'
import type { Settlement } from './settlement.js'
import type { Troubles } from './troubles.js'

export interface PublishingOptions {
  readonly sealer: Sealer
  readonly routes: Routes
  readonly settlement: Settlement
  readonly troubles: Troubles
  readonly deadlines: Deadlines
  readonly now: () => number
  readonly emit: (event: string, detail: object) => void
  /** It may be the lane's turn. */
  readonly wake: (lane: SendingLane) => void
}

type LaneRoute = Route<SendingLane>
type LaneAttempt = Attempt<SendingLane>

export class Publishing {
  readonly #options: PublishingOptions

  constructor(options: PublishingOptions) {
    this.#options = options
  }

  /** Publishes what of the lane's window has not left on this channel. */
  window(lane: SendingLane, route: LaneRoute, allowed: number): void {
    const nowMs = this.#options.now()
    const oldest = lane.oldestFlightMs
    const slow = oldest !== undefined && oldest <= nowMs - SLOW_AFTER_MS
    for (const entry of lane.window.slice(0, allowed)) {
      if (entry.flight !== undefined || entry.body === undefined) continue
      if (!route.hasRoom(slow, nowMs)) {
        route.full.add(lane)
        return
      }
      this.#launch(lane, route, entry, entry.body)
    }
  }

  #launch(lane: SendingLane, route: LaneRoute, entry: Entry, body: Uint8Array): void {
    const nowMs = this.#options.now()
    const attempt: LaneAttempt = { lane, entry, atMs: nowMs }
    entry.flight = attempt
    entry.published = true
    lane.published = true
    this.#options.deadlines.published(nowMs)
    this.fly(route, attempt, body)
  }

  /** Publishes one envelope; what the broker says of it is heard. */
  fly(route: LaneRoute, attempt: LaneAttempt, body: Uint8Array): void {
    const { record } = attempt.entry
    route.flying.add(attempt)
    route.channel
      .publish({
        exchange: 'inbox',
        to: record.to.address,
        from: this.#options.sealer.self.address,
        messageId: record.id,
        body,
      })
      .then(
        confirmation => this.#answered(route, attempt, confirmation),
        (error: unknown) => this.#options.troubles.died(route, asError(error)),
      )
  }

  /** n.b. confirms of a dead channel count for nothing; those of a living one count even after the lane has moved. */
  #answered(route: LaneRoute, attempt: LaneAttempt, confirmation: Confirmation): void {
    if (route.dead) return
    const { lane, entry } = attempt
    this.#options.deadlines.answered(attempt.atMs)
    route.flying.delete(attempt)
    this.#options.routes.landed(route)
    const next = route.full.shift()
    if (next !== undefined) this.#options.wake(next)
    if (entry.state !== 'pending') return
    if (confirmation === 'confirmed') this.#confirmed(lane, entry, entry.flight === attempt)
    else if (entry.flight === attempt) this.#troubled(lane, entry, confirmation)
  }

  #confirmed(lane: SendingLane, entry: Entry, onPresentRoute: boolean): void {
    const before = lane.state
    if (onPresentRoute) lane.state = laneState.probeConfirmed(before)
    this.#options.settlement.confirmed(lane, entry)
    // All was confirmed on the old channel meanwhile: nothing was wrong with it.
    if (before.kind === 'stopped' && lane.sealed === 0) this.#options.troubles.resume(lane)
    if (before.kind !== 'flowing' && lane.state.kind === 'flowing') {
      if (laneState.wants(before) === 'isolated') this.#options.routes.detach(lane)
      this.#options.emit('lane-resumed', { to: lane.to, priority: lane.priority })
    }
    this.#options.wake(lane)
  }

  #troubled(lane: SendingLane, entry: Entry, trouble: 'nacked' | 'returned'): void {
    entry.flight = undefined
    if (trouble === 'returned' && entry.record.count === 0) {
      this.#options.troubles.resume(lane) // no inbox, so nobody who waits for the notice
      this.#options.settlement.over(lane, [entry], 'unroutable', () => undefined)
    } else if (lane.state.kind !== 'stopped') this.#options.troubles.stopLane(lane, trouble)
  }
}
