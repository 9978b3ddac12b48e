/** Head and messages: what the format has, and what it refuses. */
import { describe, expect, it } from 'vitest'
import { concat } from '../../src/bytes.js'
import { CborError, type CborValue, encodeCbor } from '../../src/codec/cbor.js'
import { encodeContent, type Head, parseHead, parseMessages } from '../../src/codec/content.js'
import type { WireMessage } from '../../src/wire.js'
import { message, NOW } from '../support/fixtures-sealing.js'

const certId = new Uint8Array(8).fill(7)
const epoch = new Uint8Array(8).fill(9)
const head: Head = {
  certId,
  epoch: '0909090909090909',
  seq: 10,
  floor: 4,
  open: 8,
  createdAtMs: NOW,
  ttlSeconds: 60,
}
const wireHead = (items: readonly (CborValue | undefined)[] = []): CborValue[] =>
  [certId, epoch, 10, 6, 2, NOW, 60].map((item, index) => items[index] ?? item)

function parse(content: Uint8Array): { head: Head; messages: WireMessage[] } {
  const parsed = parseHead(content)
  return { head: parsed.head, messages: parseMessages(content, parsed.messagesAt, parsed.head) }
}

const parseMessage = (fields: [number | string, CborValue][]): WireMessage | undefined =>
  parse(concat(encodeCbor(wireHead()), encodeCbor(new Map(fields)))).messages[0]
const required: [number, CborValue][] = [
  [1, 'report'],
  [2, new Uint8Array(1)],
]

/** What may stand under keys that are ignored, and what is just too much. */
const full = (count: number): CborValue => Array.from({ length: count - 1 }, () => 0)
const AT_LIMIT: [string, [number, CborValue][]][] = [
  [
    '256 items',
    [
      [64, full(200)],
      [65, full(56)],
    ],
  ],
  ['1024 bytes', [[64, new Uint8Array(1021)]]],
]
const BEYOND: [string, [number, CborValue][]][] = [
  ['257 items in one', [[64, full(257)]]],
  [
    '257 items in two',
    [
      [64, full(200)],
      [65, full(57)],
    ],
  ],
  ['1025 bytes in one', [[64, new Uint8Array(1022)]]],
  [
    '1025 bytes in two',
    [
      [64, new Uint8Array(1000)],
      [65, new Uint8Array(21)],
    ],
  ],
]

describe('a head', () => {
  it('is read back as it was written, with every extra', () => {
    const full: Head = {
      ...head,
      chain: [new Uint8Array(400), new Uint8Array(500)],
      predecessor: { epoch: 'ffffffffffffffff', lastSeq: 99 },
      card: new Uint8Array(600),
    }
    expect(parse(encodeContent({ head: full, messages: [] }))).toEqual({ head: full, messages: [] })
  })

  it('ignores padding and extras from 64 on', () => {
    const extras = new Map<number, CborValue>([
      [4, new Uint8Array(100)],
      [64, [1]],
      [1000, 'x'],
    ])
    expect(parse(encodeCbor([...wireHead(), extras])).head).toEqual(head)
  })

  it.each(AT_LIMIT)('ignores extras of %s', (_, extras) => {
    expect(parse(encodeCbor([...wireHead(), new Map(extras)])).head).toEqual(head)
  })

  it.each(BEYOND)('is refused with ignored extras of %s', (_, extras) => {
    expect(() => parse(encodeCbor([...wireHead(), new Map(extras)]))).toThrow(/expected (fewer|a length)/)
  })

  it.each([
    ['empty byte strings', 0x40],
    ['empty maps', 0xa0],
  ])('with a mebibyte of %s to ignore is refused before it is read', (_, initial) => {
    const count = (1 << 20) - 100
    const start = encodeCbor([...wireHead(), new Map([[64, 0]])]).slice(0, -1)
    const array = Buffer.alloc(count + 5, initial)
    array[0] = 0x9a
    array.writeUInt32BE(count, 1)
    const content = concat(start, array)
    const since = performance.now()
    expect(() => parseHead(content)).toThrow(CborError)
    expect(performance.now() - since).toBeLessThan(50) // milliseconds; read to its end it takes a second
  })

  it.each<[string, CborValue]>([
    ['a certId of 7 bytes', wireHead([new Uint8Array(7)])],
    ['an epoch of 9 bytes', wireHead([undefined, new Uint8Array(9)])],
    ['a negative number', wireHead([undefined, undefined, -1])],
    ['a floor below 0', wireHead([undefined, undefined, undefined, 11])],
    ['an open below 0', wireHead([undefined, undefined, undefined, undefined, 11])],
    ['a time that no calendar has', wireHead([undefined, undefined, undefined, undefined, undefined, 9e15])],
    ['ttl 0', wireHead([undefined, undefined, undefined, undefined, undefined, undefined, 0])],
    [
      'a ttl over 7 days',
      wireHead([undefined, undefined, undefined, undefined, undefined, undefined, 604_801]),
    ],
    ['6 items', wireHead().slice(0, 6)],
    ['9 items', [...wireHead(), new Map(), 1]],
    ['extras that are no map', [...wireHead(), 1]],
    ['a map instead', new Map([[1, 1]])],
    ['extra 0', [...wireHead(), new Map([[0, 1]])]],
    ['extra 5', [...wireHead(), new Map([[5, 1]])]],
    ['extra 63', [...wireHead(), new Map([[63, 1]])]],
    ['a text extra', [...wireHead(), new Map([['a', 1]])]],
    ['an empty chain', [...wireHead(), new Map([[1, []]])]],
    ['a chain of 4', [...wireHead(), new Map([[1, [1, 2, 3, 4].map(() => new Uint8Array(9))]])]],
    ['a chain of over 4 KiB', [...wireHead(), new Map([[1, [new Uint8Array(4097)]]])]],
    ['a chain of texts', [...wireHead(), new Map([[1, ['a']]])]],
    ['a predecessor of one item', [...wireHead(), new Map([[2, [epoch]]])]],
    ['padding that is no byte string', [...wireHead(), new Map([[4, 1]])]],
  ])('is refused with %s', (_, value) => {
    expect(() => parseHead(encodeCbor(value))).toThrow(CborError)
  })

  it('is read alone: what follows may be anything', () => {
    expect(parseHead(concat(encodeCbor(wireHead()), Uint8Array.of(0xff, 0xff))).head).toEqual(head)
  })
})

