/**
 * The seam to what keeps sealed bytes until they are confirmed or over. Contract only; memory-outbox.ts obeys it.
 * n.b. sealed bytes only: a stolen disk shows nothing, not even to its owner.
 */
import type { Party, Priority } from '../bus.js'
import type { Predecessor } from '../wire.js'

/** One sealed envelope, as it is sent on every attempt. */
export interface OutboxRecord {
  /** Envelope id, 32 hex digits. */
  readonly id: string
  readonly to: Party
  readonly priority: Priority | 'receipt'
  readonly epoch: string
  /** Number of its first message. */
  readonly seq: number
  /** Messages in it; number `seq + count - 1` is its last. */
  readonly count: number
  readonly body: Uint8Array
  /** When the last of its messages expires, ms. */
  readonly expiresAtMs: number
  /** Keep until the receipts are in, not just until confirmed. */
  readonly untilHandled: boolean
  readonly droppable: boolean
}

/** A lane as the previous life of this process left it. */
export interface LeftLane {
  readonly to: Party
  readonly priority: Priority | 'receipt'
  readonly epoch: string
  readonly floor: number
  /** Lowest number first. */
  readonly records: readonly OutboxRecord[]
}

export interface OutboxUsage {
  readonly records: number
  readonly bytes: number
}

export interface Outbox {
  /** Survives the process: `until: 'stored'` is possible. */
  readonly durable: boolean
  /** Opens, takes the lock, and tells what is left, lane by lane. @throws SealbusError `corrupt-store`, `store-failed` */
  start(): Promise<readonly LeftLane[]>
  /**
   * Keeps one record; resolves when it is as safe as this outbox makes it (durable: fsynced). Calls are kept in order.
   * @throws SealbusError `buffer-full` (bound reached), `store-failed` (final)
   */
  put(record: OutboxRecord): Promise<void>
  /** The record is confirmed, handled or over; `floor` is the lane's lowest number that may still come. */
  remove(id: string, floor: number): void
  /** The epoch that a new one of this lane follows, if the former life left one. */
  predecessor(to: Party, priority: Priority | 'receipt'): Predecessor | undefined
  usage(): OutboxUsage
  /** Writes what is pending; releases the lock. May be called twice. */
  close(): Promise<void>
}
