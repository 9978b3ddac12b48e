/** ChaCha20-Poly1305 from two libraries: each is the other's reference. */
import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex, utf8 } from '../../src/bytes.js'
import { aeadOpen, aeadSeal, LARGE_BYTES } from '../../src/crypto/aead.js'
import * as libsodium from '../../src/crypto/sodium.js'

const { TAG_BYTES } = libsodium

beforeAll(() => libsodium.sodiumReady())

type Seal = typeof aeadSeal

function sealed(seal: Seal, key: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(3 + parts.reduce((sum, part) => sum + part.length, 0) + TAG_BYTES)
  seal(key, ad, parts, out, 3)
  expect(toHex(out.subarray(0, 3))).toBe('000000')
  return out.subarray(3)
}

const AROUND = [
  0,
  1,
  200,
  LARGE_BYTES - TAG_BYTES - 1,
  LARGE_BYTES - TAG_BYTES,
  LARGE_BYTES - TAG_BYTES + 1,
  70_001,
]

describe('ChaCha20-Poly1305', () => {
  it('gives the octets of RFC 8439 §2.8.2', () => {
    const key = fromHex(
      '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f070000004041424344454647',
    )
    const text = utf8(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    )
    const out = sealed(aeadSeal, key, fromHex('50515253c0c1c2c3c4c5c6c7'), [text])
    expect(toHex(out).slice(0, 32)).toBe('d31a8d34648e60db7b86afbc53ef7ec2')
    expect(toHex(out).slice(-32)).toBe('1ae10b594f09e26a7e902ecbd0600691')
  })

  it.each(AROUND)('seals %i bytes as libsodium does, in one part or in two, and each opens it', length => {
    const [key, ad, text] = [randomBytes(44), randomBytes(58), new Uint8Array(randomBytes(length))]
    const expected = sealed(libsodium.aeadSeal, key, ad, [text])
    expect(toHex(sealed(aeadSeal, key, ad, [text]))).toBe(toHex(expected))
    const cut = Math.min(64, length)
    const parts = [text.subarray(0, cut), text.subarray(cut)]
    expect(toHex(sealed(aeadSeal, key, ad, parts))).toBe(toHex(expected))
    expect(aeadOpen(key, ad, expected)).toEqual(text)
    expect(libsodium.aeadOpen(key, ad, expected)).toEqual(text)
  })

  it.each([200, 10_000])('opens nothing of %i bytes with one bit changed anywhere', length => {
    const [key, ad, text] = [randomBytes(44), randomBytes(58), randomBytes(length)]
    const good = sealed(aeadSeal, key, ad, [text])
    for (const at of [0, length - 1, length, length + TAG_BYTES - 1]) {
      const bad = good.slice()
      bad[at] = (bad[at] ?? 0) ^ 0x10
      expect(aeadOpen(key, ad, bad)).toBeUndefined()
    }
    expect(aeadOpen(key, ad.subarray(1), good)).toBeUndefined()
    expect(aeadOpen(randomBytes(44), ad, good)).toBeUndefined()
    expect(aeadOpen(key, ad, good.subarray(1))).toBeUndefined()
  })

  it.each([200, 10_000])('needs a key and a nonce of 44 bytes for %i', length => {
    const out = new Uint8Array(length + TAG_BYTES)
    for (const size of [32, 43, 45])
      expect(() => aeadSeal(randomBytes(size), randomBytes(1), [randomBytes(length)], out, 0)).toThrow()
  })
})
