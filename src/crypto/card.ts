/**
 * Cards (docs/PROTOCOL.md): a party's sealing keys, signed by its identity key. CBOR [body, signature, chain].
 * Self-proving: a folder, a peer's envelope and the bus are equally good sources, none is trusted. Pure: the time is given.
 */
import type { KeyObject } from 'node:crypto'
import { concat, equal, lp } from '../bytes.js'
import { type CborValue, decodeCbor, encodeCbor } from '../codec/cbor.js'
import { SealbusError } from '../errors.js'
import { DEFAULT_LIFETIME_S, MAX_LIFETIME_S, SKEW_MS } from '../wire.js'
import { type ParsedCertificate, parseCertificate } from './certificate.js'
import { signP256 } from './ecdsa.js'
import { array, bytes, fields, integer, text } from './fields.js'
import { ADDRESS, DOMAIN } from './leaf-profile.js'
import type { Card, Certificate, Trust } from './peers.js'
import type { Recipient } from './sealing.js'
import { SIGNATURE_BYTES, verifySignature } from './signature.js'

/** Larger cards are refused unread: chain ≤ 4 KiB, and a key of each suite. */
export const MAX_CARD_BYTES = 8192
/** How long a card lives unless asked otherwise. */
export const DEFAULT_CARD_LIFETIME_MS: number = 30 * 24 * 3600_000
/** Inbox kinds by their number in field 9. */
export const INBOX_KINDS: readonly Recipient['inbox'][] = ['quorum', 'classic', 'transient']
/** Bytes of a public sealing key by suite; a card may offer suites that are not here. */
const PUBLIC_KEY_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 32],
  [2, 1216],
])
const MAX_KEYS = 8
const MAX_SECONDS = 2 ** 40

/** What a card says. */
export interface CardBody {
  readonly domain: string
  readonly address: string
  /** max(signing time in ms, last + 1) */
  readonly counter: number
  /** Whole seconds on the wire. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Best first: `[suite, public key]`. */
  readonly keys: readonly (readonly [number, Uint8Array])[]
  /** L: the longest lifetime of a message to this party, seconds. */
  readonly lifetimeSeconds: number
  /** certHash of the signer's leaf, 32 bytes. */
  readonly certHash: Uint8Array
  readonly inbox: Recipient['inbox']
}

