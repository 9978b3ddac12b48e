/** HMAC and HKDF: node:crypto is the reference for what libsodium computes under a kept key. */
import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { concat, fromHex, toHex, utf8 } from '../../src/bytes.js'
import { hkdfExpand, hkdfExtract, hmacSha256 } from '../../src/crypto/kdf.js'
import { HmacKey, sodiumReady } from '../../src/crypto/sodium.js'

beforeAll(() => sodiumReady())

describe('a kept HMAC key', () => {
  it('gives the digests of RFC 4231', () => {
    const digest = (key: Uint8Array, data: string): string => toHex(new HmacKey(key).digest([utf8(data)]))
    expect(digest(new Uint8Array(20).fill(0x0b), 'Hi There')).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    )
    expect(digest(utf8('Jefe'), 'what do ya want for nothing?')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
    expect(
      digest(new Uint8Array(131).fill(0xaa), 'Test Using Larger Than Block-Size Key - Hash Key First'),
    ).toBe('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')
  })

  it('equals createHmac for every length around the block, in one part or in several, time after time', () => {
    for (const keyBytes of [0, 1, 32, 63, 64, 65, 200]) {
      const bytes = randomBytes(keyBytes)
      const key = new HmacKey(bytes)
      for (const length of [0, 1, 31, 55, 56, 63, 64, 65, 119, 128, 5000]) {
        const data = randomBytes(length)
        const expected = createHmac('sha256', bytes).update(data).digest('hex')
        const cut = length >> 1
        expect(toHex(key.digest([data]))).toBe(expected)
        expect(toHex(hmacSha256(key, data.subarray(0, cut), data.subarray(cut)))).toBe(expected)
      }
    }
  })

  it('keeps a copy: the bytes that made it may be overwritten', () => {
    const bytes = new Uint8Array(randomBytes(32))
    const expected = hmacSha256(bytes, utf8('x'))
    const key = new HmacKey(bytes)
    bytes.fill(0)
    expect(key.digest([utf8('x')])).toEqual(new Uint8Array(expected))
  })

  it('works no more once it is erased, rather than with zeros', () => {
    const key = new HmacKey(randomBytes(32))
    key.erase()
    key.erase()
    expect(() => key.digest([utf8('x')])).toThrow('erased')
  })

  it('shows nothing to inspect or JSON', () => {
    const key = new HmacKey(randomBytes(32))
    expect(inspect(key, { depth: 9, showHidden: true })).toBe('HmacKey {}')
    expect(JSON.stringify(key)).toBe('{}')
  })
})

describe('HKDF', () => {
  it('gives the octets of RFC 5869 A.1, from bytes and from a kept key', () => {
    const info = fromHex('f0f1f2f3f4f5f6f7f8f9')
    const prk = hkdfExtract(fromHex('000102030405060708090a0b0c'), new Uint8Array(22).fill(0x0b))
    const okm = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
    expect(toHex(hkdfExpand(prk, info, 42))).toBe(okm)
    expect(toHex(hkdfExpand(new HmacKey(prk), info, 42))).toBe(okm)
  })

  it.each([1, 31, 32, 33, 44, 64, 65, 8160])('expands to %i bytes as node:crypto does', length => {
    const [salt, ikm, info] = [randomBytes(32), randomBytes(32), concat(utf8('info'), randomBytes(16))]
    const expected = Buffer.from(hkdfSync('sha256', ikm, salt, info, length)).toString('hex')
    const prk = hkdfExtract(salt, ikm)
    expect(toHex(hkdfExpand(prk, info, length))).toBe(expected)
    expect(toHex(hkdfExpand(new HmacKey(prk), info, length))).toBe(expected)
  })
})
