/** ECDSA P-256 with SHA-256 (FIPS 186-5 §6), as r ‖ s of 32 + 32 bytes (IEEE P1363), by node:crypto. */
import { type KeyObject, sign, verify } from 'node:crypto'

/** r ‖ s. */
export const SIGNATURE_BYTES = 64

/** Signs with a P-256 private key; 64 bytes. */
export function signP256(privateKey: KeyObject, data: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
}

/** n.b. s and n − s both verify: a signature identifies nothing. */
export function verifyP256(publicKey: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  return verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
}
