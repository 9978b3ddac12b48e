/** One sealed envelope on its way: the same bytes and the same id on every attempt. */
import { SealbusError } from '../errors.js'
import type { OutboxRecord } from './outbox.js'
import type { Submission } from './submission.js'

/** One publishing of one envelope on one channel; identity is the object. */
export interface Flight {
  readonly atMs: number
}

export interface Entry {
  readonly record: OutboxRecord
  /** Of the content, 64 hex digits; unknown for a record of a former life. */
  readonly contentHash: string | undefined
  /** The floor that it announces. */
  readonly floor: number
  /** Submission i has number `record.seq + i`; none in a floor notice or a record of a former life. */
  readonly submissions: readonly Submission[]
  /** Fingerprint of our certificate whose chain and card it carries. */
  readonly introducedAs: string | undefined
  readonly namesPredecessor: boolean
  /** Numbers whose receipt is still out. */
  readonly awaiting: Set<number>
  /** The outbox has it: it may be published. */
  stored: boolean
  /** It left at least once. */
  published: boolean
  /** In flight on the lane's present channel. */
  flight: Flight | undefined
  /** How often a channel died of it while it was alone in flight. */
  deaths: number
  state: 'pending' | 'confirmed' | 'over'
}

/** A record of a former life of this process, as an entry. */
export function leftEntry(record: OutboxRecord, floor: number): Entry {
  return entryOf({ record, floor, stored: true, awaiting: record.untilHandled ? numbersOf(record) : [] })
}

/** An entry that was not published yet. */
export function entryOf(given: {
  record: OutboxRecord
  floor: number
  stored: boolean
  awaiting: Iterable<number>
  contentHash?: string
  submissions?: readonly Submission[]
  introducedAs?: string | undefined
  namesPredecessor?: boolean
}): Entry {
  return {
    record: given.record,
    contentHash: given.contentHash,
    floor: given.floor,
    submissions: given.submissions ?? [],
    introducedAs: given.introducedAs,
    namesPredecessor: given.namesPredecessor ?? false,
    awaiting: new Set(given.awaiting),
    stored: given.stored,
    published: false,
    flight: undefined,
    deaths: 0,
    state: 'pending',
  }
}

function numbersOf(record: OutboxRecord): number[] {
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
