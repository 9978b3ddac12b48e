/**
 * The revocation list (docs/PROTOCOL.md): CBOR [body, signature, chain], signed by a delegated online key, with a rising
 * number and a maximum age. Pure: bytes and times in, a list or a state out.
 */
import type { KeyObject } from 'node:crypto'
import { concat, lp, toHex } from '../bytes.js'
import { type CborValue, decodeCbor, encodeCbor } from '../codec/cbor.js'
import { SealbusError } from '../errors.js'
import { SKEW_MS } from '../wire.js'
import type { ParsedCertificate } from './certificate.js'
import { signP256 } from './ecdsa.js'
import { array, bytes, fields, integer, text } from './fields.js'
import { DOMAIN, revocationSigner } from './leaf-profile.js'
import { type Path, validatePath } from './path.js'
import type { RevocationState } from './peers.js'
import { SIGNATURE_BYTES, verifySignature } from './signature.js'

/** Larger lists are refused unread. */
export const MAX_REVOCATION_LIST_BYTES: number = 1024 * 1024
const MAX_AGE_LIMIT_S: number = 366 * 24 * 3600

/** One certificate, by the key that issued it and its number. */
export interface RevokedSerial {
  /** SHA-256 of the issuer's SubjectPublicKeyInfo, 32 bytes. */
  readonly issuerSpkiSha256: Uint8Array
  /** Minimal unsigned big-endian. */
  readonly serial: Uint8Array
}

/** Every certificate of an address whose notBefore lies before that time. */
export interface RevokedAddress {
  readonly address: string
  readonly issuedBeforeMs: number
}

export interface RevocationList {
  readonly domain: string
  /** Rises with every list. */
  readonly number: number
  readonly issuedAtMs: number
  /** Seconds after which the list is stale. */
  readonly maxAgeSeconds: number
  readonly serials: readonly RevokedSerial[]
  readonly addresses: readonly RevokedAddress[]
}

