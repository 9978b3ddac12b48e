/**
 * The one importer of libsodium: X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439) and HMAC-SHA256 under a kept key (RFC 2104),
 * on memory of libsodium's own that is overwritten after every call.
 *
 * n.b. libsodium's stack, the JavaScript heap and swap are out of reach: erasure is complete only with the process's exit.
 */
import sodium from 'libsodium-wrappers'

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16
export const X25519_BYTES = 32
const MAC_BYTES = 32

/** The C functions as compiled; pointers are offsets into `HEAPU8`, 0 is NULL, 64-bit lengths are two words. */
interface RawSodium {
  readonly HEAPU8: Uint8Array
  _malloc(bytes: number): number
  _free(pointer: number): void
  _crypto_scalarmult(q: number, n: number, p: number): number
  _crypto_scalarmult_base(q: number, n: number): number
  _crypto_kdf_hkdf_sha256_statebytes(): number
  _crypto_kdf_hkdf_sha256_extract_init(state: number, salt: number, saltlen: number): number
  _crypto_kdf_hkdf_sha256_extract_update(state: number, ikm: number, ikmlen: number): number
  _crypto_kdf_hkdf_sha256_extract_final(state: number, prk: number): number
  // biome-ignore format: as the C prototype groups them
  _crypto_aead_chacha20poly1305_ietf_encrypt(
    c: number, clen: number, m: number, mlen: number, mlenHigh: number,
    ad: number, adlen: number, adlenHigh: number, nsec: number, npub: number, k: number,
  ): number
  // biome-ignore format: as the C prototype groups them
  _crypto_aead_chacha20poly1305_ietf_decrypt(
    m: number, mlen: number, nsec: number, c: number, clen: number, clenHigh: number,
    ad: number, adlen: number, adlenHigh: number, npub: number, k: number,
  ): number
}

let raw: RawSodium | undefined

/** Compiles libsodium, once. Everything else here needs it to have resolved. */
export async function sodiumReady(): Promise<void> {
  await sodium.ready
  raw = (sodium as unknown as { libsodium: RawSodium }).libsodium
}

function loaded(): RawSodium {
  if (raw === undefined) throw new Error('libsodium is not compiled yet: await sodiumReady() first')
  return raw
}

const SMALL = 4096
const arena = { at: 0, size: 0 }

/** Runs `use` on `size` bytes of libsodium's memory and overwrites them. */
function withMemory<R>(size: number, use: (lib: RawSodium, at: number) => R): R {
  const lib = loaded()
  const at = reserve(lib, size)
  try {
    return use(lib, at)
  } finally {
    lib.HEAPU8.fill(0, at, at + size)
  }
}

/** One block, kept and grown: calls are synchronous, so there is never a second user. */
function reserve(lib: RawSodium, size: number): number {
  if (size <= arena.size) return arena.at
  if (arena.size > 0) lib._free(arena.at)
  arena.size = 0
  const wanted = Math.max(SMALL, size)
  const at = lib._malloc(wanted)
  if (at === 0) throw new RangeError(`libsodium has no memory for ${wanted} bytes`)
  arena.at = at
  arena.size = wanted
  return at
}

/**
 * RFC 7748 §5, §6.1: the shared secret, 32 bytes.
 * @returns undefined for an all-zero result, which a point of low order gives
 */
export function x25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  expectBytes('privateKey', privateKey, X25519_BYTES)
  expectBytes('publicKey', publicKey, X25519_BYTES)
  return withMemory(3 * X25519_BYTES, (lib, at) => {
    lib.HEAPU8.set(privateKey, at)
    lib.HEAPU8.set(publicKey, at + 32)
    const refused = lib._crypto_scalarmult(at + 64, at, at + 32) !== 0
    const shared = lib.HEAPU8.slice(at + 64, at + 96)
    return refused || shared.every(byte => byte === 0) ? undefined : shared
  })
}

/** The public key of a private key, 32 bytes. */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  expectBytes('privateKey', privateKey, X25519_BYTES)
  return withMemory(2 * X25519_BYTES, (lib, at) => {
    lib.HEAPU8.set(privateKey, at)
    lib._crypto_scalarmult_base(at + 32, at)
    return lib.HEAPU8.slice(at + 32, at + 64)
  })
}

/**
 * An HMAC-SHA256 key made ready: the intermediate results of RFC 2104 §4, as secret as the key itself. It halves the blocks
 * that a short message costs, and needs no object of OpenSSL's: 1 µs a digest instead of 6.
 * n.b. libsodium gives HMAC-SHA256 the name of HKDF-Extract (RFC 5869 §2.2), whose salt is HMAC's key.
 */
export class HmacKey {
  #state: Uint8Array | undefined

