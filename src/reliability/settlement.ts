/**
 * The end of an envelope: confirmed, handled, or over; for its numbers, its place in the outbox, the memory it is
 * charged for, and the promises that `send` gave for its messages.
 */
import type { Party } from '../bus.js'
import { type ErrorCode, SealbusError } from '../errors.js'
import type { AwaitingReceipts, ReceiptItem } from './awaiting-receipts.js'
import type { Bodies } from './bodies.js'
import { type Entry, messageExpired, nextExpiry, rejectExpired } from './entry.js'
import type { Introductions } from './introductions.js'
import type { Outbox } from './outbox.js'
import type { SendBuffer } from './send-buffer.js'
import type { SendingLane } from './sending-lane.js'
import type { Submission } from './submission.js'

export interface SettlementOptions {
  readonly outbox: Outbox
  readonly introductions: Introductions
  readonly receipts: AwaitingReceipts
  readonly bodies: Bodies
  readonly buffer: SendBuffer
  readonly now: () => number
  readonly emit: (event: string, detail: object) => void
  /** Something of this lane ended: there may be room, or nothing left to do. */
  readonly ended: (lane: SendingLane) => void
}

/** Why a whole envelope is over: its event, and what its sends reject with. */
export type OverReason = 'expired' | 'quarantined' | 'unroutable' | 'not-stored' | 'dropped'

export class Settlement {
  readonly #options: SettlementOptions

  constructor(options: SettlementOptions) {
    this.#options = options
  }

  /** The outbox has it. On disk: memory need not remember what nobody waits for any more. */
  stored(lane: SendingLane, entry: Entry): void {
    if (!this.#options.outbox.durable) return
    for (const submission of entry.submissions)
      if (submission.settled) this.#options.buffer.leave(lane.held, submission)
    this.#options.ended(lane)
  }

  confirmed(lane: SendingLane, entry: Entry): void {
    const { introductions, receipts, bodies, outbox, now } = this.#options
    entry.state = 'confirmed'
    lane.confirm(entry)
    if (entry.introducedAs !== undefined) introductions.confirmed(lane.to, entry.introducedAs, now())
    if (entry.namesPredecessor) lane.predecessorNamedMs = now()
    for (const submission of entry.submissions) submission.reached('confirmed')
    bodies.release(entry)
    if (entry.record.count === 0 && lane.priority !== 'receipt')
      outbox.announced(entry.record, entry.record.floor)
    if (entry.awaiting.size > 0) receipts.keep(entry, now())
    else this.#remove(lane, entry)
    this.#options.ended(lane)
  }

  /** These will never be sent (again); raises the floor once everything below is settled. */
  over(
    lane: SendingLane,
    entries: readonly Entry[],
    reason: OverReason,
    error: (entry: Entry) => unknown,
  ): void {
    for (const entry of entries) entry.state = 'over'
    lane.giveUp(new Set(entries))
    for (const entry of entries) {
      this.#options.receipts.forget(entry)
      for (const submission of entry.submissions) submission.reject(error(entry))
      this.#options.bodies.release(entry)
      this.#remove(lane, entry, 'over')
      if (entry.record.count > 0) this.#options.emit(reason, describe(entry))
    }
    this.#options.ended(lane)
  }

  /** A message that was never sealed. */
  refuse(lane: SendingLane, submission: Submission, error: unknown): void {
    submission.reject(error)
    this.#options.buffer.leave(lane.held, submission)
  }

  /** Rejects all that was not sealed yet. */
  refuseAll(lane: SendingLane, error: () => unknown): void {
    for (const queue of [lane.waiting, lane.outside]) {
      for (const submission of queue) if (!submission.settled) this.refuse(lane, submission, error())
      queue.clear()
    }
    this.#options.ended(lane)
  }

  /** True when the receipt counted. */
  received(from: Party, item: ReceiptItem): boolean {
    const counted = this.#options.receipts.receive(from, item)
    if (counted === undefined) return false
    const { lane, entry, last } = counted
    if (last && entry.state === 'confirmed') {
      this.#remove(lane, entry)
      this.#options.ended(lane)
    }
    return true
  }

  /** Rejects what is over in this lane, message by message; envelopes that are over as a whole are given up. */
  expire(lane: SendingLane, nowMs: number): void {
    let next = Number.POSITIVE_INFINITY
    for (const queue of [lane.waiting, lane.outside]) {
      for (const submission of queue) {
        if (submission.settled) continue
        if (submission.expiresAtMs <= nowMs) this.refuse(lane, submission, messageExpired())
        else next = Math.min(next, submission.expiresAtMs)
      }
    }
    const over = new Set<Entry>()
    for (const entry of lane.entries()) {
      rejectExpired(entry, nowMs)
      if (entry.record.expiresAtMs <= nowMs) over.add(entry)
      else next = Math.min(next, nextExpiry(entry))
    }
    for (const stored of lane.spill) {
      if (stored.expiresAtMs <= nowMs) over.add(lane.entryOf(stored))
      else next = Math.min(next, stored.expiresAtMs)
    }
    lane.expiryMs = next
    if (over.size > 0) this.over(lane, [...over], 'expired', messageExpired)
    else this.#options.ended(lane)
  }

  /** Confirmed envelopes whose receipts did not come in time. */
  expireKept(nowMs: number): void {
    for (const { lane, entry } of this.#options.receipts.expire(nowMs)) {
      this.#options.receipts.forget(entry)
      this.#remove(lane, entry)
      this.#options.emit('unacknowledged', describe(entry))
      this.#options.ended(lane)
    }
  }

  #remove(lane: SendingLane, entry: Entry, outcome: 'settled' | 'over' = 'settled'): void {
    if (entry.kept) this.#options.outbox.remove(entry.kept, outcome, lane.numbers.floor)
    for (const submission of entry.submissions) this.#options.buffer.leave(lane.held, submission)
  }
}

/** What `send` rejects with where the outbox has no room. */
export const outboxFull: () => SealbusError = because(
  'buffer-full',
  'send: the outbox is full, since the broker has not taken what waits there; send later, or configure larger bounds',
)

/** What an event says of an envelope. n.b. nothing of its content. */
export function describe(entry: Entry): object {
  const { to, priority, epoch, seq, count, id } = entry.record
  return { to, priority, epoch, seq, count, id }
}

/** One error for each of many sends, so that no two share a stack that was thrown elsewhere. */
export function because(code: ErrorCode, message: string, cause?: unknown): () => SealbusError {
  return () => new SealbusError(code, message, cause === undefined ? undefined : { cause })
}
