/**
 * Opens envelopes, in the order of docs/PROTOCOL.md "Order of opening": what is cheap and what anyone can forge comes
 * first, and nothing is believed before the signature. Synchronous once `sodiumReady()` has resolved, unless the bucket of
 * key agreements is empty.
 */
import type { Sender } from '../bus.js'
import { equal, toHex } from '../bytes.js'
import { type Head, parseHead, parseMessages } from '../codec/content.js'
import { asError } from '../errors.js'
import { SKEW_MS, type WireMessage } from '../wire.js'
import { type Bucket, createBucket } from './bucket.js'
import { type Header, openEnvelope, parseHeader, signedBytes } from './envelope.js'
import { sha256Hex } from './kdf.js'
import type { CardOffer, Certificate, Directory, Identity, SealingKey, Trust } from './peers.js'
import { agreeSession, isSpent, type ReceiverSession, sessionKey } from './receiver-session.js'
import { checkedBodyLimit } from './sealer.js'
import type { NotOpened, Opened, Opener, OpenFailure, OpenResult } from './sealing.js'
import { createSessionCache } from './sessions.js'
import { verifySignature } from './signature.js'

/** Sessions from senders that are kept at once. */
const MAX_SESSIONS = 32_768
const SWEEP_MS = 60_000 // 1 minute

export interface OpenerOptions {
  readonly identity: Identity
  readonly trust: Trust
  readonly directory: Directory
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Largest body in bytes, 1 KiB..8 MiB. Default 1 MiB. */
  readonly bodyLimit?: number
  /** Default: 2 000 key agreements a second, 10 000 at once. */
  readonly bucket?: Bucket
  /** Called for each card that rode on an authenticated envelope and was not known yet; `conflict` deserves an alarm. */
  readonly onCard?: (outcome: CardOffer | 'refused', from: Sender) => void
}

/** An {@link Opener} whose sessions can be ended. */
export interface SessionOpener extends Opener {
  /** Overwrites sessions that are past their hour or whose sealing key is gone: call it when a key was destroyed. */
  endSessions(): void
}

/** What the AEAD has let pass. n.b. anyone can make it: cards are public. */
interface Unverified {
  readonly header: Header
  readonly session: ReceiverSession
  readonly signature: Uint8Array
  readonly content: Uint8Array
  /** 64 hex digits. */
  readonly contentHash: string
}

type Step<T> = { readonly ok: true; readonly value: T } | NotOpened

