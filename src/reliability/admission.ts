/** The door of the sending half: what may be sent at all, and what has to wait for room before it is taken in. */
import type { Party, SendResult } from '../bus.js'
import type { PolicyCheck, Recipient, Sealer } from '../crypto/sealing.js'
import { SealbusError } from '../errors.js'
import { expiresAtMs } from '../outgoing.js'
import type { WireMessage } from '../wire.js'
import { messageExpired } from './entry.js'
import type { Outbox } from './outbox.js'
import type { Pump } from './pump.js'
import { Ready } from './ready.js'
import { tooLarge } from './seal-next.js'
import type { SendBuffer } from './send-buffer.js'
import type { SendingLane } from './sending-lane.js'
import { outboxFull } from './settlement.js'
import { abortReason, Submission, type SubmissionOptions } from './submission.js'

export interface AdmissionOptions {
  readonly sealer: Sealer
  readonly policy: PolicyCheck
  readonly outbox: Outbox
  readonly buffer: SendBuffer
  readonly pump: Pump
  readonly now: () => number
}

export class Admission {
  readonly #options: AdmissionOptions
  /** Lanes with something outside that may come in when there is room. */
  readonly #outsiders = new Ready<SendingLane>()

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /**
   * The recipient, if this message may go to it.
   * @throws SealbusError `unknown-recipient`, `recipient-expired`, `not-permitted`, `message-expired`,
   * `payload-too-large`
   */
  check(to: Party, message: WireMessage, permitted: boolean): Recipient {
    const { sealer, policy, now } = this.#options
    const recipient = sealer.recipient(to)
    const nowMs = now()
    if (expiresAtMs(message) <= nowMs) throw messageExpired()
    if (!permitted) checkPolicy(policy, sealer, recipient, message, nowMs)
    const size = sealer.overhead(true) + sealer.size(message)
    if (size > sealer.bodyLimit) throw tooLarge(size, sealer.bodyLimit)
    return recipient
  }

  /**
   * Takes a message into its lane, or lets it wait outside.
   * @throws SealbusError `buffer-full`; the signal's reason when it has fired already
   */
  enter(lane: SendingLane, message: WireMessage, options: SubmissionOptions): Promise<SendResult> {
    options.signal?.throwIfAborted()
    const { sealer, buffer, pump } = this.#options
    const submission = new Submission(message, sealer.size(message), options, it =>
      this.#aborted(lane, it, options),
    )
    if (this.#isRefused(lane, submission)) {
      submission.discard()
      throw outboxFull()
    }
    if (lane.peekOutside() === undefined && this.#fits(lane, submission)) {
      buffer.enter(lane.held, submission)
      lane.waiting.push(submission)
    } else {
      this.#standOutside(lane, submission)
    }
    pump.activate(lane, submission.expiresAtMs)
    return submission.promise
  }

  /** Room may have become free in this lane: those outside come in, in order. */
  admit(freed: SendingLane): void {
    if (freed.peekOutside() !== undefined) this.#outsiders.add(freed)
    for (let lane = this.#outsiders.shift(); lane !== undefined; lane = this.#outsiders.shift()) {
      const next = lane.peekOutside()
      if (next === undefined || !this.#options.buffer.fitsLane(lane.held, next.size)) continue // until it frees some
      this.#outsiders.add(lane)
      if (!this.#options.buffer.fits(next.size)) return
      lane.outside.shift()
      this.#options.buffer.enter(lane.held, next)
      lane.waiting.push(next)
      this.#options.pump.wake(lane)
    }
  }

  /** The outbox is full, and this message is not to wait for room in it. */
  #isRefused(lane: SendingLane, { size, droppable }: Submission): boolean {
    const { outbox, sealer } = this.#options
    if (!outbox.durable || lane.priority === 'receipt' || outbox.whenFull === 'drop') return false
    const waits = outbox.whenFull === 'wait' && !droppable
    return !waits && outbox.room() < size + sealer.overhead(true)
  }

  #fits(lane: SendingLane, { size }: Submission): boolean {
    return this.#options.buffer.fits(size) && this.#options.buffer.fitsLane(lane.held, size)
  }

  #standOutside(lane: SendingLane, submission: Submission): void {
    const { buffer } = this.#options
    if (submission.droppable || !buffer.fitsOutside(submission.size)) {
      submission.discard()
      throw new SealbusError(
        'buffer-full',
        `send: ${buffer.inside.messages} messages of ${buffer.inside.bytes} bytes wait for the broker; send later, or await each send`,
      )
    }
    buffer.waitOutside(submission)
    lane.outside.push(submission)
    this.#outsiders.add(lane)
  }

  #aborted(lane: SendingLane, submission: Submission, { signal }: SubmissionOptions): void {
    if (signal === undefined) return
    submission.reject(abortReason(submission, signal))
    if (submission.id !== undefined) return
    this.#options.buffer.leave(lane.held, submission)
    this.admit(lane)
    this.#options.pump.ended(lane)
  }
}

function checkPolicy(
  policy: PolicyCheck,
  sealer: Sealer,
  to: Recipient,
  { type, createdAtMs }: WireMessage,
  nowMs: number,
): void {
  const rule = policy.permit(sealer.self, to, type)
  if (rule === undefined) {
    throw new SealbusError(
      'not-permitted',
      `send: the policy allows no "${type}" from ${sealer.self.address} (${sealer.self.role}) to ${to.address} (${to.role}); add a rule at both ends`,
    )
  }
  if (rule.maxAgeMs !== undefined && nowMs - createdAtMs > rule.maxAgeMs) {
    throw new SealbusError(
      'message-expired',
      `send: the policy takes no "${type}" older than ${rule.maxAgeMs} ms, this one is ${nowMs - createdAtMs} ms old; send a newer one`,
    )
  }
}
