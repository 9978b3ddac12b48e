/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8) by whoever is faster, the same bytes from both: libsodium up to 4 KiB, where OpenSSL's
 * objects cost more than the work, and OpenSSL above it, whose vector instructions take a third of WebAssembly's time.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import * as libsodium from './sodium.js'
import { KEY_BYTES, type KeyAndNonce, TAG_BYTES } from './sodium.js'

const CIPHER = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES }
/** From here on OpenSSL. */
export const LARGE_BYTES = 4096

/**
 * Ciphertext ‖ tag, written to `out` from `offset` on.
 * @param keyAndNonce - used once; the caller overwrites it
 * @param plaintext - parts, one after the other
 */
export function aeadSeal(
  keyAndNonce: KeyAndNonce,
  ad: Uint8Array,
  plaintext: readonly Uint8Array[],
  out: Uint8Array,
  offset: number,
): void {
  if (out.length - offset < LARGE_BYTES) {
    libsodium.aeadSeal(keyAndNonce, ad, plaintext, out, offset)
    return
  }
  const cipher = createCipheriv(CIPHER, keyOf(keyAndNonce), nonceOf(keyAndNonce), OPTIONS)
  cipher.setAAD(ad, { plaintextLength: out.length - offset - TAG_BYTES })
  let at = offset
  for (const part of plaintext) {
    out.set(cipher.update(part), at)
    at += part.length
  }
  cipher.final() // n.b. a stream cipher: it gives no bytes
  out.set(cipher.getAuthTag(), at)
}

/** The inverse of {@link aeadSeal}; undefined where the tag is wrong. */
export function aeadOpen(
  keyAndNonce: KeyAndNonce,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < LARGE_BYTES) return libsodium.aeadOpen(keyAndNonce, ad, sealed)
  const tagAt = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(CIPHER, keyOf(keyAndNonce), nonceOf(keyAndNonce), OPTIONS)
  decipher.setAAD(ad, { plaintextLength: tagAt })
  decipher.setAuthTag(sealed.subarray(tagAt))
  const plaintext = decipher.update(sealed.subarray(0, tagAt)) // n.b. not to be looked at before final()
  return isAuthentic(decipher) ? new Uint8Array(plaintext.buffer, plaintext.byteOffset, tagAt) : undefined
}

function isAuthentic(decipher: { final(): Uint8Array }): boolean {
  try {
    decipher.final()
    return true
  } catch {
    return false // n.b. the one reason that it has: the tag
  }
}

function keyOf(keyAndNonce: KeyAndNonce): Uint8Array {
  return keyAndNonce.subarray(0, KEY_BYTES)
}

function nonceOf(keyAndNonce: KeyAndNonce): Uint8Array {
  return keyAndNonce.subarray(KEY_BYTES)
}
