/**
 * Moves what lanes hold: whose turn it is to seal, to store (storing.ts), to publish (publishing.ts).
 * docs/DELIVERY.md, "Publishing". Start reading at {@link Pump.#turn}: one lane's turn.
 */
import type { Sealer } from '../crypto/sealing.js'
import { asError } from '../errors.js'
import type { Transport } from '../transport/transport.js'
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Bodies } from './bodies.js'
import { Deadlines } from './deadlines.js'
import type { Introductions } from './introductions.js'
import * as laneState from './lane-state.js'
import type { Outbox } from './outbox.js'
import { Publishing } from './publishing.js'
import { Ready } from './ready.js'
import type { Attempt, Route } from './route.js'
import { Routes } from './routes.js'
import { sealNotice } from './seal-next.js'
import type { SendingLane } from './sending-lane.js'
import type { Settlement } from './settlement.js'
import { Storing } from './storing.js'
import { Troubles } from './troubles.js'

export interface PumpOptions {
  readonly transport: Transport
  readonly sealer: Sealer
  readonly outbox: Outbox
  readonly introductions: Introductions
  readonly receipts: AwaitingReceipts
  readonly bodies: Bodies
  /** The lane of an epoch. */
  readonly laneOf: (epoch: string) => SendingLane | undefined
  readonly settlement: Settlement
  readonly now: () => number
  readonly random: () => number
  readonly emit: (event: string, detail: object) => void
}

export class Pump {
  readonly #options: PumpOptions
  readonly #routes: Routes
  readonly #storing: Storing
  readonly #troubles: Troubles
  readonly #deadlines: Deadlines
  readonly #publishing: Publishing
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
    this.#routes = new Routes(options.transport, {
      attached: lane => this.wake(lane),
      closed: (route, error) => this.#troubles.closed(route, error),
    })
    const shared = {
      ...options,
      routes: this.#routes,
      active: this.#active,
      stopped: this.#stop.signal,
      wake: (lane: SendingLane) => this.wake(lane),
      expires: (lane: SendingLane, atMs: number) => this.#expires(lane, atMs),
      ended: (lane: SendingLane) => this.ended(lane),
      fly: (route: Route<SendingLane>, attempt: Attempt<SendingLane>, body: Uint8Array) =>
        this.#publishing.fly(route, attempt, body),
    }
    this.#storing = new Storing(shared)
    this.#troubles = new Troubles(shared)
    this.#deadlines = new Deadlines({ ...shared, troubles: this.#troubles })
    const told = { troubles: this.#troubles, deadlines: this.#deadlines }
    this.#publishing = new Publishing({ ...shared, ...told })
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
    this.#expires(lane, expiresAtMs)
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
    this.#storing.freed()
    if (!lane.idle) {
      this.#active.add(lane) // it may owe a notice
      this.wake(lane)
      return
    }
    this.#active.delete(lane)
    lane.expiryMs = Number.POSITIVE_INFINITY
    if (lane.isolated) {
      this.#troubles.resume(lane)
      this.#routes.detach(lane)
    }
    for (let next = lane.follower; next; next = next.follower) this.wake(next)
    if (this.#active.size > 0) return
    this.#deadlines.rest()
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
    this.#deadlines.close()
    this.#ready.clear()
    for (const lane of this.#active) clearTimeout(lane.timer)
    this.#routes.close()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #expires(lane: SendingLane, atMs: number): void {
    lane.expiryMs = Math.min(lane.expiryMs, atMs)
    this.#deadlines.by(atMs)
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
    if (durable) this.#storing.seal(lane, lane.windowSize - lane.storing.length)
    const allowed = laneState.allowance(lane.state, lane.windowSize)
    if (allowed === 0 || lane.idle || lane.mustWait || this.#mustWait(lane)) return
    if (lane.route === undefined) {
      this.#routes.attach(lane, laneState.wants(lane.state))
      return
    }
    if (!durable) this.#storing.seal(lane, allowed - lane.sealed)
    if (lane.owesNotice && (lane.state.kind === 'flowing' || lane.sealed === 0)) this.#notice(lane)
    this.#options.bodies.fill(lane, () => this.wake(lane))
    lane.fillWindow(allowed)
    this.#publishing.window(lane, lane.route, allowed)
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

  /** The transport is ready (again). */
  #healed(): void {
    this.#deadlines.healed()
    this.#wakeHeld()
    this.#troubles.healed()
  }

  #wakeHeld(): void {
    const lanes = [...this.#held]
    this.#held.clear()
    for (const lane of lanes) this.wake(lane)
  }

  #notice(lane: SendingLane): void {
    const { now, emit } = this.#options
    try {
      const entry = sealNotice(lane, this.#options, now())
      lane.announce(entry)
      this.activate(lane, entry.record.expiresAtMs)
    } catch (error) {
      lane.announcedFloor = lane.numbers.floor // the recipient is gone: nobody waits for it
      const { to, priority, numbers } = lane
      this.#options.outbox.announced({ to, priority, epoch: numbers.epoch }, numbers.floor)
      emit('notice-failed', { to: lane.to, reason: asError(error).message })
      this.ended(lane)
    }
  }
}
