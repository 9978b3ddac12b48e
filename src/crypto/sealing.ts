/**
 * The seam between the layers that move envelopes and the one that makes and opens them. Contract only.
 * reliability/ and the composition know sealing by these types; nothing of them shows a key.
 */
import type { Party, Sender } from '../bus.js'
import type { LaneNumbers, Predecessor, WireMessage } from '../wire.js'

/** What is known of a recipient before anything is sealed for it. */
export interface Recipient extends Party {
  readonly role: string
  /** Longest lifetime of a message, seconds (the card's L). */
  readonly lifetimeSeconds: number
  /** When its card or leaf ends, ms: nothing is sealed to it after that. */
  readonly notAfterMs: number
  readonly inbox: 'quorum' | 'classic' | 'transient'
}

export interface SealRequest extends LaneNumbers {
  readonly to: Party
  /** 0..1024; none is a floor notice. */
  readonly messages: readonly WireMessage[]
  /** Attach certificate chain and card. */
  readonly introduce: boolean
  readonly predecessor?: Predecessor
}

export interface SealedEnvelope {
  /** Envelope id, 32 hex digits. */
  readonly id: string
  readonly body: Uint8Array
  /** SHA-256 of the content, 64 hex digits. */
  readonly contentHash: string
}

export interface Sealer {
  /** One's own party and role. */
  readonly self: Sender
  /** When one's own certificate ends, ms: no message may expire later. */
  readonly notAfterMs: number
  /** Largest body, bytes. */
  readonly bodyLimit: number
  /**
   * The recipient as its newest accepted card says.
   * @throws SealbusError `unknown-recipient`, `recipient-expired`, `untrusted`, `revocation-stale`
   */
  recipient(to: Party): Recipient
  /** Bytes that one message adds to an envelope, exactly or slightly more: for filling batches. */
  size(message: WireMessage): number
  /** Bytes of an envelope without messages, at most. */
  overhead(introduce: boolean): number
  /**
   * Seals and signs one envelope. Synchronous: the order of calls is the order of numbers.
   * @throws SealbusError as {@link Sealer.recipient}; `payload-too-large`; `invalid-message`; `certificate-expires`; `random-failed`
   */
  seal(request: SealRequest): SealedEnvelope
}

/** Why a body did not open; the row of the table in docs/PROTOCOL.md. */
export type OpenFailure =
  | 'not-an-envelope' // too short, too long, unknown version
  | 'unknown-suite' // suite unknown or outside the floor
  | 'unknown-key' // sealed to a key that was never ours
  | 'destroyed-key' // sealed to a key that was ours and is destroyed
  | 'bad-tag' // the AEAD refuses
  | 'bad-signature' // the signature refuses: forged, other recipient, other certificate
  | 'malformed' // signed, but not what the specification allows
  | 'unknown-certificate' // neither known nor attached
  | 'untrusted-certificate' // path, date, usage, constraint
  | 'revoked' // the sender's certificate is on the list
  | 'stale-revocation' // the list is older than its maximum age: pause
  | 'clock-ahead' // created more than 120 s from now: hold
  | 'overloaded' // the KEM bucket stayed empty until the given signal fired

export interface Opened extends LaneNumbers {
  readonly ok: true
  readonly from: Sender
  readonly envelopeId: string
  readonly contentHash: string
  readonly createdAtMs: number
  readonly messages: readonly WireMessage[]
  readonly predecessor?: Predecessor
}

export interface NotOpened {
  readonly ok: false
  readonly reason: OpenFailure
  /** One sentence for the operator; no plaintext, no key. */
  readonly detail: string
  /** The body passed the AEAD and the signature: who sent it is known. */
  readonly from?: Sender
}

export type OpenResult = Opened | NotOpened

export interface Opener {
  /**
   * Opens one body. Never throws for what is in the bytes. A promise only where the KEM bucket is empty.
   * A valid card or chain inside is learnt.
   */
  open(body: Uint8Array): OpenResult | Promise<OpenResult>
}

/** Which types may go from whom to whom. Asked at both ends. */
export interface PolicyCheck {
  /**
   * The rule that allows it, or undefined: not allowed.
   * `maxAgeMs`: refuse older messages of this type, whatever their ttl.
   */
  permit(
    from: Party & { role: string },
    to: Party & { role: string },
    type: string,
  ): { maxAgeMs?: number } | undefined
}
