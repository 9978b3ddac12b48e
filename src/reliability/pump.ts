/**
 * Moves what lanes hold: seals, stores, publishes, and draws the conclusions from what the broker says.
 * docs/DELIVERY.md, "Publishing". Start reading at {@link Pump.#turn}: one lane's turn.
 */
import type { Sealer } from '../crypto/sealing.js'
import { asError, isSealbusError } from '../errors.js'
import type { Confirmation, Transport } from '../transport/transport.js'
import { Alarm } from './alarm.js'
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Entry } from './entry.js'
import type { Introductions } from './introductions.js'
import * as laneState from './lane-state.js'
import type { Outbox } from './outbox.js'
import { Ready } from './ready.js'
import { retry } from './retry.js'
import { type Attempt, type Route, SLOW_AFTER_MS } from './route.js'
import { Routes } from './routes.js'
import { sealNext, sealNotice } from './seal-next.js'
import type { SendingLane } from './sending-lane.js'
import { because, describe, type Settlement } from './settlement.js'
import type { Submission } from './submission.js'

export interface PumpOptions {
  readonly transport: Transport
  readonly sealer: Sealer
  readonly outbox: Outbox
  readonly introductions: Introductions
  readonly receipts: AwaitingReceipts
  readonly settlement: Settlement
  readonly now: () => number
  readonly random: () => number
  readonly emit: (event: string, detail: object) => void
}

type LaneRoute = Route<SendingLane>
type LaneAttempt = Attempt<SendingLane>

/** A lane seals about so much before the next one's turn. */
const QUANTUM_BYTES: number = 64 * 1024
/** A lane that stopped gives what is in flight so long to be answered before its head goes elsewhere. */
const ANSWER_WITHIN_MS = 1000
const ANSWER_POLL_MS = 50
/** No word on an envelope for so long, though its channel lives: a new channel for that lane. */
const STALLED_AFTER_MS = 30_000
/** Deaths of a channel on which an envelope was alone in flight, until it is taken for poison. */
const POISON_DEATHS = 2
const RESEND_SOON_MS = 1000

export class Pump {
  readonly #options: PumpOptions
  readonly #routes: Routes
  readonly #alarm: Alarm
  readonly #ready = new Ready<SendingLane>()
  readonly #active = new Set<SendingLane>()
  /** Lanes that wait for the socket, or for the broker's alarm to end. */
  readonly #held = new Set<SendingLane>()
  readonly #stop = new AbortController()
  readonly #unlisten: () => void
  #scheduled = false
  #idle: (() => void)[] = []

