/**
 * Private keys of a certificate authority on disk: encrypted PKCS#8 (RFC 5958 §3) by PBES2 (RFC 8018 §6.2) with
 * scrypt (RFC 7914 §7) and AES-256-CBC, which OpenSSL reads. Node's own export has 2 048 rounds of PBKDF2: too few.
 */
import { createCipheriv, createPrivateKey, type KeyObject, randomBytes, scryptSync } from 'node:crypto'
import { integer, octetString, oid, sequence, toDer } from '../src/crypto/asn1.js'
import { SealbusError } from '../src/errors.js'

/** scrypt's cost: 16 MiB, five times over. n.b. OpenSSL reads at most 32 MiB. */
const SCRYPT = { N: 16_384, r: 8, p: 5 } as const
const SALT_BYTES = 16
const KEY_BYTES = 32
const IV_BYTES = 16
/** OpenSSL takes no longer one. */
export const MAX_PASSPHRASE_BYTES = 1024

const OID = {
  pbes2: '1.2.840.113549.1.5.13',
  scrypt: '1.3.6.1.4.1.11591.4.11',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const

/** A private key as PEM, under a passphrase. */
export function encryptPrivateKey(key: KeyObject, passphrase: string): string {
  const salt = randomBytes(SALT_BYTES)
  const iv = randomBytes(IV_BYTES)
  const derived = scryptSync(passphrase, salt, KEY_BYTES, SCRYPT)
  const cipher = createCipheriv('aes-256-cbc', derived, iv)
  const plain = key.export({ type: 'pkcs8', format: 'der' })
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  derived.fill(0)
  plain.fill(0)
  return pem('ENCRYPTED PRIVATE KEY', encryptedPrivateKeyInfo(salt, iv, encrypted))
}

function encryptedPrivateKeyInfo(salt: Uint8Array, iv: Uint8Array, encrypted: Uint8Array): Uint8Array {
  const derivation = sequence(
    oid(OID.scrypt),
    sequence(octetString(salt), integer(SCRYPT.N), integer(SCRYPT.r), integer(SCRYPT.p)),
  )
  const encryption = sequence(oid(OID.aes256Cbc), octetString(iv))
  const algorithm = sequence(oid(OID.pbes2), sequence(derivation, encryption))
  return toDer(sequence(algorithm, octetString(encrypted)))
}

/** The inverse of {@link encryptPrivateKey}. @throws SealbusError `identity` for a wrong passphrase */
export function decryptPrivateKey(encrypted: string, passphrase: string, path: string): KeyObject {
  try {
    return createPrivateKey({ key: encrypted, passphrase })
  } catch {
    // n.b. the cause is left out: with CBC a wrong passphrase fails in several ways that mean nothing
    throw new SealbusError('identity', `${path}: wrong passphrase, or the file is damaged`)
  }
}

/** Bytes in the armour of RFC 7468. */
export function pem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
