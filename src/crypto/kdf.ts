/**
 * SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869), synchronously: from node:crypto, and from libsodium where a key
 * is kept ready for many uses.
 */
import { createHmac, hash } from 'node:crypto'
import { HmacKey } from './sodium.js'

export const HASH_BYTES = 32
const EMPTY = new Uint8Array(0)

/** 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  return hash('sha256', data, 'buffer')
}

/** The same as 64 hex digits: half the time, where the digits are wanted anyway. */
export function sha256Hex(data: Uint8Array): string {
  return hash('sha256', data, 'hex')
}

/** A key of HMAC: its bytes, or made ready. */
export type MacKey = Uint8Array | HmacKey

/** 32 bytes over the parts, one after the other. */
export function hmacSha256(key: MacKey, ...parts: readonly Uint8Array[]): Uint8Array {
  if (key instanceof HmacKey) return key.digest(parts)
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

/** RFC 5869 §2.2. An empty salt equals 32 zero bytes. */
export function hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return hmacSha256(salt, ikm)
}

/** RFC 5869 §2.3. @param length - 1..8160 bytes */
export function hkdfExpand(prk: MacKey, info: Uint8Array, length: number): Uint8Array {
  if (length < 1 || length > 255 * HASH_BYTES)
    throw new RangeError(`hkdfExpand: length must be 1..8160, got ${length}`)
  if (prk instanceof HmacKey) return prk.expand(info, length)
  const okm = new Uint8Array(length)
  let block: Uint8Array = EMPTY
  for (let i = 1, at = 0; at < length; i++, at += HASH_BYTES) {
    block = hmacSha256(prk, block, info, Uint8Array.of(i))
    okm.set(block.subarray(0, length - at), at)
  }
  return okm
}