  constructor(options: PumpOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.now, () => this.#tick())
    this.#routes = new Routes(options.transport, {
      attached: lane => this.wake(lane),
      closed: (route, error) => this.#closed(route, error),
    })
    this.#unlisten = options.transport.onStatus(({ state }) => {
      if (state === 'ready') this.#healed()
    })
  }

  get active(): ReadonlySet<SendingLane> {
    return this.#active
  }

  get flying(): number {
    return this.#routes.flying
  }

  /** Something new is in the lane, that expires then. */
  activate(lane: SendingLane, expiresAtMs: number): void {
    this.#active.add(lane)
    lane.expiryMs = Math.min(lane.expiryMs, expiresAtMs)
    this.#alarm.by(expiresAtMs)
    this.wake(lane)
  }

  /** It may be the lane's turn. n.b. a microtask later: what is sent in one go shares one envelope. */
  wake(lane: SendingLane): void {
    if (this.#stop.signal.aborted) return
    this.#ready.add(lane)
    this.#schedule()
  }

  /** Something of the lane has ended. */
  ended(lane: SendingLane): void {
    if (!lane.idle) {
      this.#active.add(lane) // it may owe a notice
      this.wake(lane)
      return
    }
    this.#active.delete(lane)
    lane.expiryMs = Number.POSITIVE_INFINITY
    if (lane.isolated) {
      this.#resume(lane)
      this.#routes.detach(lane)
    }
    if (lane.follower) this.wake(lane.follower)
    if (this.#active.size > 0) return
    if (this.#options.receipts.kept === 0) this.#alarm.clear()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when no lane has anything left. */
  idle(): Promise<void> {
    return new Promise(resolve => {
      if (this.#active.size === 0) resolve()
      else this.#idle.push(resolve)
    })
  }

  close(): void {
    this.#stop.abort()
    this.#unlisten()
    this.#alarm.clear()
    this.#ready.clear()
    for (const lane of this.#active) clearTimeout(lane.timer)
    this.#routes.close()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      for (let lane = this.#ready.shift(); lane !== undefined; lane = this.#ready.shift()) this.#turn(lane)
    })
  }

  #turn(lane: SendingLane): void {
    const { durable } = this.#options.outbox
    if (durable) this.#seal(lane, lane.windowSize - lane.storing)
    const allowed = laneState.allowance(lane.state, lane.windowSize)
    if (allowed === 0 || lane.idle || lane.after?.idle === false || this.#mustWait(lane)) return
    if (lane.route === undefined) {
      this.#routes.attach(lane, laneState.wants(lane.state))
      return
    }
    if (!durable) this.#seal(lane, allowed - lane.sealed)
    if (lane.owesNotice) this.#notice(lane)
    lane.fillWindow(allowed)
    this.#publishWindow(lane, lane.route, allowed)
  }

  /** True while nothing may be written; the lane gets its turn afterwards. */
  #mustWait(lane: SendingLane): boolean {
    const { transport } = this.#options
    const writable = transport.writable()
    const blocked = transport.status().state === 'blocked'
    if (writable === undefined && !blocked) return false
    const first = this.#held.size === 0
    this.#held.add(lane)
    if (writable !== undefined && first) void writable.then(() => this.#wakeHeld())
    return true
  }

  #wakeHeld(): void {
    const lanes = [...this.#held]
    this.#held.clear()
    for (const lane of lanes) this.wake(lane)
  }

  // sealing and storing

  #seal(lane: SendingLane, envelopes: number): void {
    const { settlement, now } = this.#options
    let bytes = 0
    for (let left = envelopes; left > 0 && lane.peekWaiting() !== undefined; left--) {
      if (bytes >= QUANTUM_BYTES) {
        this.wake(lane)
        return
      }
      const refuse = (submission: Submission, error: unknown): void =>
        settlement.refuse(lane, submission, error)
      const entry = sealNext(lane, this.#options, now(), refuse)
      if (entry === undefined) {
        this.ended(lane) // all that waited was refused
        return
      }
      bytes += entry.record.body.length
      lane.backlog.push(entry)
      this.#options.receipts.expect(lane, entry)
      void this.#store(lane, entry)
    }
  }

  /** n.b. nothing is published before the outbox has it. */
  async #store(lane: SendingLane, entry: Entry): Promise<void> {
    lane.storing++
    try {
      await this.#put(entry)
      if (entry.state === 'over') this.#options.outbox.remove(entry.record.id, lane.numbers.floor)
      entry.stored = true
      for (const submission of entry.submissions) submission.reached('stored')
    } catch (error) {
      if (!this.#stop.signal.aborted && entry.state === 'pending') {
        this.#options.settlement.over(lane, [entry], 'not-stored', () => error)
      }
    } finally {
      lane.storing--
      this.wake(lane)
    }
  }

  /** A full outbox is waited for, unless all of the envelope may be dropped. */
  async #put(entry: Entry): Promise<void> {
    const { outbox } = this.#options
    try {
      await outbox.put(entry.record)
    } catch (error) {
      if (entry.record.droppable || !isSealbusError(error, 'buffer-full')) throw error
      const put = (): Promise<void> =>
        entry.state === 'pending' ? outbox.put(entry.record) : Promise.resolve()
      await retry(put, { retries: Number.POSITIVE_INFINITY, signal: this.#stop.signal })
    }
  }

  #notice(lane: SendingLane): void {
    const { now, emit } = this.#options
    try {
      const entry = sealNotice(lane, this.#options, now())
      lane.window.push(entry)
      this.activate(lane, entry.record.expiresAtMs)
    } catch (error) {
      lane.announcedFloor = lane.numbers.floor // the recipient is gone: nobody waits for it
      emit('notice-failed', { to: lane.to, reason: asError(error).message })
      this.ended(lane)
    }
  }

  // publishing

  #publishWindow(lane: SendingLane, route: LaneRoute, allowed: number): void {
    const nowMs = this.#options.now()
    const oldest = lane.oldestFlightMs
    const slow = oldest !== undefined && oldest <= nowMs - SLOW_AFTER_MS
    for (const entry of lane.window.slice(0, allowed)) {
      if (entry.flight !== undefined) continue
      if (!entry.stored) return
      if (!route.hasRoom(slow, nowMs)) {
        route.full.add(lane)
        return
      }
      this.#launch(lane, route, entry, nowMs)
    }
  }

  #launch(lane: SendingLane, route: LaneRoute, entry: Entry, nowMs: number): void {
    const attempt: LaneAttempt = { lane, entry, atMs: nowMs }
    entry.flight = attempt
    entry.published = true
    lane.published = true
    this.#alarm.by(nowMs + STALLED_AFTER_MS)
    this.#fly(route, attempt)
  }

  #fly(route: LaneRoute, attempt: LaneAttempt): void {
    const { record } = attempt.entry
    route.flying.add(attempt)
    route.channel
      .publish({
        exchange: 'inbox',
        to: record.to.address,
        from: this.#options.sealer.self.address,
        messageId: record.id,
        body: record.body,
      })
      .then(
        confirmation => this.#answered(route, attempt, confirmation),
        (error: unknown) => this.#died(route, asError(error)),
      )
  }

  /** n.b. confirms of a dead channel count for nothing; those of a living one count even after the lane has moved. */
  #answered(route: LaneRoute, attempt: LaneAttempt, confirmation: Confirmation): void {
    if (route.dead) return
    const { lane, entry } = attempt
    route.flying.delete(attempt)
    this.#routes.landed(route)
    const next = route.full.shift()
    if (next !== undefined) this.wake(next)
    if (entry.state !== 'pending') return
    if (confirmation === 'confirmed') this.#confirmed(lane, entry, entry.flight === attempt)
    else if (entry.flight === attempt) this.#troubled(lane, entry, confirmation)
  }

  #confirmed(lane: SendingLane, entry: Entry, onPresentRoute: boolean): void {
    const before = lane.state
    if (onPresentRoute) lane.state = laneState.probeConfirmed(before)
    this.#options.settlement.confirmed(lane, entry)
    // All was confirmed on the old channel meanwhile: nothing was wrong with it.
    if (before.kind === 'stopped' && lane.sealed === 0) this.#resume(lane)
    if (before.kind !== 'flowing' && lane.state.kind === 'flowing') {
      if (laneState.wants(before) === 'isolated') this.#routes.detach(lane)
      this.#options.emit('lane-resumed', { to: lane.to, priority: lane.priority })
    }
    this.wake(lane)
  }

  #troubled(lane: SendingLane, entry: Entry, trouble: 'nacked' | 'returned'): void {
    entry.flight = undefined
    if (trouble === 'returned' && entry.record.count === 0) {
      this.#resume(lane) // no inbox, so nobody who waits for the notice
      this.#options.settlement.over(lane, [entry], 'unroutable', () => undefined)
    } else if (lane.state.kind !== 'stopped') this.#stopLane(lane, trouble)
  }

  // trouble

  #stopLane(lane: SendingLane, trouble: laneState.Trouble, suspects = 0): void {
    const { now, random, emit, outbox } = this.#options
    const before = lane.state
    const state = laneState.stop(before, trouble, now(), random, suspects)
    lane.state = state
    if (before.kind === 'flowing')
      emit('lane-stopped', { to: lane.to, priority: lane.priority, why: trouble })
    if (laneState.unroutable(state, now()) && !outbox.durable) this.#unroutable(lane)
    else this.#sleep(lane, laneState.pauseMs(state, now()))
  }

  #resume(lane: SendingLane): void {
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
    if (laneState.wants(state) !== 'shared' || !this.#routes.onShared(lane)) this.#routes.detach(lane)
    this.wake(lane)
  }

  #unroutable(lane: SendingLane): void {
    const address = `${lane.to.domain}/${lane.to.address}`
    const seconds = laneState.UNROUTABLE_AFTER_MS / 1000
    const message = `send: the broker has had no inbox for ${address} for ${seconds} s; start the recipient or import its definitions`
    const error = because('unroutable', message)
    this.#resume(lane)
    this.#options.settlement.over(lane, [...lane.entries()], 'unroutable', error)
    this.#options.settlement.refuseAll(lane, error)
  }

  // death of a channel

  #closed(route: LaneRoute, error: Error | undefined): void {
    if (route.flying.size === 0 || isSealbusError(error)) this.#died(route, error)
    // The rejections of what is in flight say of what it died; they may come just after.
    else setTimeout(() => this.#died(route, error), 0)
  }

  #died(route: LaneRoute, error: Error | undefined): void {
    if (route.dead || this.#stop.signal.aborted) return
    const flying = [...route.flying]
    const lanes = this.#routes.bury(route)
    if (isSealbusError(error, 'broker-refused')) this.#refused(lanes, flying, error)
    else if (isSealbusError(error, 'unauthorised'))
      for (const lane of lanes) this.#stopIfFlying(lane, 'unauthorised')
    else for (const lane of lanes) this.#lost(lane)
  }

  /** n.b. only what was alone in flight is proven to have killed the channel. */
  #refused(lanes: readonly SendingLane[], flying: readonly LaneAttempt[], error: Error): void {
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
    if (suspects > 0) this.#stopLane(lane, trouble, suspects)
    else this.#lost(lane)
  }

  /** Outcome unknown is not failure: all that is unconfirmed goes again, in order, before anything new. */
  #lost(lane: SendingLane): void {
    lane.ground()
    lane.state = laneState.channelLost(lane.state)
    if (lane.state.kind === 'flowing') clearTimeout(lane.timer)
    this.wake(lane)
  }

  /** The transport is ready (again). */
  #healed(): void {
    this.#wakeHeld()
    for (const lane of this.#active) {
      if (lane.state.kind === 'stopped' && lane.state.trouble === 'unauthorised') this.#due(lane)
    }
  }

  // time

  #tick(): void {
    const { settlement, receipts, now } = this.#options
    const nowMs = now()
    for (const lane of this.#active) {
      if (lane.expiryMs <= nowMs) settlement.expire(lane, nowMs)
      this.#checkStalled(lane, nowMs)
    }
    settlement.expireKept(nowMs)
    for (const { lane, entry } of receipts.due(nowMs)) this.#resend(lane, entry, nowMs)
    let next = receipts.nextMs()
    for (const lane of this.#active) next = Math.min(next, lane.expiryMs, stalledMs(lane, nowMs))
    if (Number.isFinite(next)) this.#alarm.by(next)
  }

  #checkStalled(lane: SendingLane, nowMs: number): void {
    if (lane.state.kind === 'stopped' || stalledMs(lane, 0) > nowMs) return
    if (this.#options.transport.status().state === 'ready') this.#stopLane(lane, 'stalled')
  }

  /** A copy of a confirmed envelope whose receipts are out. */
  #resend(lane: SendingLane, entry: Entry, nowMs: number): void {
    const { route } = lane
    if (route === undefined) this.#routes.attach(lane, 'shared')
    if (route !== undefined && lane.state.kind === 'flowing' && route.hasRoom(true, nowMs)) {
      this.#fly(route, { lane, entry, atMs: nowMs })
      this.#options.emit('resent', describe(entry))
    } else this.#options.receipts.putOff(entry, nowMs + RESEND_SOON_MS)
  }
}

/** When the lane's oldest envelope in flight will count as stalled; not in the past, since it was looked at just now. */
function stalledMs(lane: SendingLane, nowMs: number): number {
  const oldest = lane.oldestFlightMs
  if (oldest === undefined || lane.state.kind === 'stopped') return Number.POSITIVE_INFINITY
  return Math.max(oldest, nowMs - STALLED_AFTER_MS + RESEND_SOON_MS) + STALLED_AFTER_MS
}
