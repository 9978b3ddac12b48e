/** ECDSA over P-256 with SHA-256 (FIPS 186-5), as r ‖ s, 32 + 32 bytes big-endian (IEEE P1363). */
import { type KeyObject, verify } from 'node:crypto'

export const SIGNATURE_BYTES = 64
const HALF = 32
/** The order n of P-256, SEC 2 §2.4.2. */
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
const ZERO = Buffer.alloc(HALF)

/**
 * Whether the signature is right. False for another length, another curve, and r or s outside 1..n−1.
 * n.b. s and n − s are both accepted: a signature identifies nothing here.
 */
export function verifySignature(publicKey: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    return false
  if (!inRange(signature.subarray(0, HALF)) || !inRange(signature.subarray(HALF))) return false
  return verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
}

/** 1..n−1, FIPS 186-5 §6.4.2. */
function inRange(scalar: Uint8Array): boolean {
  return Buffer.compare(scalar, ZERO) > 0 && Buffer.compare(scalar, ORDER) < 0
}
