/**
 * The envelope, version 1: bytes in, bytes out; no clock, no cache, no key lookup. docs/PROTOCOL.md "Envelope".
 *
 * ```text
 * header   = 0x01 ‖ suite(1) ‖ keyId(8) ‖ enc ‖ envelopeId(16)
 * envelope = header ‖ ChaCha20-Poly1305(key, nonce, AAD = header, signature(64) ‖ content) ‖ tag(16)
 * ```
 */
import type { Party } from '../bus.js'
import { concat, lp } from '../bytes.js'
import { aeadOpen, aeadSeal } from './aead.js'
import { hkdfExpand, hmacSha256, type MacKey } from './kdf.js'
import { SIGNATURE_BYTES } from './signature.js'
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from './sodium.js'
import { KEY_ID_BYTES, type Suite, suiteOf } from './suites.js'

export const VERSION = 0x01
export const ENVELOPE_ID_BYTES = 16
/** Random bytes that one envelope takes. */
export const ENVELOPE_RANDOM_BYTES = 16
/** Everything in an envelope but header and content. */
export const SEAL_BYTES: number = SIGNATURE_BYTES + TAG_BYTES

const ID_LABEL = lp('sealbus-v1 id')
const KEY_LABEL = lp('sealbus-v1 key')
const SIGNATURE_LABEL = lp('sealbus-v1 envelope-signature')
const SESSION_INFO = concat(lp('sealbus-v1 session'), Uint8Array.of(VERSION))

export interface Header {
  readonly suite: Suite
  readonly keyId: Uint8Array
  readonly enc: Uint8Array
  readonly envelopeId: Uint8Array
  /** The header as received: AAD, and signed. */
  readonly bytes: Uint8Array
}

/** `lp(domain) ‖ lp(address)`. */
export function partyBytes(party: Party): Uint8Array {
  return concat(lp(party.domain), lp(party.address))
}

/** HPKE's `info` of a session to this recipient. */
export function sessionInfo(suite: number, recipient: Party): Uint8Array {
  return concat(SESSION_INFO, Uint8Array.of(suite), partyBytes(recipient))
}

/** Length of a suite's header. */
export function headerBytes(suite: Suite): number {
  return 2 + KEY_ID_BYTES + suite.encBytes + ENVELOPE_ID_BYTES
}

/** The inverse of {@link parseHeader}. */
export function encodeHeader(header: Omit<Header, 'bytes'>): Uint8Array {
  return concat(Uint8Array.of(VERSION, header.suite.id), header.keyId, header.enc, header.envelopeId)
}

/** Reads a header; says in a word what is wrong with the body. */
export function parseHeader(
  body: Uint8Array,
  allowed: ReadonlySet<number>,
): Header | 'not-an-envelope' | 'unknown-suite' {
  const id = body[1]
  if (body[0] !== VERSION || id === undefined) return 'not-an-envelope'
  const suite = allowed.has(id) ? suiteOf(id) : undefined
  if (suite === undefined) return 'unknown-suite'
  const length = headerBytes(suite)
  if (body.length <= length + SEAL_BYTES) return 'not-an-envelope'
  const encAt = 2 + KEY_ID_BYTES
  return {
    suite,
    keyId: body.subarray(2, encAt),
    enc: body.subarray(encAt, encAt + suite.encBytes),
    envelopeId: body.subarray(length - ENVELOPE_ID_BYTES, length),
    bytes: body.subarray(0, length),
  }
}

/**
 * The synthetic id: it mixes fresh randomness and the content, so that a repeated generator repeats an id (and with it key
 * and nonce) for the same content only. The receiver does not check it.
 */
export function syntheticEnvelopeId(secret: MacKey, random: Uint8Array, contentHash: Uint8Array): Uint8Array {
  return hmacSha256(secret, ID_LABEL, random, contentHash).subarray(0, ENVELOPE_ID_BYTES)
}

/** Key and nonce of one envelope, 44 bytes. */
export function envelopeKey(secret: MacKey, envelopeId: Uint8Array): Uint8Array {
  return hkdfExpand(secret, concat(KEY_LABEL, envelopeId), KEY_BYTES + NONCE_BYTES)
}

/** What the signature binds together. */
export interface Signed {
  readonly header: Uint8Array
  /** {@link partyBytes} of the recipient. */
  readonly recipient: Uint8Array
  readonly publicKeyHash: Uint8Array
  readonly certHash: Uint8Array
  readonly contentHash: Uint8Array
}

/** The bytes that are signed. n.b. from Buffer's pool, whose memory costs a fifth: for one signature, not to be kept. */
export function signedBytes({ header, recipient, publicKeyHash, certHash, contentHash }: Signed): Uint8Array {
  return Buffer.concat([SIGNATURE_LABEL, header, recipient, publicKeyHash, certHash, contentHash])
}

/** A header as both directions of the AEAD need it. */
type Sealable = Pick<Header, 'envelopeId' | 'bytes'>

/** Encrypts signature and content under a header: the whole envelope. */
export function sealEnvelope(
  secret: MacKey,
  header: Sealable,
  signature: Uint8Array,
  content: Uint8Array,
): Uint8Array {
  const envelope = new Uint8Array(header.bytes.length + SEAL_BYTES + content.length)
  envelope.set(header.bytes)
  const key = envelopeKey(secret, header.envelopeId)
  aeadSeal(key, header.bytes, [signature, content], envelope, header.bytes.length)
  key.fill(0)
  return envelope
}

/** The inverse of {@link sealEnvelope}: undefined where the tag is wrong. */
export function openEnvelope(
  secret: MacKey,
  header: Sealable,
  body: Uint8Array,
): { signature: Uint8Array; content: Uint8Array } | undefined {
  const key = envelopeKey(secret, header.envelopeId)
  const plaintext = aeadOpen(key, header.bytes, body.subarray(header.bytes.length))
  key.fill(0)
  if (plaintext === undefined) return undefined
  return { signature: plaintext.subarray(0, SIGNATURE_BYTES), content: plaintext.subarray(SIGNATURE_BYTES) }
}
