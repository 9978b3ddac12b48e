/** Signing by ECDSA P-256 with SHA-256 (FIPS 186-5 §6.3), as r ‖ s of 32 + 32 bytes (IEEE P1363). signature.ts verifies. */
import { type KeyObject, sign } from 'node:crypto'

/** Signs with a P-256 private key; 64 bytes. */
export function signP256(privateKey: KeyObject, data: Uint8Array): Uint8Array {
  const { buffer, byteOffset, length } = sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return new Uint8Array(buffer, byteOffset, length)
}
