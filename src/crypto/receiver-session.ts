/**
 * A session at the receiver: what one key agreement has given, by which the envelopes of one sender are opened for up to an
 * hour, and how often one of them made us verify a signature in vain.
 */
import { toHex } from '../bytes.js'
import { type Header, partyBytes, sessionInfo } from './envelope.js'
import { sha256 } from './kdf.js'
import type { Certificate, SealingKey } from './peers.js'
import type { OpenFailure } from './sealing.js'
import type { Session } from './sessions.js'
import { HmacKey } from './sodium.js'

/** Signatures that a session may cost in vain. */
const MAX_VAIN = 8
/** n.b. not `bad-tag`: whoever sees a body can make those, and would end the sessions of others. */
const VAIN: ReadonlySet<OpenFailure> = new Set(['bad-signature', 'untrusted-certificate'])

export interface ReceiverSession extends Session {
  readonly keyIdHex: string
  readonly publicKeyHash: Uint8Array
  /** Ourselves as bytes. */
  readonly recipient: Uint8Array
  /** Signatures that were verified in vain. */
  vain: number
}

/** Agrees on a session; undefined where `enc` is a point of low order. */
export function agreeSession(
  header: Header,
  key: SealingKey,
  self: Certificate,
  nowMs: number,
): ReceiverSession | undefined {
  const { suite, enc } = header
  const info = sessionInfo(suite.id, self)
  const secret = key.withPrivateKey(sk => suite.decapsulate(enc, sk, key.publicKey, info))
  if (secret === undefined) return undefined
  const session = {
    secret: new HmacKey(secret),
    createdAtMs: nowMs,
    keyIdHex: toHex(key.keyId),
    publicKeyHash: sha256(key.publicKey),
    recipient: partyBytes(self),
    vain: 0,
  }
  secret.fill(0)
  return session
}

/** Counts the failure; true where the session has to end: whoever goes on pays for a new one, which the bucket limits. */
export function isSpent(session: ReceiverSession, reason: OpenFailure): boolean {
  if (VAIN.has(reason)) session.vain += 1
  return session.vain >= MAX_VAIN
}

/** The cache's key: suite ‖ pkR ‖ enc, all bytes. */
export function sessionKey(header: Header, key: SealingKey): string {
  return `${header.suite.id}${latin1(key.publicKey)}${latin1(header.enc)}`
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
