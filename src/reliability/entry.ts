/** One sealed envelope on its way: the same bytes and the same id on every attempt. */
import { SealbusError } from '../errors.js'
import type { EnvelopeHead, LaneOfLife, Stored } from './outbox.js'
import type { Submission } from './submission.js'

/** One publishing of one envelope on one channel; identity is the object. */
export interface Flight {
  readonly atMs: number
}

export interface Entry {
  readonly record: EnvelopeHead
  /** The sealed bytes; undefined while only the outbox on disk has them. */
  body: Uint8Array | undefined
  /** What the outbox keeps of it: it may be published. */
  kept: Stored | undefined
  /** Of the content, 64 hex digits; unknown for a record of a former life. */
  readonly contentHash: string | undefined
  /** Submission i has number `record.seq + i`; none in a floor notice or a record of a former life. */
  readonly submissions: readonly Submission[]
  /** Fingerprint of our certificate whose chain and card it carries. */
  readonly introducedAs: string | undefined
  readonly namesPredecessor: boolean
  /** Numbers whose receipt is still out. */
  readonly awaiting: Set<number>
  /** It left at least once. */
  published: boolean
  /** In flight on the lane's present channel. */
  flight: Flight | undefined
  /** How often a channel died of it while it was alone in flight. */
  deaths: number
  state: 'pending' | 'confirmed' | 'over'
}

/** What the outbox keeps, as an entry that nobody waits for: of a former life, or stored long ago. */
export function storedEntry({ to, priority, epoch }: LaneOfLife, kept: Stored): Entry {
  const { id, seq, count, floor, expiresAtMs, untilHandled, droppable } = kept
  const record = { id, to, priority, epoch, seq, count, floor, expiresAtMs, untilHandled, droppable }
  return entryOf({ record, body: undefined, kept, awaiting: kept.untilHandled ? numbersOf(kept) : [] })
}

/** An entry that was not published yet. */
export function entryOf(given: {
  record: EnvelopeHead
  body: Uint8Array | undefined
  kept?: Stored
  awaiting: Iterable<number>
  contentHash?: string
  submissions?: readonly Submission[]
  introducedAs?: string | undefined
  namesPredecessor?: boolean
}): Entry {
  return {
    record: given.record,
    body: given.body,
    kept: given.kept,
    contentHash: given.contentHash,
    submissions: given.submissions ?? [],
    introducedAs: given.introducedAs,
    namesPredecessor: given.namesPredecessor ?? false,
    awaiting: new Set(given.awaiting),
    published: false,
    flight: undefined,
    deaths: 0,
    state: 'pending',
  }
}

function numbersOf(record: Stored): number[] {
  return Array.from({ length: record.count }, (_, i) => record.seq + i)
}

/** Rejects the sends of messages that are over; their numbers stay with the envelope. */
export function rejectExpired(entry: Entry, nowMs: number): void {
  for (const submission of entry.submissions) {
    if (!submission.settled && submission.expiresAtMs <= nowMs) submission.reject(messageExpired(entry))
  }
}

/** When the next of its messages that somebody waits for is over, at the latest when the last is, ms. */
export function nextExpiry(entry: Entry): number {
  return entry.submissions.reduce(
    (next, submission) => (submission.settled ? next : Math.min(next, submission.expiresAtMs)),
    entry.record.expiresAtMs,
  )
}

/** n.b. confirmed or in flight, it may have been handled all the same. */
export function messageExpired(entry?: Entry): SealbusError {
  const how =
    entry?.state === 'confirmed'
      ? 'no receipt came'
      : entry?.published
        ? 'no confirm came'
        : 'it could not leave'
  return new SealbusError('message-expired', `send: the message expired: ${how} in time; send a newer one`)
}
