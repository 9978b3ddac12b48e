/** Makes envelopes: the sending half of docs/PROTOCOL.md. Synchronous once `sodiumReady()` has resolved. */
import type { Party, Sender } from '../bus.js'
import { toHex } from '../bytes.js'
import { contentOverhead, type Extras, encodeContent, type Head } from '../codec/content.js'
import { messageSize } from '../codec/message.js'
import { SealbusError } from '../errors.js'
import { DEFAULT_BODY_LIMIT, MAX_BODY_LIMIT, partyKey, type WireMessage } from '../wire.js'
import {
  ENVELOPE_RANDOM_BYTES,
  encodeHeader,
  headerBytes,
  partyBytes,
  SEAL_BYTES,
  sealEnvelope,
  sessionInfo,
  signedBytes,
  syntheticEnvelopeId,
} from './envelope.js'
import { sha256, sha256Hex } from './kdf.js'
import type { Card, Certificate, Directory, Identity, Trust } from './peers.js'
import { checkedRandom, createRandomStock, type RandomSource } from './random.js'
import type { Recipient, SealedEnvelope, Sealer, SealRequest } from './sealing.js'
import { createSessionCache, type Session } from './sessions.js'
import { HmacKey } from './sodium.js'
import { keyIdOf, type Suite, suiteOf } from './suites.js'

/** Sessions to recipients that are kept at once. */
const MAX_SESSIONS = 16_384

export interface SealerOptions {
  readonly identity: Identity
  readonly trust: Trust
  readonly directory: Directory
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Largest body in bytes, 1 KiB..8 MiB. Default 1 MiB. */
  readonly bodyLimit?: number
  /** Random bytes. Default `crypto.randomBytes`. */
  readonly random?: RandomSource
}

interface SenderSession extends Session {
  readonly card: Card
  readonly suite: Suite
  readonly keyId: Uint8Array
  readonly enc: Uint8Array
  readonly publicKeyHash: Uint8Array
  /** The recipient as bytes. */
  readonly recipient: Uint8Array
}