/** A list as it came: nothing believed yet. */
export interface SignedRevocationList extends RevocationList {
  readonly body: Uint8Array
  readonly signature: Uint8Array
  /** The signer's chain, leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
}

const seconds = (ms: number): number => Math.floor(ms / 1000)
const signedBytes = (body: Uint8Array): Uint8Array => concat(lp('sealbus-v1 revocation-list'), body)

/** The list's body; entries sorted, so that the same content gives the same bytes. */
function encodeBody(list: RevocationList): Uint8Array {
  const serials = list.serials.map(({ issuerSpkiSha256, serial }) => [issuerSpkiSha256, serial])
  const addresses = list.addresses.map(({ address, issuedBeforeMs }) => [address, seconds(issuedBeforeMs)])
  return encodeCbor(
    new Map<number, CborValue>([
      [1, list.domain],
      [2, list.number],
      [3, seconds(list.issuedAtMs)],
      [4, list.maxAgeSeconds],
      [5, serials],
      [6, addresses],
    ]),
  )
}

/**
 * Writes and signs a list.
 * @param chain - the signer's certificates in DER, leaf first, root left out
 */
export function issueRevocationList(
  list: RevocationList,
  chain: readonly Uint8Array[],
  privateKey: KeyObject,
): Uint8Array {
  const body = encodeBody(list)
  return encodeCbor([body, signP256(privateKey, signedBytes(body)), [...chain]])
}

/** Reads a list without believing it. @throws SealbusError `untrusted` when malformed */
export function parseRevocationList(input: Uint8Array): SignedRevocationList {
  if (input.length > MAX_REVOCATION_LIST_BYTES)
    throw refuse(`expected at most ${MAX_REVOCATION_LIST_BYTES} bytes, got ${input.length}`)
  try {
    const [body, signature, chain] = array(decodeCbor(input), 'list', 3)
    const signed = { body: bytes(body, 'body'), signature: bytes(signature, 'signature', SIGNATURE_BYTES) }
    return {
      ...parseBody(signed.body),
      ...signed,
      chain: array(chain, 'chain').map(der => bytes(der, 'chain')),
    }
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function parseBody(body: Uint8Array): RevocationList {
  const at = fields(decodeCbor(body), 'body', [1, 2, 3, 4, 5, 6])
  return {
    domain: text(at(1), 'domain', DOMAIN),
    number: integer(at(2), 'number', 0),
    issuedAtMs: integer(at(3), 'issuedAt', 0, 2 ** 40) * 1000,
    maxAgeSeconds: integer(at(4), 'maxAge', 1, MAX_AGE_LIMIT_S),
    serials: array(at(5), 'serials').map(entry => {
      const [issuer, serial] = array(entry, 'serials', 2)
      return { issuerSpkiSha256: bytes(issuer, 'issuer', 32), serial: minimal(bytes(serial, 'serial')) }
    }),
    addresses: array(at(6), 'addresses').map(entry => {
      const [address, before] = array(entry, 'addresses', 2)
      return {
        address: text(address, 'address'),
        issuedBeforeMs: integer(before, 'issuedBefore', 0, 2 ** 40) * 1000,
      }
    }),
  }
}

/** n.b. another spelling of a number would revoke nothing. */
function minimal(serial: Uint8Array): Uint8Array {
  if (serial.length < 1 || serial.length > 20 || serial[0] === 0)
    throw new RangeError('serial: expected 1..20 minimal unsigned bytes')
  return serial
}

/** Whom to believe about revocation. */
export interface RevocationTrust {
  readonly domain: string
  /** SHA-256 of the signers' SubjectPublicKeyInfo, hex. */
  readonly signers: ReadonlySet<string>
  readonly roots: readonly ParsedCertificate[]
}

/**
 * Reads a list and checks signer, signature, domain and issuing time.
 * @throws SealbusError `untrusted`
 */
export function verifyRevocationList(
  input: Uint8Array,
  trust: RevocationTrust,
  nowMs: number,
): SignedRevocationList {
  const list = parseRevocationList(input)
  const { leaf } = validatePath(list.chain, trust.roots, revocationSigner, nowMs)
  if (!trust.signers.has(toHex(leaf.spkiSha256)))
    throw refuse('the signer is none of the trust file, sign it with a key listed in "revocation.signers"')
  if (!verifySignature(leaf.publicKey, signedBytes(list.body), list.signature))
    throw refuse('its signature is wrong')
  if (list.domain !== trust.domain) throw refuse(`expected domain ${trust.domain}, got ${list.domain}`)
  if (list.issuedAtMs > nowMs + SKEW_MS) throw refuse('it was issued in the future, check the clocks')
  return list
}

/** What a list is asked about: one accepted path. */
export interface RevocationSubject {
  readonly domain: string
  readonly address: string
  /** The leaf's own, ms. */
  readonly issuedMs: number
  /** Issuer and serial of every certificate below the root. */
  readonly serials: readonly string[]
}

/** The part of a path that revocation is about. */
export function revocationSubject(path: Path, domain: string): RevocationSubject {
  const serials = path.certificates.flatMap((certificate, index) => {
    const issuer = path.certificates[index + 1]
    return issuer === undefined ? [] : [key(issuer.spkiSha256, certificate.serial)]
  })
  return { domain, address: path.leaf.commonNames[0] ?? '', issuedMs: path.leaf.notBeforeMs, serials }
}

/** An accepted list, ready to be asked. */
export class Revocations {
  readonly list: SignedRevocationList
  readonly #serials: ReadonlySet<string>
  readonly #issuedBefore: ReadonlyMap<string, number>

  constructor(list: SignedRevocationList) {
    this.list = list
    this.#serials = new Set(list.serials.map(({ issuerSpkiSha256, serial }) => key(issuerSpkiSha256, serial)))
    const before = new Map<string, number>()
    for (const { address, issuedBeforeMs } of list.addresses)
      before.set(address, Math.max(issuedBeforeMs, before.get(address) ?? 0))
    this.#issuedBefore = before
  }

  /** n.b. what stands on a stale list is revoked all the same. */
  state(subject: RevocationSubject, nowMs: number): Exclude<RevocationState, 'none'> {
    if (subject.serials.some(serial => this.#serials.has(serial)) || this.#listsAddress(subject))
      return 'revoked'
    return nowMs > this.list.issuedAtMs + this.list.maxAgeSeconds * 1000 ? 'stale' : 'good'
  }

  #listsAddress({ domain, address, issuedMs }: RevocationSubject): boolean {
    const before = this.#issuedBefore.get(address)
    return domain === this.list.domain && before !== undefined && issuedMs < before
  }
}

const key = (issuer: Uint8Array, serial: Uint8Array): string => `${toHex(issuer)}:${toHex(serial)}`

function refuse(message: string, cause?: unknown): SealbusError {
  return new SealbusError(
    'untrusted',
    `revocation list: ${message}`,
    cause === undefined ? undefined : { cause },
  )
}
