/**
 * What happens by the clock: messages expire, an envelope without an answer goes out on another channel, one without a
 * receipt goes out again. One timer for all lanes, none while nothing is under way.
 */
import type { Transport } from '../transport/transport.js'
import { Alarm } from './alarm.js'
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Bodies } from './bodies.js'
import type { Entry } from './entry.js'
import type { Attempt, Route } from './route.js'
import type { Routes } from './routes.js'
import type { SendingLane } from './sending-lane.js'
import { describe, type Settlement } from './settlement.js'
import { Stalls } from './stalls.js'
import type { Troubles } from './troubles.js'

export interface DeadlinesOptions {
  readonly transport: Transport
  readonly routes: Routes
  readonly settlement: Settlement
  readonly receipts: AwaitingReceipts
  readonly bodies: Bodies
  readonly troubles: Troubles
  readonly now: () => number
  readonly emit: (event: string, detail: object) => void
  readonly active: ReadonlySet<SendingLane>
  /** Publishes one envelope. */
  readonly fly: (route: Route<SendingLane>, attempt: Attempt<SendingLane>, body: Uint8Array) => void
}

const RESEND_SOON_MS = 1000
/** Who looks so much too late has not heard what came meanwhile. */
const LATE_MS = 500

export class Deadlines {
  readonly #options: DeadlinesOptions
  readonly #alarm: Alarm
  readonly #stalls: Stalls = new Stalls()

  constructor(options: DeadlinesOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.now, lateMs => this.#tick(lateMs))
  }

  /** Something expires then. */
  by(atMs: number): void {
    this.#alarm.by(atMs)
  }

  /** An envelope was published: no later than this long from now somebody looks for its answer. */
  published(nowMs: number): void {
    this.#alarm.by(nowMs + this.#stalls.afterMs)
  }

  /** The broker answered a publish of then. */
  answered(publishedMs: number): void {
    this.#stalls.answered(this.#options.now() - publishedMs)
  }

  /** We may publish (again): what stood still meanwhile was not stuck. */
  healed(): void {
    this.#stalls.pardon(this.#options.now())
  }

  /** Nothing is under way in any lane. */
  rest(): void {
    if (this.#options.receipts.kept === 0) this.#alarm.clear()
  }

  close(): void {
    this.#alarm.clear()
  }

  /** Everything that is due. */
  #tick(lateMs: number): void {
    const { settlement, receipts, now } = this.#options
    const nowMs = now()
    if (lateMs > LATE_MS) this.#stalls.pardon(nowMs)
    for (const lane of this.#options.active) {
      if (lane.expiryMs <= nowMs) settlement.expire(lane, nowMs)
      this.#checkStalled(lane, nowMs)
    }
    settlement.expireKept(nowMs)
    for (const { lane, entry } of receipts.due(nowMs)) this.#resend(lane, entry, nowMs)
    let next = receipts.nextMs()
    for (const lane of this.#options.active) next = Math.min(next, lane.expiryMs, this.#lookMs(lane, nowMs))
    if (Number.isFinite(next)) this.#alarm.by(next)
  }

  /** n.b. not in the past: what is overdue now was looked at just now. */
  #lookMs(lane: SendingLane, nowMs: number): number {
    const dueMs = this.#stalls.dueMs(lane)
    return dueMs > nowMs ? dueMs : nowMs + RESEND_SOON_MS
  }

  #checkStalled(lane: SendingLane, nowMs: number): void {
    if (this.#stalls.dueMs(lane) > nowMs) return
    if (this.#options.transport.status().state === 'ready') this.#options.troubles.stopLane(lane, 'stalled')
  }

  /** A copy of a confirmed envelope whose receipts are out. */
  #resend(lane: SendingLane, entry: Entry, nowMs: number): void {
    const { route } = lane
    if (route === undefined) this.#options.routes.attach(lane, 'shared')
    if (route !== undefined && lane.state.kind === 'flowing' && route.hasRoom(true, nowMs)) {
      void this.#flyAgain(route, { lane, entry, atMs: nowMs })
    } else this.#options.receipts.putOff(entry, nowMs + RESEND_SOON_MS)
  }

  /** n.b. an outbox on disk has the bytes alone. */
  async #flyAgain(route: Route<SendingLane>, attempt: Attempt<SendingLane>): Promise<void> {
    const body = await this.#options.bodies.of(attempt.entry)
    if (body === undefined || route.dead) return
    this.#options.fly(route, attempt, body)
    this.#options.emit('resent', describe(attempt.entry))
  }
}