  /** @param key - copied; any length, 32 bytes are usual */
  constructor(key: Uint8Array) {
    const stateBytes = loaded()._crypto_kdf_hkdf_sha256_statebytes()
    this.#state = withMemory(stateBytes + key.length, (lib, at) => {
      lib.HEAPU8.set(key, at + stateBytes)
      lib._crypto_kdf_hkdf_sha256_extract_init(at, at + stateBytes, key.length)
      return lib.HEAPU8.slice(at, at + stateBytes)
    })
  }

  /** 32 bytes over the parts, one after the other. @throws Error after {@link HmacKey.erase} */
  digest(parts: readonly Uint8Array[]): Uint8Array {
    const state = this.#kept()
    const data = state.length
    const mac = data + totalLength(parts)
    return withMemory(mac + MAC_BYTES, (lib, at) => {
      lib.HEAPU8.set(state, at)
      lib._crypto_kdf_hkdf_sha256_extract_update(at, at + data, placeParts(lib, at + data, parts))
      lib._crypto_kdf_hkdf_sha256_extract_final(at, at + mac)
      return lib.HEAPU8.slice(at + mac, at + mac + MAC_BYTES)
    })
  }

  /**
   * HKDF-Expand (RFC 5869 §2.3) under this key, all blocks in one stay in libsodium's memory: a third of what a digest for
   * each block costs. @param length - 1..8160 bytes @throws Error after {@link HmacKey.erase}
   */
  expand(info: Uint8Array, length: number): Uint8Array {
    const state = this.#kept()
    const blocks = Math.ceil(length / MAC_BYTES)
    const size = 2 * state.length + MAC_BYTES + info.length + 1 + blocks * MAC_BYTES
    return withMemory(size, (lib, at) => {
      const [work, previous] = [at + state.length, at + 2 * state.length] // previous = T(i − 1) ‖ info ‖ i
      const [counter, okm] = [previous + MAC_BYTES + info.length, previous + MAC_BYTES + info.length + 1]
      lib.HEAPU8.set(state, at)
      lib.HEAPU8.set(info, previous + MAC_BYTES)
      for (let i = 1; i <= blocks; i++) {
        const from = i === 1 ? previous + MAC_BYTES : previous // T(0) is empty
        lib.HEAPU8[counter] = i
        lib.HEAPU8.copyWithin(work, at, work)
        lib._crypto_kdf_hkdf_sha256_extract_update(work, from, okm - from)
        lib._crypto_kdf_hkdf_sha256_extract_final(work, previous)
        lib.HEAPU8.copyWithin(okm + (i - 1) * MAC_BYTES, previous, previous + MAC_BYTES)
      }
      return lib.HEAPU8.slice(okm, okm + length)
    })
  }

  #kept(): Uint8Array {
    if (this.#state === undefined) throw new Error('this HMAC key has been erased')
    return this.#state
  }

  /** Overwrites it. */
  erase(): void {
    this.#state?.fill(0)
    this.#state = undefined
  }
}

/** Key and nonce of one use, one after the other: 32 + 12 bytes. */
export type KeyAndNonce = Uint8Array

/**
 * RFC 8439 §2.8: ciphertext ‖ tag, written to `out` from `offset` on.
 * @param plaintext - parts, one after the other
 */
export function aeadSeal(
  keyAndNonce: KeyAndNonce,
  ad: Uint8Array,
  plaintext: readonly Uint8Array[],
  out: Uint8Array,
  offset: number,
): void {
  const length = totalLength(plaintext)
  const text = KEY_BYTES + NONCE_BYTES + ad.length
  withMemory(text + length + TAG_BYTES, (lib, at) => {
    place(lib, at, keyAndNonce, ad)
    const m = at + text // in place
    placeParts(lib, m, plaintext)
    lib._crypto_aead_chacha20poly1305_ietf_encrypt(m, 0, m, length, 0, at + 44, ad.length, 0, 0, at + 32, at)
    out.set(lib.HEAPU8.subarray(m, m + length + TAG_BYTES), offset)
  })
}

/** The inverse of {@link aeadSeal}; undefined where the tag is wrong. */
export function aeadOpen(
  keyAndNonce: KeyAndNonce,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined
  const text = KEY_BYTES + NONCE_BYTES + ad.length
  return withMemory(text + sealed.length, (lib, at) => {
    place(lib, at, keyAndNonce, ad)
    const c = at + text // in place
    lib.HEAPU8.set(sealed, c)
    const length = sealed.length
    // biome-ignore format: as the C prototype groups them
    const refused = lib._crypto_aead_chacha20poly1305_ietf_decrypt(
      c, 0, 0, c, length, 0, at + 44, ad.length, 0, at + 32, at) !== 0
    if (refused) return undefined
    return lib.HEAPU8.slice(c, c + length - TAG_BYTES)
  })
}

function place(lib: RawSodium, at: number, keyAndNonce: KeyAndNonce, ad: Uint8Array): void {
  expectBytes('keyAndNonce', keyAndNonce, KEY_BYTES + NONCE_BYTES)
  lib.HEAPU8.set(keyAndNonce, at)
  lib.HEAPU8.set(ad, at + KEY_BYTES + NONCE_BYTES)
}

/** Copies the parts, one after the other; returns their length. */
function placeParts(lib: RawSodium, at: number, parts: readonly Uint8Array[]): number {
  let to = at
  for (const part of parts) {
    lib.HEAPU8.set(part, to)
    to += part.length
  }
  return to - at
}

function totalLength(parts: readonly Uint8Array[]): number {
  let length = 0
  for (const part of parts) length += part.length
  return length
}

function expectBytes(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name}: expected ${length} bytes, got ${bytes.length}`)
}
