/**
 * What happens to lanes when the broker says no, says nothing, or the channel dies. docs/DELIVERY.md, "Publishing" 3–6. The
 * states and the pauses are in lane-state.ts; here are their timers, and what is given up.
 */
import { isSealbusError } from '../errors.js'
import * as laneState from './lane-state.js'
import type { Outbox } from './outbox.js'
import type { Attempt, Route } from './route.js'
import type { Routes } from './routes.js'
import type { SendingLane } from './sending-lane.js'
import { because, type Settlement } from './settlement.js'

export interface TroublesOptions {
  readonly routes: Routes
  readonly settlement: Settlement
  readonly outbox: Outbox
  readonly now: () => number
  readonly random: () => number
  readonly emit: (event: string, detail: object) => void
  /** It may be the lane's turn. */
  readonly wake: (lane: SendingLane) => void
  readonly active: ReadonlySet<SendingLane>
  /** Fires when the sending half closes. */
  readonly stopped: AbortSignal
}

/** A lane that stopped gives what is in flight so long to be answered before its head goes elsewhere. */
const ANSWER_WITHIN_MS = 1000
const ANSWER_POLL_MS = 50
/** Deaths of a channel on which an envelope was alone in flight, until it is taken for poison. */
const POISON_DEATHS = 2

export class Troubles {
  readonly #options: TroublesOptions

  constructor(options: TroublesOptions) {
    this.#options = options
  }

  /** Nothing of the lane goes out until its pause is over. `suspects` as for laneState.stop. */
  stopLane(lane: SendingLane, trouble: laneState.Trouble, suspects = 0): void {
    const { now, random, emit, outbox } = this.#options
    const before = lane.state
    const state = laneState.stop(before, trouble, now(), random, suspects)
    lane.state = state
    if (before.kind === 'flowing')
      emit('lane-stopped', { to: lane.to, priority: lane.priority, why: trouble })
    if (laneState.unroutable(state, now()) && !outbox.durable) this.#unroutable(lane)
    else this.#sleep(lane, laneState.pauseMs(state, now()))
  }

  /** Nothing is wrong any more. */
  resume(lane: SendingLane): void {
    clearTimeout(lane.timer)
    lane.state = laneState.FLOWING
  }

  #sleep(lane: SendingLane, ms: number): void {
    clearTimeout(lane.timer)
    lane.timer = setTimeout(() => this.#due(lane), ms)
  }

  #due(lane: SendingLane): void {
    const { state } = lane
    if (state.kind !== 'stopped') return
    const patient = state.trouble !== 'stalled' && this.#options.now() < state.stoppedMs + ANSWER_WITHIN_MS
    if (patient && lane.oldestFlightMs !== undefined) {
      this.#sleep(lane, ANSWER_POLL_MS)
      return
    }
    lane.state = lane.idle ? laneState.FLOWING : laneState.due(state)
    lane.ground()
    if (laneState.wants(state) !== 'shared' || !this.#options.routes.onShared(lane))
      this.#options.routes.detach(lane)
    this.#options.wake(lane)
  }

  #unroutable(lane: SendingLane): void {
    const address = `${lane.to.domain}/${lane.to.address}`
    const seconds = laneState.UNROUTABLE_AFTER_MS / 1000
    const message = `send: the broker has had no inbox for ${address} for ${seconds} s; start the recipient or import its definitions`
    const error = because('unroutable', message)
    this.resume(lane)
    this.#options.settlement.over(lane, [...lane.entries()], 'unroutable', error)
    this.#options.settlement.refuseAll(lane, error)
  }

  /** A channel has closed. */
  closed(route: Route<SendingLane>, error: Error | undefined): void {
    if (route.flying.size === 0 || isSealbusError(error)) this.died(route, error)
    // The rejections of what is in flight say of what it died; they may come just after.
    else setTimeout(() => this.died(route, error), 0)
  }

  /** A channel is dead, says `error`: what was in flight on it has no answer and will get none. */
  died(route: Route<SendingLane>, error: Error | undefined): void {
    if (route.dead || this.#options.stopped.aborted) return
    const flying = [...route.flying]
    const lanes = this.#options.routes.bury(route)
    if (isSealbusError(error, 'broker-refused')) this.#refused(lanes, flying, error)
    else if (isSealbusError(error, 'unauthorised'))
      for (const lane of lanes) this.#stopIfFlying(lane, 'unauthorised')
    else for (const lane of lanes) this.#lost(lane)
  }

  /** n.b. only what was alone in flight is proven to have killed the channel. */
  #refused(lanes: readonly SendingLane[], flying: readonly Attempt<SendingLane>[], error: Error): void {
    const [first] = flying
    const alone = flying.length === 1 ? first?.entry : undefined
    if (alone) alone.deaths++
    for (const lane of lanes) this.#stopIfFlying(lane, 'refused')
    if (first && alone?.state === 'pending' && alone.deaths >= POISON_DEATHS) {
      const message = `send: the broker closed two channels for this message alone: ${error.message}; mend the message`
      this.#options.settlement.over(
        first.lane,
        [alone],
        'quarantined',
        because('quarantined', message, error),
      )
    }
  }

  #stopIfFlying(lane: SendingLane, trouble: laneState.Trouble): void {
    const suspects = lane.ground()
    if (suspects > 0) this.stopLane(lane, trouble, suspects)
    else this.#lost(lane)
  }

  /** Outcome unknown is not failure: all that is unconfirmed goes again, in order, before anything new. */
  #lost(lane: SendingLane): void {
    lane.ground()
    lane.state = laneState.channelLost(lane.state)
    if (lane.state.kind === 'flowing') clearTimeout(lane.timer)
    this.#options.wake(lane)
  }

  /** The transport is ready (again). */
  healed(): void {
    for (const lane of this.#options.active) {
      if (lane.state.kind === 'stopped' && lane.state.trouble === 'unauthorised') this.#due(lane)
    }
  }
}
