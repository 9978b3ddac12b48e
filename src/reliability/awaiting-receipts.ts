/**
 * Envelopes whose recipient shall say that it handled them. Until then the bytes are kept and, since receipts are best
 * effort and a transient inbox dies with its node, sent again now and then: a receiver that has handled them drops
 * the copy and repeats its receipt.
 */
import type { Party } from '../bus.js'
import { SealbusError } from '../errors.js'
import { partyKey } from '../wire.js'
import { type Backoff, backoff } from './backoff.js'
import { type Entry, nextExpiry, rejectExpired } from './entry.js'
import type { ReceiptOutcome } from './receipts.js'
import type { SendingLane } from './sending-lane.js'

export interface ReceiptItem {
  /** 16 hex digits. */
  readonly epoch: string
  readonly seq: number
  readonly outcome: ReceiptOutcome
  /** SHA-256 of the content of the envelope, 64 hex digits. */
  readonly contentHash?: string
}

interface Awaited {
  readonly lane: SendingLane
  readonly entry: Entry
  resendMs: number
  pause: Backoff
  /** No message of it expires before this, ms. */
  expiryMs: number
}

/** n.b. the first copy well before the 90 s after which a receiver skips a gap. */
const RESEND: Backoff = backoff({ firstMs: 30_000, maxMs: 600_000, jitter: 'half' })

export class AwaitingReceipts {
  readonly #byNumber = new Map<string, Awaited>()
  /** Confirmed, and kept for the receipts that are out. */
  readonly #kept = new Set<Awaited>()

  get kept(): number {
    return this.#kept.size
  }

  /** Called when the envelope has its numbers: a receipt may come before the confirm. */
  expect(lane: SendingLane, entry: Entry): void {
    if (entry.awaiting.size === 0) return
    const awaited: Awaited = {
      lane,
      entry,
      resendMs: Number.POSITIVE_INFINITY,
      pause: RESEND,
      expiryMs: nextExpiry(entry),
    }
    for (const seq of entry.awaiting) this.#byNumber.set(key(entry.record.epoch, seq), awaited)
  }

  /** Called at the confirm: from now on the bytes wait for their receipts. */
  keep(entry: Entry, nowMs: number): void {
    const awaited = this.#find(entry)
    if (awaited === undefined) return
    this.#kept.add(awaited)
    this.#schedule(awaited, nowMs)
  }

  /**
   * Counts once, and only from the party that the original was sealed to, for something outstanding.
   * Returns the entry, and whether nothing of it is outstanding any more; undefined when it does not count.
   */
  receive(from: Party, item: ReceiptItem): { lane: SendingLane; entry: Entry; last: boolean } | undefined {
    const awaited = this.#byNumber.get(key(item.epoch, item.seq))
    if (awaited === undefined || partyKey(awaited.lane.to) !== partyKey(from)) return undefined
    const { lane, entry } = awaited
    if (item.contentHash !== undefined && (entry.contentHash ?? item.contentHash) !== item.contentHash)
      return undefined
    this.#byNumber.delete(key(item.epoch, item.seq))
    entry.awaiting.delete(item.seq)
    settle(entry, item)
    const last = entry.awaiting.size === 0
    if (last) this.#kept.delete(awaited)
    return { lane, entry, last }
  }

  /** No receipt is expected any more. */
  forget(entry: Entry): void {
    for (const seq of entry.awaiting) {
      const id = key(entry.record.epoch, seq)
      const awaited = this.#byNumber.get(id)
      this.#byNumber.delete(id)
      if (awaited) this.#kept.delete(awaited)
    }
    entry.awaiting.clear()
  }

  /** Rejects the sends whose message is over; says which envelopes are over with all their messages. */
  expire(nowMs: number): readonly { lane: SendingLane; entry: Entry }[] {
    const over: Awaited[] = []
    for (const awaited of this.#kept) {
      if (awaited.expiryMs > nowMs) continue
      rejectExpired(awaited.entry, nowMs)
      awaited.expiryMs = nextExpiry(awaited.entry)
      if (awaited.entry.record.expiresAtMs <= nowMs) over.push(awaited)
    }
    return over
  }

  /** Envelopes to be sent again now; each is put off to its next time. */
  due(nowMs: number): readonly { lane: SendingLane; entry: Entry }[] {
    const now = [...this.#kept].filter(({ resendMs }) => resendMs <= nowMs)
    for (const awaited of now) this.#schedule(awaited, nowMs)
    return now
  }

  /** It could not be sent again just now: soon, then. */
  putOff(entry: Entry, untilMs: number): void {
    const awaited = this.#find(entry)
    if (awaited && this.#kept.has(awaited)) awaited.resendMs = untilMs
  }

  /** The next moment when something here expires or is to be sent again, ms. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { resendMs, expiryMs } of this.#kept) next = Math.min(next, resendMs, expiryMs)
    return next
  }

  *entries(): IterableIterator<Entry> {
    for (const { entry } of this.#kept) yield entry
  }

  #find(entry: Entry): Awaited | undefined {
    const [seq] = entry.awaiting
    return seq === undefined ? undefined : this.#byNumber.get(key(entry.record.epoch, seq))
  }

  #schedule(awaited: Awaited, nowMs: number): void {
    awaited.resendMs = nowMs + awaited.pause.delayMs()
    awaited.pause = awaited.pause.next()
  }
}

function settle(entry: Entry, item: ReceiptItem): void {
  const submission = entry.submissions[item.seq - entry.record.seq]
  if (item.outcome === 'handled') submission?.reached('handled')
  else if (submission?.until === 'handled') submission.reject(notHandled(item.outcome))
}

function notHandled(outcome: Exclude<ReceiptOutcome, 'handled'>): SealbusError {
  if (outcome === 'expired') {
    return new SealbusError('message-expired', 'the recipient says that the message had expired when it came')
  }
  return new SealbusError(
    'not-handled',
    `the recipient says that it has ${outcome} the message; its operator finds it in the parking queue`,
  )
}

function key(epoch: string, seq: number): string {
  return `${epoch}/${seq}`
}
