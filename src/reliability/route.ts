/**
 * One channel with what is in flight on it. It dies once: what it says afterwards counts for nothing.
 * n.b. at most 256 envelopes are in flight on a channel, since a thousand to one queue without a leader stall the
 * whole connection; lanes that have waited for a confirm for 1 s use at most a quarter of that.
 */
import type { PublishChannel } from '../transport/transport.js'
import type { Entry, Flight } from './entry.js'
import { type LanePriority, Ready } from './ready.js'

/** Envelopes in flight on one channel at most. */
const ROUTE_WINDOW = 256
/** Of these, from lanes whose oldest envelope is unconfirmed for {@link SLOW_AFTER_MS}. */
const SLOW_WINDOW: number = ROUTE_WINDOW / 4
export const SLOW_AFTER_MS = 1000

export interface Attempt<Lane> extends Flight {
  readonly lane: Lane
  readonly entry: Entry
}

export class Route<Lane extends { readonly priority: LanePriority }> {
  readonly channel: PublishChannel
  /** Oldest first. */
  readonly flying: Set<Attempt<Lane>> = new Set()
  readonly lanes: Set<Lane> = new Set()
  /** Lanes that found the window full. */
  readonly full: Ready<Lane> = new Ready()
  dead = false
  #holds = 0

  constructor(channel: PublishChannel) {
    this.channel = channel
  }

  /** May one more envelope go out, of a lane that is slow or not? */
  hasRoom(slow: boolean, nowMs: number): boolean {
    if (this.flying.size >= ROUTE_WINDOW) return false
    return !slow || this.#slow(nowMs) < SLOW_WINDOW
  }

  /** The transport has given the channel once more. */
  hold(): void {
    this.#holds++
  }

  leave(lane: Lane): void {
    this.lanes.delete(lane)
    this.full.delete(lane)
    this.releaseIfUnused()
  }

  /** Gives the channel back once no lane uses it and every confirm that still counts is in. */
  releaseIfUnused(): void {
    if (!this.dead && (this.lanes.size > 0 || this.flying.size > 0)) return
    for (; this.#holds > 0; this.#holds--) this.channel.release()
  }

  get held(): boolean {
    return this.#holds > 0
  }

  #slow(nowMs: number): number {
    let count = 0
    for (const { atMs } of this.flying) {
      if (atMs > nowMs - SLOW_AFTER_MS) break
      count++
    }
    return count
  }
}