/** A card as it came: nothing believed yet. */
export interface SignedCard extends CardBody {
  readonly body: Uint8Array
  readonly signature: Uint8Array
  /** Leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
}

const signedBytes = (body: Uint8Array): Uint8Array => concat(lp('sealbus-v1 card'), body)

function encodeBody(card: CardBody): Uint8Array {
  return encodeCbor(
    new Map<number, CborValue>([
      [1, card.domain],
      [2, card.address],
      [3, card.counter],
      [4, Math.floor(card.notBeforeMs / 1000)],
      [5, Math.floor(card.notAfterMs / 1000)],
      [6, card.keys.map(([suite, publicKey]) => [suite, publicKey])],
      [7, card.lifetimeSeconds],
      [8, card.certHash],
      [9, INBOX_KINDS.indexOf(card.inbox)],
    ]),
  )
}

/** Writes a card; `sign` is given the bytes to be signed and returns r ‖ s, 64 bytes. */
export function encodeCard(
  card: CardBody,
  chain: readonly Uint8Array[],
  sign: (data: Uint8Array) => Uint8Array,
): Uint8Array {
  const body = encodeBody(card)
  return encodeCbor([body, sign(signedBytes(body)), [...chain]])
}

/** Reads a card without believing it. @throws SealbusError `untrusted` when malformed */
export function parseCard(input: Uint8Array): SignedCard {
  if (input.length > MAX_CARD_BYTES)
    throw refuse(`expected at most ${MAX_CARD_BYTES} bytes, got ${input.length}`)
  try {
    const [bodyItem, signatureItem, chainItem] = array(decodeCbor(input), 'card', 3)
    const body = bytes(bodyItem, 'body')
    const signature = bytes(signatureItem, 'signature', SIGNATURE_BYTES)
    const chain = array(chainItem, 'chain').map(der => bytes(der, 'chain'))
    return { ...parseBody(body), body, signature, chain }
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function parseBody(body: Uint8Array): CardBody {
  const at = fields(decodeCbor(body), 'body', [1, 2, 3, 4, 5, 6, 7, 8, 9])
  return {
    domain: text(at(1), 'domain', DOMAIN),
    address: text(at(2), 'address', ADDRESS),
    counter: integer(at(3), 'counter', 0),
    notBeforeMs: integer(at(4), 'notBefore', 0, MAX_SECONDS) * 1000,
    notAfterMs: integer(at(5), 'notAfter', 0, MAX_SECONDS) * 1000,
    keys: parseKeys(at(6)),
    lifetimeSeconds: integer(at(7), 'L', 1, MAX_LIFETIME_S),
    certHash: bytes(at(8), 'certHash', 32),
    inbox: INBOX_KINDS[integer(at(9), 'inbox kind', 0, INBOX_KINDS.length - 1)] ?? 'quorum',
  }
}

function parseKeys(value: CborValue | undefined): [number, Uint8Array][] {
  const keys = array(value, 'keys').map((entry): [number, Uint8Array] => {
    const [suiteItem, keyItem] = array(entry, 'keys', 2)
    const suite = integer(suiteItem, 'suite', 1, 255)
    return [suite, bytes(keyItem, 'public key', PUBLIC_KEY_BYTES.get(suite))]
  })
  if (keys.length < 1 || keys.length > MAX_KEYS)
    throw new RangeError(`keys: expected 1..${MAX_KEYS}, got ${keys.length}`)
  return keys
}

/**
 * Reads a card and accepts it, or refuses. An expired card is judged by its last moment: it is still known whose it is,
 * and that it is over.
 * @throws SealbusError `untrusted`, its message naming the first rule that was broken
 */
export function verifyCard(input: Uint8Array, trust: Trust, nowMs: number): Card {
  const card = parseCard(input)
  const certificate = trust.verify(card.chain, Math.min(nowMs, card.notAfterMs))
  expectSigner(card, certificate)
  expectTimes(card, certificate, nowMs)
  return Object.freeze({
    domain: card.domain,
    address: card.address,
    role: certificate.role,
    lifetimeSeconds: card.lifetimeSeconds,
    inbox: card.inbox,
    counter: card.counter,
    notBeforeMs: card.notBeforeMs,
    // n.b. an intermediate may end before the leaf
    notAfterMs: Math.min(card.notAfterMs, certificate.notAfterMs),
    keys: card.keys,
    certificate,
    bytes: input.slice(),
  })
}

function expectSigner(card: SignedCard, certificate: Certificate): void {
  const { domain, address } = certificate
  if (card.domain !== domain || card.address !== address)
    throw refuse(`expected the card of ${domain}/${address}, got one of ${card.domain}/${card.address}`)
  if (!equal(card.certHash, certificate.hash))
    throw refuse(`of ${address}: field 8 is not the hash of its certificate`)
  if (!verifySignature(certificate.publicKey, signedBytes(card.body), card.signature))
    throw refuse(`of ${address}: its signature is wrong`)
}

function expectTimes(card: SignedCard, certificate: Certificate, nowMs: number): void {
  const { address, counter, notBeforeMs, notAfterMs } = card
  if (notAfterMs <= notBeforeMs) throw refuse(`of ${address}: it ends before it begins`)
  if (notAfterMs > certificate.notAfterMs && notAfterMs > parseCertificate(certificate.der).notAfterMs)
    throw refuse(`of ${address}: expected it to end no later than its certificate`)
  if (counter > nowMs + SKEW_MS)
    throw refuse(`of ${address}: its counter lies in the future, check the clocks`)
  // n.b. who stole a key whose certificate has ended would else outdo every later card
  if (counter > notAfterMs + SKEW_MS) throw refuse(`of ${address}: its counter lies after its end`)
  if (notBeforeMs > nowMs + SKEW_MS) throw refuse(`of ${address}: it is not valid yet, check the clocks`)
}

/** What it takes to issue a card. */
export interface CardRequest {
  readonly domain: string
  /** One's own certificates in DER, leaf first, root left out. */
  readonly chain: readonly Uint8Array[]
  /** The identity key, or what signs with it: r ‖ s, 64 bytes. */
  readonly signer: KeyObject | ((data: Uint8Array) => Uint8Array)
  /** Best first: `[suite, public key]`. */
  readonly keys: readonly (readonly [number, Uint8Array])[]
  readonly nowMs: number
  /** Of the card before, where there was one. */
  readonly lastCounter?: number
  /** Default 30 days; at most until the leaf ends. */
  readonly cardLifetimeMs?: number
  /** L, seconds. Default 24 hours, at most 7 days. */
  readonly lifetimeSeconds?: number
  /** Default `quorum`. */
  readonly inbox?: Recipient['inbox']
}

/**
 * Issues a card for the address that the leaf names: valid from now, with a counter above the last one's.
 * @throws SealbusError `identity` where the leaf has ended
 */
export function issueCard(request: CardRequest): Uint8Array {
  const { domain, chain, signer, keys, nowMs, lastCounter = -1, inbox = 'quorum' } = request
  const leaf = ownLeaf(chain, nowMs)
  const lifetimeSeconds = request.lifetimeSeconds ?? DEFAULT_LIFETIME_S
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > MAX_LIFETIME_S)
    throw new RangeError(`lifetimeSeconds: expected 1..${MAX_LIFETIME_S}, got ${lifetimeSeconds}`)
  const body: CardBody = {
    domain,
    address: leaf.commonNames[0] ?? '',
    counter: Math.max(nowMs, lastCounter + 1),
    notBeforeMs: nowMs,
    notAfterMs: Math.min(nowMs + (request.cardLifetimeMs ?? DEFAULT_CARD_LIFETIME_MS), leaf.notAfterMs),
    keys,
    lifetimeSeconds,
    certHash: leaf.hash,
    inbox,
  }
  return encodeCard(body, chain, typeof signer === 'function' ? signer : data => signP256(signer, data))
}

function ownLeaf([der]: readonly Uint8Array[], nowMs: number): ParsedCertificate {
  if (der === undefined) throw new TypeError('chain: expected at least the leaf')
  const leaf = parseCertificate(der)
  if (leaf.notAfterMs <= nowMs)
    throw new SealbusError('identity', 'card: the certificate has expired, renew it before its card')
  return leaf
}

function refuse(message: string, cause?: unknown): SealbusError {
  return new SealbusError('untrusted', `card ${message}`, cause === undefined ? undefined : { cause })
}