/** Creates the receiver's half. @throws RangeError for a body limit out of range */
export function createOpener(options: OpenerOptions): SessionOpener {
  const { identity, trust, directory, now, bucket = createBucket() } = options
  const bodyLimit = checkedBodyLimit(options.bodyLimit)
  const sessions = createSessionCache<ReceiverSession>(MAX_SESSIONS)
  let sweptAtMs = now()

  function open(body: Uint8Array, paid: boolean): OpenResult | Promise<OpenResult> {
    const nowMs = now()
    if (body.length > bodyLimit)
      return failure('not-an-envelope', `${body.length} bytes, allowed are ${bodyLimit}`)
    const header = parseHeader(body, trust.suites)
    if (header === 'not-an-envelope') return failure(header, 'too short, or of an unknown version')
    if (header === 'unknown-suite')
      return failure(header, 'its suite is unknown or not allowed by the trust file')
    const key = ownKey(header)
    if (!key.ok) return key
    const cacheKey = sessionKey(header, key.value)
    const cached = sessions.find(cacheKey, nowMs)
    if (cached !== undefined) {
      const result = openIn(cached, header, body, nowMs)
      // n.b. who has its secret and no signing key makes us verify in vain: only so often for one key agreement
      if (!result.ok && isSpent(cached, result.reason)) sessions.drop(cacheKey)
      return result
    }
    if (!paid) {
      const token = bucket.take()
      if (token === false) return failure('overloaded', 'too many envelopes wait for a key agreement')
      if (token !== true) return token.then(() => open(body, true))
    }
    return openInNewSession(cacheKey, key.value, header, body, nowMs)
  }

  function ownKey(header: Header): Step<SealingKey> {
    const keyIdHex = toHex(header.keyId)
    const key = identity.sealingKey(keyIdHex)
    if (key !== undefined && key.suite === header.suite.id) return { ok: true, value: key }
    if (identity.destroyed(keyIdHex)) {
      sessions.sweep(now(), session => session.keyIdHex === keyIdHex)
      return failure('destroyed-key', `sealed to our key ${keyIdHex}, which has been destroyed`)
    }
    return failure('unknown-key', `sealed to key ${keyIdHex}, which was never ours`)
  }

  /** Kept only where an envelope has verified: a flood of made-up `enc` fills nothing. */
  function openInNewSession(
    cacheKey: string,
    key: SealingKey,
    header: Header,
    body: Uint8Array,
    nowMs: number,
  ): OpenResult {
    if (nowMs - sweptAtMs > SWEEP_MS) endSessions()
    const session = agreeSession(header, key, identity.certificate, nowMs)
    if (session === undefined) return failure('bad-tag', 'its enc is a point of low order')
    const result = openIn(session, header, body, nowMs)
    if (result.ok || result.from !== undefined) sessions.keep(cacheKey, session)
    else session.secret.erase()
    return result
  }

  function openIn(session: ReceiverSession, header: Header, body: Uint8Array, nowMs: number): OpenResult {
    const plain = openEnvelope(session.secret, header, body)
    if (plain === undefined)
      return failure('bad-tag', 'the AEAD refuses: damaged, or sealed to another party')
    const parsed = attempt('malformed', () => parseHead(plain.content))
    if (!parsed.ok) return parsed
    const { head, messagesAt } = parsed.value
    const { signature, content } = plain
    // n.b. spelt out: spreading an object cost 8 µs here
    const unverified: Unverified = { header, session, signature, content, contentHash: sha256Hex(content) }
    const sender = authenticate(unverified, head, nowMs)
    if (!sender.ok) return sender
    return accept(unverified, head, messagesAt, senderOf(sender.value), nowMs)
  }

  /** The certificate by which the signature is right: among those known under this id, else the attached one. */
  function authenticate(unverified: Unverified, head: Head, nowMs: number): Step<Certificate> {
    let refused: NotOpened | undefined
    for (const certificate of trust.find(head.certId, nowMs)) {
      const step = checkSignature(unverified, certificate, nowMs)
      if (step.ok) return step
      refused ??= step
    }
    if (refused !== undefined && head.chain === undefined) return refused
    if (head.chain === undefined)
      return failure('unknown-certificate', 'its certificate is neither known nor attached')
    const attached = attachedCertificate(head, head.chain, nowMs)
    const step = attached.ok ? checkSignature(unverified, attached.value, nowMs) : attached
    return step.ok ? step : (refused ?? step)
  }

  function attachedCertificate(head: Head, chain: readonly Uint8Array[], nowMs: number): Step<Certificate> {
    const verified = attempt('untrusted-certificate', () => trust.verify(chain, nowMs))
    if (verified.ok && !equal(verified.value.hash.subarray(0, 8), head.certId)) {
      return failure('malformed', 'the attached certificate is not the one that the head names')
    }
    return verified
  }

  function checkSignature(
    unverified: Unverified,
    certificate: Certificate,
    nowMs: number,
  ): Step<Certificate> {
    const revocation = trust.revocation(certificate, nowMs)
    if (revocation === 'stale')
      return failure('stale-revocation', 'the revocation list is older than its maximum age')
    if (revocation === 'revoked')
      return failure('revoked', `the certificate of ${certificate.address} is revoked`)
    const contentHash = Buffer.from(unverified.contentHash, 'hex')
    const data = signedBytes({
      header: unverified.header.bytes,
      recipient: unverified.session.recipient,
      publicKeyHash: unverified.session.publicKeyHash,
      certHash: certificate.hash,
      contentHash,
    })
    if (verifySignature(certificate.publicKey, data, unverified.signature))
      return { ok: true, value: certificate }
    return failure('bad-signature', `not signed by ${certificate.address}, or not for us`)
  }

  /** From here on it is known who speaks. */
  function accept(
    unverified: Unverified,
    head: Head,
    messagesAt: number,
    from: Sender,
    nowMs: number,
  ): OpenResult {
    const parsed = attempt('malformed', () => parseMessages(unverified.content, messagesAt, head), from)
    if (!parsed.ok) return parsed
    const messages = parsed.value
    const latest = messages.reduce((time, message) => Math.max(time, message.createdAtMs), head.createdAtMs)
    if (latest > nowMs + SKEW_MS) return failure('clock-ahead', `created ${latest - nowMs} ms from now`, from)
    if (head.card !== undefined) learn(head.card, from, nowMs)
    const { epoch, seq, floor, open, createdAtMs, predecessor } = head
    const opened: Opened = {
      ok: true,
      from,
      envelopeId: toHex(unverified.header.envelopeId),
      contentHash: unverified.contentHash,
      epoch,
      seq,
      floor,
      open,
      createdAtMs,
      messages: withinLifetime(messages, identity.card.lifetimeSeconds),
    }
    return predecessor === undefined ? opened : { ...opened, predecessor }
  }

  /** n.b. a card that is refused costs its sender the answer, never the message that it rode on. */
  function learn(card: Uint8Array, from: Sender, nowMs: number): void {
    const known = directory.find(from)
    if (known !== undefined && equal(known.bytes, card)) return
    const offered = attempt('malformed', () => directory.offer(card, nowMs))
    options.onCard?.(offered.ok ? offered.value : 'refused', from)
  }

  function endSessions(): void {
    sweptAtMs = now()
    sessions.sweep(sweptAtMs, session => identity.sealingKey(session.keyIdHex) === undefined)
  }

  return { open: body => open(body, false), endSessions }
}

/** A ttl longer than our own limit counts as our limit: what we remember of numbers ends there. */
function withinLifetime(messages: readonly WireMessage[], limit: number): readonly WireMessage[] {
  if (messages.every(message => message.ttlSeconds <= limit)) return messages
  return messages.map(message => ({ ...message, ttlSeconds: Math.min(message.ttlSeconds, limit) }))
}

function senderOf({ domain, address, role, fingerprint }: Certificate): Sender {
  return { domain, address, role, fingerprint }
}

function failure(reason: OpenFailure, detail: string, from?: Sender): NotOpened {
  return from === undefined ? { ok: false, reason, detail } : { ok: false, reason, detail, from }
}

function attempt<T>(reason: OpenFailure, step: () => T, from?: Sender): Step<T> {
  try {
    return { ok: true, value: step() }
  } catch (error) {
    return failure(reason, asError(error).message, from)
  }
}
