/**
 * One's own keys behind the {@link Identity} seam: the identity key (ECDSA P-256) and the sealing keys (X25519).
 * n.b. private halves stand in private fields: neither `util.inspect`, JSON nor `structuredClone` shows them.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { equal, toHex } from '../bytes.js'
import { asError, SealbusError } from '../errors.js'
import { signP256 } from './ecdsa.js'
import type { Card, Certificate, Identity, SealingKey } from './peers.js'
import { keyIdOf } from './suites.js'

/** Everything that an identity is made of; replaced as a whole, so that certificate, card and keys always agree. */
export interface IdentityParts {
  readonly privateKey: KeyObject
  readonly certificate: Certificate
  readonly card: Card
  readonly sealingKeys: readonly SealingKey[]
  /** Key ids of destroyed sealing keys, 16 hex digits. */
  readonly destroyed: readonly string[]
}

/** An {@link Identity} whose parts can be renewed while the process runs. */
export interface RenewableIdentity extends Identity {
  /** Takes new parts, or throws and keeps the old. @throws SealbusError `identity` */
  renew(parts: IdentityParts): void
}

/** @throws SealbusError `identity` where the parts do not belong together */
export function createIdentity(parts: IdentityParts): RenewableIdentity {
  return new OwnIdentity(parts)
}

class OwnIdentity implements RenewableIdentity {
  #parts: IdentityParts
  #sealingKeys: ReadonlyMap<string, SealingKey>
  #destroyed: ReadonlySet<string>

  constructor(parts: IdentityParts) {
    expectTogether(parts)
    this.#parts = parts
    this.#sealingKeys = byKeyId(parts.sealingKeys)
    this.#destroyed = new Set(parts.destroyed)
  }

  get certificate(): Certificate {
    return this.#parts.certificate
  }

  get card(): Card {
    return this.#parts.card
  }

  sign(data: Uint8Array): Uint8Array {
    return signP256(this.#parts.privateKey, data)
  }

  sealingKey(keyIdHex: string): SealingKey | undefined {
    return this.#sealingKeys.get(keyIdHex)
  }

  destroyed(keyIdHex: string): boolean {
    return this.#destroyed.has(keyIdHex) && !this.#sealingKeys.has(keyIdHex)
  }

  renew(parts: IdentityParts): void {
    expectTogether(parts)
    const { domain, address } = this.#parts.certificate
    if (parts.certificate.domain !== domain || parts.certificate.address !== address)
      throw broken(
        `expected a certificate of ${domain}/${address}, a running process keeps its address: restart it`,
      )
    this.#parts = parts
    this.#sealingKeys = byKeyId(parts.sealingKeys)
    this.#destroyed = new Set(parts.destroyed)
  }
}

const byKeyId = (keys: readonly SealingKey[]): ReadonlyMap<string, SealingKey> =>
  new Map(keys.map(key => [toHex(key.keyId), key]))

function expectTogether({ privateKey, certificate, card, sealingKeys }: IdentityParts): void {
  if (!createPublicKey(privateKey).equals(certificate.publicKey))
    throw broken('the identity key does not belong to the certificate, both must come from one provisioning')
  if (!equal(card.certificate.hash, certificate.hash))
    throw broken('the card was signed for another certificate, issue a new card')
  const held = byKeyId(sealingKeys)
  for (const [suite, publicKey] of card.keys) {
    const keyId = toHex(keyIdOf(suite, publicKey))
    if (!held.has(keyId))
      throw broken(`the card offers sealing key ${keyId}, but its private key is not there`)
  }
}

/** Reads an identity key: PKCS#8 PEM (RFC 5958), ECDSA P-256, not encrypted. @throws SealbusError `identity` */
export function parseIdentityKey(pem: string): KeyObject {
  const key = readPem(pem)
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw broken(`expected a P-256 private key, got ${key.asymmetricKeyType ?? 'another'}`)
  return key
}

/**
 * Reads a sealing key of suite 1: PKCS#8 PEM of X25519 (RFC 8410 §7), not encrypted; what
 * `openssl genpkey -algorithm X25519` writes.
 * @throws SealbusError `identity`
 */
export function parseSealingKey(pem: string): SealingKey {
  const key = readPem(pem)
  if (key.asymmetricKeyType !== 'x25519')
    throw broken(`expected an X25519 private key, got ${key.asymmetricKeyType ?? 'another'}`)
  const { d = '', x = '' } = key.export({ format: 'jwk' })
  return createSealingKey(1, bytesOf(x), bytesOf(d))
}

/** A sealing key from raw bytes, which are copied; for suite 1 both halves have 32 bytes. */
export function createSealingKey(suite: number, publicKey: Uint8Array, privateKey: Uint8Array): SealingKey {
  return new HiddenSealingKey(suite, publicKey, privateKey)
}

class HiddenSealingKey implements SealingKey {
  readonly suite: number
  readonly keyId: Uint8Array
  readonly publicKey: Uint8Array
  readonly #privateKey: Uint8Array

  constructor(suite: number, publicKey: Uint8Array, privateKey: Uint8Array) {
    this.suite = suite
    this.publicKey = publicKey.slice()
    this.keyId = keyIdOf(suite, publicKey)
    this.#privateKey = privateKey.slice()
  }

  withPrivateKey<R>(use: (privateKey: Uint8Array) => R): R {
    const copy = this.#privateKey.slice()
    try {
      return use(copy)
    } finally {
      copy.fill(0)
    }
  }
}

const bytesOf = (base64url: string): Uint8Array => new Uint8Array(Buffer.from(base64url, 'base64url'))

function readPem(pem: string): KeyObject {
  if (pem.includes('ENCRYPTED'))
    throw broken('expected a private key without a passphrase, got an encrypted one')
  try {
    return createPrivateKey(pem)
  } catch (error) {
    // n.b. OpenSSL's code only, no cause: nothing of a key may stand in an error
    const { code = 'unreadable' } = asError(error) as NodeJS.ErrnoException
    throw broken(`expected a private key as PKCS#8 PEM (${code})`)
  }
}

function broken(message: string): SealbusError {
  return new SealbusError('identity', `identity: ${message}`)
}
