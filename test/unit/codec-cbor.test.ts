/** The strict CBOR reader and the deterministic writer. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/bytes.js'
import {
  CborError,
  type CborValue,
  decodeCbor,
  decodeCborSequence,
  encodeCbor,
} from '../../src/codec/cbor.js'

describe('RFC 8949 Appendix A: what it has of our part of CBOR', () => {
  it.each<[string, CborValue]>([
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['20', -1],
    ['3863', -100],
    ['3903e7', -1000],
    ['f4', false],
    ['f5', true],
    ['40', new Uint8Array(0)],
    ['4401020304', Uint8Array.of(1, 2, 3, 4)],
    ['60', ''],
    ['62225c', '"\\'],
    ['62c3bc', 'ü'],
    ['64f0908591', '𐅑'],
    ['80', []],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    [
      'a201020304',
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    [
      'a26161016162820203',
      new Map<string, CborValue>([
        ['a', 1],
        ['b', [2, 3]],
      ]),
    ],
    ['1b001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['3b001ffffffffffffe', -Number.MAX_SAFE_INTEGER],
  ])('%s', (hex, value) => {
    expect(toHex(encodeCbor(value))).toBe(hex)
    expect(decodeCbor(fromHex(hex))).toEqual(value)
  })
})

describe('the reader refuses', () => {
  it.each([
    ['nothing at all', ''],
    ['trailing bytes', '0000'],
    ['a tag', 'c001'],
    ['a half float', 'f93c00'],
    ['a single float', 'fa47c35000'],
    ['a double float', 'fb3ff199999999999a'],
    ['null', 'f6'],
    ['undefined', 'f7'],
    ['another simple value', 'f0'],
    ['a simple value in two bytes', 'f818'],
    ['a break', 'ff'],
    ['an indefinite byte string', '5f4101ff'],
    ['an indefinite text', '7f6161ff'],
    ['an indefinite array', '9f01ff'],
    ['an indefinite map', 'bf0101ff'],
    ['reserved additional information', '1c'],
    ['23 in two bytes', '1817'],
    ['255 in three bytes', '1900ff'],
    ['65535 in five bytes', '1a0000ffff'],
    ['2^32 − 1 in nine bytes', '1b00000000ffffffff'],
    ['a length that is not the shortest', '580141'],
    ['2^53', '1b0020000000000000'],
    ['−2^53', '3b001fffffffffffff'],
    ['2^64 − 1', '1bffffffffffffffff'],
    ['a byte string beyond the end', '42ff'],
    ['a text beyond the end', '626f'],
    ['an array beyond the end', '8201'],
    ['a map beyond the end', 'a101'],
    ['2^31 items', '9a80000000'],
    ['2^31 pairs', 'ba80000000'],
    ['2^31 bytes', '5a80000000'],
    ['2^53 − 1 bytes', '5b001fffffffffffff00'],
    ['an argument cut off', '19ff'],
    ['invalid UTF-8', '61ff'],
    ['a surrogate in UTF-8', '63eda080'],
    ['an overlong form in UTF-8', '62c080'],
    ['long invalid UTF-8', `7820${'61'.repeat(31)}ff`],
    ['a key twice', 'a201010102'],
    ['a text key twice', 'a2616101616102'],
    ['keys out of order', 'a203040102'],
    ['a longer key before a shorter one', 'a262616101616201'],
    ['a key of bytes', 'a1410101'],
    ['a key of an array', 'a1800101'],
    ['a key of true', 'a1f501'],
    ['depth 5', '8181818100'],
    ['depth 5 in a map', 'a101a101a101a10101'],
  ])('%s', (_, hex) => {
    expect(() => decodeCbor(fromHex(hex))).toThrow(CborError)
  })

  it('depth 20 000, without overflowing its stack', () => {
    expect(() => decodeCbor(new Uint8Array(20_000).fill(0x81))).toThrow(/depth/)
  })
})

describe('the writer refuses', () => {
  it.each<[string, CborValue]>([
    ['a fraction', 1.5],
    ['2^53', 2 ** 53],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['an unpaired surrogate', 'a\ud800'],
    ['depth 5', [[[[1]]]]],
  ])('%s', (_, value) => {
    expect(() => encodeCbor(value)).toThrow(CborError)
  })
})

describe('maps', () => {
  it('keep __proto__ as a key like any other', () => {
    const map = decodeCbor(encodeCbor(new Map([['__proto__', 'x']])))
    expect(map).toEqual(new Map([['__proto__', 'x']]))
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  it('are written in the bytewise order of their encoded keys', () => {
    const map = new Map<number | string, CborValue>([
      ['aa', 1],
      ['z', 2],
      [-1, 3],
      [100, 4],
      [10, 5],
    ])
    expect(toHex(encodeCbor(map))).toBe('a50a051864042003617a0262616101') // RFC 8949 §4.2.1
  })
})

const leaf = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.string({ unit: 'grapheme' }),
  fc.boolean(),
  fc.uint8Array(),
)
const key = fc.oneof(fc.maxSafeInteger(), fc.string({ unit: 'grapheme' }))
const value: fc.Arbitrary<CborValue> = fc.letrec<{ node: CborValue }>(tie => ({
  node: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    leaf,
    fc.array(tie('node'), { maxLength: 5 }),
    fc.array(fc.tuple(key, tie('node')), { maxLength: 5 }).map(pairs => new Map(pairs)),
  ),
})).node

describe('as a law', () => {
  it('decode inverts encode', () => {
    fc.assert(
      fc.property(value, item => {
        expect(decodeCbor(encodeCbor(item))).toEqual(item)
      }),
      { numRuns: 500 },
    )
  })

  it('what is accepted is what would have been written: one encoding a value', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), bytes => {
        let item: CborValue
        try {
          item = decodeCbor(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(CborError)
          return
        }
        expect(toHex(encodeCbor(item))).toBe(toHex(bytes))
      }),
      { numRuns: 20_000 },
    )
  })

  it('a sequence is its items one after the other', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), items => {
        const bytes = Buffer.concat(items.map(encodeCbor))
        expect(decodeCborSequence(bytes)).toEqual(items)
      }),
    )
  })
})
