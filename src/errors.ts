/**
 * Every error that sealbus throws or rejects with on purpose. Users switch on `code`; loops ask `retryable`.
 * Wrong kinds of argument are `TypeError`, wrong sizes `RangeError`; everything else is a {@link SealbusError}.
 *
 * n.b. no message or property of an error may hold a payload, a private key or a passphrase.
 */

/** What went wrong, as a stable word. */
export type ErrorCode =
  // the message: this call can never succeed
  | 'invalid-message' // type, header, date or size of a field is not allowed
  | 'payload-too-large' // the sealed body would pass the limit
  | 'message-expired' // it expired before it was confirmed, or already when given
  | 'unknown-recipient' // no card of that party is known
  | 'recipient-expired' // the recipient's card or certificate has expired
  | 'not-permitted' // the policy does not allow this type between these parties
  | 'certificate-expires' // our own certificate would expire before the message
  | 'quarantined' // alone in flight at two deaths of its channel
  | 'not-handled' // the recipient's receipt says: rejected or parked
  | 'purged' // taken out of the outbox by the operator
  // the way: the same call may succeed later
  | 'unroutable' // the broker has no inbox for the recipient
  | 'buffer-full' // the memory or outbox bound is reached
  | 'outcome-unknown' // aborted or closed while it was under way: it may still arrive
  | 'request-timeout' // no reply in time
  | 'revocation-stale' // the revocation list is older than its maximum age
  | 'connection-lost' // channel or connection died; outcome unknown
  | 'broker-refused' // the broker closed a channel with a reason of its own (406, 404, …)
  | 'unauthorised' // certificate or user refused, permission missing, vhost missing
  | 'timeout' // a deadline of a step passed
  // the installation: somebody has to mend something
  | 'closed' // the bus is closed or closing
  | 'configuration' // an option or a file is wrong
  | 'identity' // identity folder incomplete, key and certificate do not belong together, …
  | 'untrusted' // a certificate, card or list that the trust file does not accept
  | 'request-refused' // request() where replies could reach another process
  | 'corrupt-store' // outbox or seen file damaged elsewhere than at its end
  | 'store-failed' // fsync or write failed: final
  | 'random-failed' // no randomness: nothing is sent
  | 'handler-failing' // consuming pauses: the handler fails for all senders

const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'unroutable',
  'buffer-full',
  'outcome-unknown',
  'request-timeout',
  'revocation-stale',
  'connection-lost',
  'broker-refused',
  'unauthorised',
  'timeout',
])

/** An error with a stable code, and whether the same call may succeed later. */
export class SealbusError extends Error {
  override readonly name: string = 'SealbusError'
  readonly code: ErrorCode
  /** The same call may succeed later without any change. */
  readonly retryable: boolean

  /**
   * @param code - stable word for programs
   * @param message - what was expected, what came, what to do: for people
   * @param options - `cause`: the underlying error, for the operator
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    this.retryable = RETRYABLE.has(code)
  }
}

/** True for a {@link SealbusError}, of the given code when one is named. */
export function isSealbusError(error: unknown, code?: ErrorCode): error is SealbusError {
  return error instanceof SealbusError && (code === undefined || error.code === code)
}

/** Whatever was thrown, as an `Error`. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
