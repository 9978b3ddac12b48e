/**
 * What becomes of a body that does not open and of a message that is not simply handled: the tables of
 * docs/PROTOCOL.md ("What happens to a delivery that does not open") as data. To change a decision, change a row.
 */
import type { OpenFailure } from '../crypto/sealing.js'
import type { Mark } from './seen.js'

/**
 * | action | means |
 * | --- | --- |
 * | `park` | the original bytes go to one's own parking queue, then it is acknowledged |
 * | `acknowledge` | nothing more is done with it |
 * | `hold` | unacknowledged for at most {@link HOLD_MS}, opened again now and then, then parked |
 * | `pause` | nothing is opened until this one opens |
 * | `retry` | unacknowledged, opened again later |
 */
export type BodyAction = 'park' | 'hold' | 'pause' | 'retry'

/**
 * A body that did not open, by reason. The event's name is `not-opened`, its `reason` the key. n.b. of what is parked,
 * bodies whose sender is not known for certain are bounded by {@link UnauthenticatedBudget}, whatever the reason.
 */
export const BODY_OUTCOMES: Readonly<Record<OpenFailure, BodyAction>> = {
  'not-an-envelope': 'park',
  'unknown-suite': 'park',
  'unknown-key': 'park',
  'destroyed-key': 'park',
  'bad-tag': 'park',
  'bad-signature': 'park',
  malformed: 'park',
  'untrusted-certificate': 'park',
  revoked: 'park',
  'unknown-certificate': 'hold',
  'clock-ahead': 'hold',
  'stale-revocation': 'pause',
  overloaded: 'retry',
}

/** Why a message of an opened envelope is not, or no longer, handed to the application. The event's name too. */
export type Verdict =
  | 'duplicate' // seen before, same content
  | 'conflict' // its number was used by other content
  | 'late' // its number was skipped, or is below what may still come
  | 'closed-epoch' // of an epoch that is closed
  | 'expired' // signed expiry, own longest lifetime or the policy's maximum age
  | 'refused' // the policy does not allow it
  | 'reserved-type' // `sealbus/…` of a kind not known here, or malformed inside
  | 'late-reply' // answers a request that is over
  | 'control' // receipt, card or reply: taken by the bus itself
  | 'handled' // the handler succeeded
  | 'failed' // the handler failed for good
  | 'fatal' // the process has not survived its handler, again and again
  | 'displaced' // its lane stands still, and others need its place
  | 'not-replayed' // replayed, and its number is used up by what is not remembered any more

export interface MessageOutcome {
  readonly action: 'park' | 'acknowledge'
  /** Full parking is waited for. Else it is acknowledged, with `not-kept`: nobody may stop others by what is not permitted. */
  readonly waits?: true
  /** How the number is used up; absent where it already is, or must not be. */
  readonly mark?: Mark
  /** An operator should look. */
  readonly alarm: boolean
  /** What a receipt says, where one is wanted: docs/PROTOCOL.md. */
  readonly receipt?: 'handled' | 'expired' | 'parked'
}

export const MESSAGE_OUTCOMES: Readonly<Record<Verdict, MessageOutcome>> = {
  duplicate: { action: 'acknowledge', alarm: false },
  conflict: { action: 'park', alarm: true },
  late: { action: 'park', waits: true, mark: 'parked', alarm: true, receipt: 'parked' },
  'closed-epoch': { action: 'park', alarm: true },
  expired: { action: 'acknowledge', mark: 'expired', alarm: false, receipt: 'expired' },
  refused: { action: 'park', mark: 'rejected', alarm: true },
  'reserved-type': { action: 'park', mark: 'parked', alarm: true },
  'late-reply': { action: 'acknowledge', mark: 'handled', alarm: false },
  control: { action: 'acknowledge', mark: 'handled', alarm: false },
  handled: { action: 'acknowledge', mark: 'handled', alarm: false, receipt: 'handled' },
  failed: { action: 'park', waits: true, mark: 'parked', alarm: true, receipt: 'parked' },
  fatal: { action: 'park', waits: true, mark: 'parked', alarm: true, receipt: 'parked' },
  displaced: { action: 'park', waits: true, mark: 'parked', alarm: true, receipt: 'parked' },
  'not-replayed': { action: 'park', waits: true, alarm: true },
}

/** Longest wait of a body for a certificate or a clock. */
export const HOLD_MS: number = 6 * 60_000 // 6 minutes
/** Bodies that wait so at once: of unknown origin, and as many of known senders. */
export const MAX_HOLD = 32
/** Of one known sender. */
export const MAX_HOLD_OF_ONE = 8

const MAX_KEPT = 1_000
const MAX_KEPT_BYTES = 16 * 1024 * 1024 // 16 MiB
const BUDGET_PERIOD_MS = 24 * 3600_000 // 1 day

/** How many bodies of unknown origin may still be parked: 1 000 or 16 MiB a day; anybody can make more. */
export class UnauthenticatedBudget {
  #kept = 0
  #bytes = 0
  #sinceMs = 0

  /** Takes one body's share; false: acknowledge and count it instead. */
  take(bytes: number, nowMs: number): boolean {
    if (Math.abs(nowMs - this.#sinceMs) > BUDGET_PERIOD_MS) {
      this.#sinceMs = nowMs
      this.#kept = 0
      this.#bytes = 0
    }
    if (this.#kept + 1 > MAX_KEPT || this.#bytes + bytes > MAX_KEPT_BYTES) return false
    this.#kept += 1
    this.#bytes += bytes
    return true
  }
}
