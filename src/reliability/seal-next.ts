/** Takes the next messages of a lane, as many as share one envelope, and seals them: once, for every attempt. */

import type { Sealer } from '../crypto/sealing.js'
import { SealbusError } from '../errors.js'
import { MAX_MESSAGES, type WireMessage } from '../wire.js'
import { type Entry, entryOf } from './entry.js'
import { INTRODUCE_EVERY_MS, type Introductions } from './introductions.js'
import { carried, type NumberRange, taken } from './numbers.js'
import type { EnvelopeHead, Outbox } from './outbox.js'
import type { SendingLane } from './sending-lane.js'
import type { Submission } from './submission.js'

export interface SealingDesk {
  readonly sealer: Sealer
  readonly introductions: Introductions
  readonly outbox: Pick<Outbox, 'ageMs' | 'durable'>
}

/** A floor notice that finds no way within this is of no use any more: receivers skip a gap after 90 s. */
const NOTICE_LIFE_MS = 120_000

/**
 * The next envelope of the lane's waiting messages, numbered; undefined when nothing waits. Where sealing fails, the
 * messages are rejected with its error and no number is used.
 * `refused` is called for each message that was rejected. `room`: bytes that the outbox has left.
 */
export function sealNext(
  lane: SendingLane,
  desk: SealingDesk,
  nowMs: number,
  room: number,
  refused: (submission: Submission, error: unknown) => void,
): Entry | undefined {
  for (;;) {
    const introduce = desk.introductions.needed(lane.to, desk.sealer.self.fingerprint, nowMs)
    const left = Math.min(desk.sealer.bodyLimit, room) - desk.sealer.overhead(introduce)
    const batch = takeBatch(lane, left, desk.outbox.durable)
    if (batch.length === 0) return undefined
    try {
      return number(lane, seal(lane, desk, batch, introduce, nowMs))
    } catch (error) {
      for (const submission of batch) refused(submission, error)
    }
  }
}

/** An envelope without messages: it only says the floor. */
export function sealNotice(lane: SendingLane, desk: SealingDesk, nowMs: number): Entry {
  return seal(lane, desk, [], false, nowMs)
}

/**
 * @param alike - only messages that want a receipt, or only such that want none: on disk an envelope is kept either
 * until it is confirmed or until all of its receipts are in
 */
function takeBatch(lane: SendingLane, room: number, alike: boolean): Submission[] {
  const batch: Submission[] = []
  let left = room
  for (
    let next = lane.peekWaiting();
    next !== undefined && batch.length < MAX_MESSAGES;
    next = lane.peekWaiting()
  ) {
    const [first = next] = batch
    if (batch.length > 0 && next.size > left) break
    if (alike && next.message.receiptWanted !== first.message.receiptWanted) break
    left -= next.size
    batch.push(next)
    lane.waiting.shift()
  }
  return batch
}

function seal(
  lane: SendingLane,
  desk: SealingDesk,
  batch: readonly Submission[],
  introduce: boolean,
  nowMs: number,
): Entry {
  const numbers = carried(lane.numbers)
  const namesPredecessor = namesNow(lane, nowMs)
  const messages = batch.map(submission => submission.message)
  const sealed = desk.sealer.seal({
    ...numbers,
    to: lane.to,
    messages,
    introduce,
    ...(namesPredecessor && lane.predecessor && { predecessor: lane.predecessor }),
  })
  const awaiting = receiptNumbers(messages, numbers.seq)
  const record: EnvelopeHead = {
    id: sealed.id,
    to: lane.to,
    priority: lane.priority,
    epoch: numbers.epoch,
    seq: numbers.seq,
    count: batch.length,
    floor: numbers.floor,
    expiresAtMs: Math.min(nowMs + desk.outbox.ageMs, lastExpiry(batch, nowMs)),
    untilHandled: awaiting.length > 0,
    droppable: batch.every(submission => submission.droppable),
  }
  return entryOf({
    record,
    body: sealed.body,
    awaiting,
    contentHash: sealed.contentHash,
    submissions: batch,
    introducedAs: introduce ? desk.sealer.self.fingerprint : undefined,
    namesPredecessor,
  })
}

function lastExpiry(batch: readonly Submission[], nowMs: number): number {
  if (batch.length === 0) return nowMs + NOTICE_LIFE_MS
  return batch.reduce((latest, { expiresAtMs }) => Math.max(latest, expiresAtMs), nowMs)
}

/** Only now, when the envelope exists, are its numbers used. */
function number(lane: SendingLane, entry: Entry): Entry {
  const { seq, count, epoch }: NumberRange & { epoch: string } = entry.record
  lane.numbers = taken(lane.numbers, count)
  for (const [i, submission] of entry.submissions.entries()) submission.numbered({ epoch, seq: seq + i })
  return entry
}

function receiptNumbers(messages: readonly WireMessage[], seq: number): number[] {
  return messages.flatMap((message, i) => (message.receiptWanted ? [seq + i] : []))
}

function namesNow(lane: SendingLane, nowMs: number): boolean {
  if (lane.predecessor === undefined) return false
  return lane.predecessorNamedMs === undefined || nowMs - lane.predecessorNamedMs >= INTRODUCE_EVERY_MS
}

/** What `send` rejects with when the message alone would pass the limit. */
export function tooLarge(size: number, limit: number): SealbusError {
  return new SealbusError(
    'payload-too-large',
    `send: expected a sealed body of at most ${limit} bytes, this one would have ${size}; split the payload or raise the limit`,
  )
}