/** Creates the sender's half. @throws RangeError for a body limit out of range */
export function createSealer(options: SealerOptions): Sealer {
  const { identity, trust, directory, now } = options
  const bodyLimit = checkedBodyLimit(options.bodyLimit)
  const random = checkedRandom(options.random ?? createRandomStock())
  const sessions = createSessionCache<SenderSession>(MAX_SESSIONS)
  directory.onNew(card => sessions.drop(partyKey(card)))

  /** The newest card of a party, if something may be sealed to it now. */
  function usableCard(to: Party, nowMs: number): Card {
    const card = directory.find(to)
    if (card === undefined) {
      throw new SealbusError(
        'unknown-recipient',
        `no card of ${partyKey(to)} is known: check the address and the policy, and put the card into the folder cards/ of the identity (sealbus pki does when it issues the party)`,
      )
    }
    if (endOf(card) <= nowMs) {
      throw new SealbusError(
        'recipient-expired',
        `the card of ${partyKey(to)} ended at ${isoTime(endOf(card))}: fetch its new one`,
      )
    }
    const revocation = trust.revocation(card.certificate, nowMs)
    if (revocation === 'revoked')
      throw new SealbusError('untrusted', `the certificate of ${partyKey(to)} is revoked`)
    if (revocation === 'stale') {
      throw new SealbusError(
        'revocation-stale',
        'the revocation list is older than its maximum age: fetch a new one',
      )
    }
    return card
  }

  function sessionTo(card: Card, nowMs: number): SenderSession {
    const key = partyKey(card)
    const kept = sessions.find(key, nowMs)
    if (kept?.card === card) return kept
    const session = newSession(card, nowMs)
    sessions.keep(key, session)
    return session
  }

  function newSession(card: Card, nowMs: number): SenderSession {
    const [suite, publicKey] = bestKey(card)
    const seed = random(suite.seedBytes)
    const made = suite.encapsulate(publicKey, sessionInfo(suite.id, card), seed)
    seed.fill(0)
    if (made === undefined)
      throw new SealbusError('untrusted', `the sealing key of ${partyKey(card)} is a point of low order`)
    const keyId = keyIdOf(suite.id, publicKey)
    const [recipient, publicKeyHash] = [partyBytes(card), sha256(publicKey)]
    const secret = new HmacKey(made.secret)
    made.secret.fill(0)
    return { enc: made.enc, secret, card, suite, keyId, publicKeyHash, recipient, createdAtMs: nowMs }
  }

  /** The first key on the card that the floor allows and we have a suite for. */
  function bestKey(card: Card): [Suite, Uint8Array] {
    for (const [id, publicKey] of card.keys) {
      const suite = trust.suites.has(id) ? suiteOf(id) : undefined
      if (suite !== undefined && publicKey.length === suite.publicKeyBytes) return [suite, publicKey]
    }
    throw new SealbusError(
      'untrusted',
      `the card of ${partyKey(card)} offers no suite that the trust file allows`,
    )
  }

  function extras(introduce: boolean): Extras {
    return introduce ? { chain: identity.certificate.chain, card: identity.card.bytes } : {}
  }

  function sealIn(session: SenderSession, certificate: Certificate, content: Uint8Array): SealedEnvelope {
    const { suite, keyId, enc, secret, recipient, publicKeyHash } = session
    const hash = sha256Hex(content)
    const contentHash = Buffer.from(hash, 'hex')
    const envelopeId = syntheticEnvelopeId(secret, random(ENVELOPE_RANDOM_BYTES), contentHash)
    const bytes = encodeHeader({ suite, keyId, enc, envelopeId })
    const signature = identity.sign(
      signedBytes({
        header: bytes,
        recipient,
        publicKeyHash,
        certHash: certificate.hash,
        contentHash,
      }),
    )
    const body = sealEnvelope(secret, { bytes, envelopeId }, signature, content)
    return { id: toHex(envelopeId), body, contentHash: hash }
  }

  return {
    get self(): Sender {
      const { domain, address, role, fingerprint } = identity.certificate
      return { domain, address, role, fingerprint }
    },
    get notAfterMs() {
      return identity.certificate.notAfterMs
    },
    bodyLimit,
    recipient: to => recipientOf(usableCard(to, now())),
    size: messageSize,
    overhead: introduce => largestHeader(trust) + SEAL_BYTES + contentOverhead(extras(introduce)),

    seal(request) {
      const nowMs = now()
      const { certificate } = identity
      if (certificate.notAfterMs <= nowMs) {
        throw new SealbusError(
          'certificate-expires',
          `our certificate ended at ${isoTime(certificate.notAfterMs)}: renew it`,
        )
      }
      const card = usableCard(request.to, nowMs)
      const content = encoded({
        head: headOf(request, certificate, card, nowMs, extras(request.introduce)),
        messages: request.messages,
      })
      const session = sessionTo(card, nowMs)
      const size = headerBytes(session.suite) + SEAL_BYTES + content.length
      if (size > bodyLimit) {
        throw new SealbusError(
          'payload-too-large',
          `the envelope would have ${size} bytes, allowed are ${bodyLimit}: send less at once`,
        )
      }
      return sealIn(session, certificate, content)
    },
  }
}

function headOf(
  request: SealRequest,
  certificate: Certificate,
  card: Card,
  nowMs: number,
  extras: Extras,
): Head {
  const { epoch, seq, floor, open, messages, predecessor } = request
  const createdAtMs = messages.reduce(
    (least, message) => Math.min(least, message.createdAtMs),
    messages[0]?.createdAtMs ?? nowMs,
  )
  const ttlSeconds = messages[0]?.ttlSeconds ?? card.lifetimeSeconds
  const certId = certificate.hash.subarray(0, 8)
  const head: Head = { certId, epoch, seq, floor, open, createdAtMs, ttlSeconds }
  // n.b. assigned where there is something: spreading nothing into every head cost 3 µs
  return predecessor || extras.chain ? Object.assign(head, extras, predecessor && { predecessor }) : head
}

function encoded(content: { head: Head; messages: readonly WireMessage[] }): Uint8Array {
  try {
    return encodeContent(content)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new SealbusError('invalid-message', error.message, { cause: error })
  }
}

function recipientOf(card: Card): Recipient {
  const { domain, address, role, lifetimeSeconds, inbox } = card
  return { domain, address, role, lifetimeSeconds, inbox, notAfterMs: endOf(card) }
}

function endOf(card: Card): number {
  return Math.min(card.notAfterMs, card.certificate.notAfterMs)
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

function largestHeader(trust: Trust): number {
  const sizes = [...trust.suites].map(id => suiteOf(id)).map(suite => (suite ? headerBytes(suite) : 0))
  return Math.max(0, ...sizes)
}

/** @throws RangeError */
export function checkedBodyLimit(limit: number = DEFAULT_BODY_LIMIT): number {
  if (!Number.isInteger(limit) || limit < 1024 || limit > MAX_BODY_LIMIT) {
    throw new RangeError(`bodyLimit: expected 1024..${MAX_BODY_LIMIT} bytes, got ${limit}`)
  }
  return limit
}