describe('a message', () => {
  it('inherits time, ttl and content type where it says nothing', () => {
    expect(parseMessage(required)).toEqual(message({ payload: new Uint8Array(1), ttlSeconds: 60 }))
  })

  it('may spell a default out', () => {
    const fields: [number, CborValue][] = [
      ...required,
      [3, 0],
      [4, 60],
      [5, 'application/json'],
      [9, 0],
      [10, new Map()],
    ]
    expect(parseMessage(fields)).toMatchObject({ createdAtMs: NOW, ttlSeconds: 60, receiptWanted: false })
  })

  it('ignores keys from 64 on', () => {
    expect(parseMessage([...required, [64, [[1]]], [65, false]])).toEqual(parseMessage(required))
  })

  it('has headers without a prototype', () => {
    const headers = new Map<string, CborValue>([
      ['__proto__', 'x'],
      ['constructor', 1],
    ])
    const parsed = parseMessage([...required, [10, headers]])?.headers
    expect(Object.getPrototypeOf(parsed)).toBeNull()
    expect(Object.entries(parsed ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 1],
    ])
  })

  it.each(AT_LIMIT)('ignores keys of %s', (_, fields) => {
    expect(parseMessage([...required, ...fields])).toEqual(parseMessage(required))
  })

  it.each(BEYOND)('is refused with ignored keys of %s', (_, fields) => {
    expect(() => parseMessage([...required, ...fields])).toThrow(/expected (fewer|a length)/)
  })

  it.each<[string, [number | string, CborValue][]]>([
    ['without a type', [[2, new Uint8Array(1)]]],
    ['without a payload', [[1, 'report']]],
    [
      'with an empty type',
      [
        [1, ''],
        [2, new Uint8Array(1)],
      ],
    ],
    [
      'with a type of 65 characters',
      [
        [1, 'a'.repeat(65)],
        [2, new Uint8Array(1)],
      ],
    ],
    [
      'with a space in its type',
      [
        [1, 'a b'],
        [2, new Uint8Array(1)],
      ],
    ],
    [
      'with a payload of text',
      [
        [1, 'report'],
        [2, 'x'],
      ],
    ],
    ['with a negative time', [...required, [3, -1]]],
    ['with ttl 0', [...required, [4, 0]]],
    ['with a content type of bytes', [...required, [5, new Uint8Array(1)]]],
    ['with a correlation id of a number', [...required, [6, 1]]],
    ['with a reply-to of bytes', [...required, [7, new Uint8Array(1)]]],
    ['with inReplyTo of a short epoch', [...required, [8, [new Uint8Array(7), 1]]]],
    ['with inReplyTo of three items', [...required, [8, [epoch, 1, 1]]]],
    ['with an unknown flag', [...required, [9, 4]]],
    ['with headers that are no map', [...required, [10, [1]]]],
    ['with a header of a number as name', [...required, [10, new Map([[1, 1]])]]],
    ['with a header of an array', [...required, [10, new Map([['a', [1]]])]]],
    ['with 65 headers', [...required, [10, new Map(Array.from({ length: 65 }, (__, i) => [`h${i}`, 1]))]]],
    ['with key 0', [[0, 1], ...required]],
    ['with key 11', [...required, [11, 1]]],
    ['with key 63', [...required, [63, 1]]],
    ['with a text key', [...required, ['a', 1]]],
  ])('is refused %s', (_, fields) => {
    expect(() => parseMessage(fields)).toThrow(CborError)
  })

  it('is refused with a key twice or out of order', () => {
    const start = encodeCbor(wireHead())
    const twice = Uint8Array.of(0xa3, 1, 0x61, 0x61, 2, 0x40, 2, 0x40)
    const disordered = Uint8Array.of(0xa2, 2, 0x40, 1, 0x61, 0x61)
    expect(() => parse(concat(start, twice))).toThrow(/rising/)
    expect(() => parse(concat(start, disordered))).toThrow(/rising/)
  })

  it('takes the whole batch with it when it is malformed', () => {
    const content = concat(encodeCbor(wireHead()), encodeCbor(new Map(required)), Uint8Array.of(0xa0))
    expect(() => parse(content)).toThrow(CborError)
  })

  it.each<[string, Partial<WireMessage>]>([
    ['a bad type', { type: 'a b' }],
    ['ttl 0', { ttlSeconds: 0 }],
    ['half a second of ttl', { ttlSeconds: 1.5 }],
    ['a fraction as header', { headers: { a: 0.5 } }],
    ['65 headers', { headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, 1])) }],
    ['a bad epoch', { inReplyTo: { epoch: 'xyz', seq: 1 } }],
    ['an unpaired surrogate', { replyTo: '\udc00' }],
  ])('is not written with %s', (_, fields) => {
    expect(() =>
      encodeContent({ head, messages: [message({ payload: new Uint8Array(1), ...fields })] }),
    ).toThrow(RangeError)
  })
})
