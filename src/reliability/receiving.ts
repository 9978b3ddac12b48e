/**
 * The seam to the receiving half, and what it needs. Contract only; receiver.ts obeys it.
 */
import type { ConsumeOptions, Handler, Party, Sender } from '../bus.js'
import type { Clock } from '../clock.js'
import type { Opener, PolicyCheck } from '../crypto/sealing.js'
import type { ReplyFunction } from '../delivery.js'
import type { Transport } from '../transport/transport.js'
import type { Park } from './parking.js'
import type { Receipt } from './receipts.js'
import type { Requests } from './requests.js'
import type { SeenStore } from './seen.js'

export interface ReceiverOptions<Tx = undefined> {
  readonly transport: Pick<Transport, 'consume'>
  readonly opener: Opener
  /** Absent on a plain bus: everything is allowed. */
  readonly policy?: PolicyCheck
  readonly self: Sender | Party
  readonly seen: SeenStore<Tx>
  readonly clock: Clock
  /** The longest that a message may live here, ms; one's own card says it. Default 24 h. */
  readonly lifetimeMs?: number
  /** Bodies unacknowledged at once. Default 1 000. */
  readonly prefetch?: number
  /** Every event has a stable name (docs/DELIVERY.md); `alarm: true` in its detail asks for an operator. */
  readonly emit: (event: string, detail: object) => void
  readonly park: Park
  readonly reply: ReplyFunction
  /** Sends a receipt, best effort. */
  readonly receipt: (to: Party, receipt: Receipt) => void
  /** False once a sender's certificate is revoked or over: what still waits of it is refused. Absent: always. */
  readonly stillTrusted?: (from: Sender) => boolean
  readonly requests?: Requests
  /** A receipt came; true where it settled something outstanding with that very party. */
  readonly onReceipt: (from: Sender, receipt: Receipt) => boolean
  /** A card came as a message; throws where it is not accepted. */
  readonly onCard: (bytes: Uint8Array, from: Sender) => void
}

export type ReceiverState = 'idle' | 'running' | 'paused' | 'stopping' | 'stopped' | 'failed'

export interface Receiver<Tx = undefined> {
  readonly state: ReceiverState
  /** Why it is `paused`. */
  readonly hindrance: Error | undefined
  /** How often each event came, and `handled`. */
  readonly counts: Readonly<Record<string, number>>
  /**
   * Starts consuming. Without a handler only replies, receipts and cards are taken; the rest waits unacknowledged until
   * `start` is called again with one.
   * @throws RangeError for an option out of range; SealbusError `corrupt-store`, `store-failed`, `closed`
   */
  start(handler?: Handler<Tx>, options?: ConsumeOptions): Promise<void>
  /** Tries at once what waits for a certificate or a revocation list. */
  recheck(): void
  /**
   * Stops handing out, waits for handlers, acknowledges, closes the channel, closes the seen store.
   * @param options - `timeoutMs` for the handlers, default 30 000; `graceMs` until their signals fire, default 0
   * @returns how many messages were taken and not finished: the broker has them
   */
  stop(options?: { timeoutMs?: number; graceMs?: number }): Promise<number>
}
