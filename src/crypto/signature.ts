/** ECDSA over P-256 with SHA-256 (FIPS 186-5), as r ‖ s, 32 + 32 bytes big-endian (IEEE P1363). */
import { type KeyObject, verify } from 'node:crypto'

export const SIGNATURE_BYTES = 64
const HALF = 32
/** The order n of P-256, SEC 2 §2.4.2. */
const ORDER: Uint8Array = Buffer.from(
  'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
  'hex',
)

/**
 * Whether the signature is right. False for another length, another curve, and r or s outside 1..n−1.
 * n.b. s and n − s are both accepted: a signature identifies nothing here.
 */
export function verifySignature(publicKey: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    return false
  if (!inRange(signature, 0) || !inRange(signature, HALF)) return false
  return verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
}

/** Whether the 32 bytes from `at` on are 1..n−1, FIPS 186-5 §6.4.2. n.b. public values: the time may tell them. */
function inRange(signature: Uint8Array, at: number): boolean {
  return !isZero(signature, at) && isBelowOrder(signature, at)
}

function isZero(signature: Uint8Array, at: number): boolean {
  for (let i = 0; i < HALF; i++) if (signature[at + i] !== 0) return false
  return true
}

function isBelowOrder(signature: Uint8Array, at: number): boolean {
  for (let i = 0; i < HALF; i++) {
    const difference = (signature[at + i] ?? 0) - (ORDER[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
