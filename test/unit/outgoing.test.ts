import { describe, expect, it } from 'vitest'
import { expiresAtMs, outgoing, systemMessage } from '../../src/outgoing.js'

const nowMs = 1_800_000_000_000
const limits = { nowMs, lifetimeSeconds: 86_400, notAfterMs: nowMs + 90 * 86_400_000 }
const base = { type: 'report', payload: 'x' }

const make = (fields: object, more: Partial<typeof limits> = {}): ReturnType<typeof outgoing> =>
  outgoing({ ...base, ...fields }, { ...limits, ...more })
const inMs = (ms: number): Date => new Date(nowMs + ms)
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

describe('a message on its way out', () => {
  it("gets its defaults: now, the recipient's lifetime, JSON, no marks", () => {
    expect(make({})).toEqual({
      type: 'report',
      payload: new Uint8Array([120]),
      createdAtMs: nowMs,
      ttlSeconds: 86_400,
      contentType: 'application/json',
      receiptWanted: false,
      request: false,
    })
  })

  it('is a copy: what the caller does with its buffers afterwards changes nothing', () => {
    const payload = new Uint8Array([1, 2, 3])
    const correlationId = new Uint8Array([4])
    const headers = { h: new Uint8Array([5]) }
    const made = make({ payload, correlationId, headers })
    payload.fill(0)
    correlationId.fill(0)
    headers.h.fill(0)
    expect(made).toMatchObject({
      payload: new Uint8Array([1, 2, 3]),
      correlationId: new Uint8Array([4]),
      headers: { h: new Uint8Array([5]) },
    })
  })

  it('has bytes as they are, strings as UTF-8, objects as JSON', () => {
    expect(make({ payload: Buffer.from([0, 255]) }).payload).toEqual(new Uint8Array([0, 255]))
    expect(text(make({ payload: 'Wärme €' }).payload)).toBe('Wärme €')
    expect(text(make({ payload: { kW: 1.5 } }).payload)).toBe('{"kW":1.5}')
    expect(text(make({ payload: [1] }).payload)).toBe('[1]')
  })

  it('keeps a header named __proto__ a header', () => {
    const { headers } = make({ headers: JSON.parse('{"__proto__":"x"}') as object })
    expect(Object.entries(headers ?? {})).toEqual([['__proto__', 'x']])
  })

  it('carries the marks of the bus', () => {
    const inReplyTo = { epoch: '00112233aabbccdd', seq: 4 }
    const made = outgoing(base, limits, { receiptWanted: true, request: true, inReplyTo })
    expect(made).toMatchObject({ receiptWanted: true, request: true, inReplyTo })
  })

  it.each([
    ['a type that is no string', { type: 3 }],
    ['a payload that is null', { payload: null }],
    ['a payload that is a number', { payload: 3 }],
    ['a payload that is a function', { payload: () => 1 }],
    ['a payload that is another view', { payload: new Uint16Array(2) }],
    ['a payload that is an ArrayBuffer', { payload: new ArrayBuffer(2) }],
    ['a payload that JSON does not express', { payload: { toJSON: () => undefined } }],
    ['a payload with a bigint', { payload: { n: 1n } }],
    ['a content type that is no string', { contentType: 3 }],
    ['a correlation id that is a number', { correlationId: 3 }],
    ['a reply-to that is no string', { replyTo: {} }],
    ['a date that is a number', { createdAt: nowMs }],
    ['an expiry that is a string', { expiresAt: '2027-01-01' }],
    ['headers that are an array', { headers: ['x'] }],
    ['headers that are null', { headers: null }],
    ['a header that is an object', { headers: { a: {} } }],
  ])('throws a TypeError for %s', (_what, fields) => {
    expect(() => make(fields)).toThrow(TypeError)
  })

  it('throws a TypeError for a message that is no object', () => {
    expect(() => outgoing('report' as never, limits)).toThrow(TypeError)
  })

  it.each([
    ['65 headers', { headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, i])) }],
    ['a header that is a fraction', { headers: { a: 1.5 } }],
    ['a header beyond 2^53', { headers: { a: 2 ** 53 } }],
    ['a date that is invalid', { createdAt: new Date(Number.NaN) }],
    ['a date before 1970', { createdAt: new Date(-1) }],
    ['a message created more than 120 s ahead', { createdAt: inMs(120_001), expiresAt: inMs(200_000) }],
    ['a lifetime under a second', { expiresAt: inMs(999) }],
    ["a lifetime above the recipient's", { expiresAt: inMs(86_401_000) }],
  ])('throws a RangeError for %s', (_what, fields) => {
    expect(() => make(fields)).toThrow(RangeError)
  })

  it.each([
    ['an empty type', { type: '' }],
    ['a type of 65 characters', { type: 'a'.repeat(65) }],
    ['a type with a space', { type: 'a b' }],
    ['a reserved type', { type: 'sealbus/receipt' }],
    ['an unpaired surrogate in the payload', { payload: '\ud800' }],
    ['an unpaired surrogate in a header name', { headers: { '\udc00': 1 } }],
  ])('throws invalid-message for %s', (_what, fields) => {
    expect(() => make(fields)).toThrow(expect.objectContaining({ code: 'invalid-message' }))
  })

  it('takes the limits themselves', () => {
    expect(make({ createdAt: inMs(120_000), expiresAt: inMs(121_000) }).ttlSeconds).toBe(1)
    expect(make({ expiresAt: inMs(86_400_999) }).ttlSeconds).toBe(86_400)
    expect(make({ type: 'a/b.c_d-E9'.padEnd(64, 'x') }).type).toHaveLength(64)
  })

  it('lives whole seconds, rounded down', () => {
    expect(expiresAtMs(make({ expiresAt: inMs(2999) }))).toBe(nowMs + 2000)
  })

  it.each([
    ['its expiry is past', { createdAt: inMs(-5000), expiresAt: inMs(-1) }],
    ['its default lifetime is past', { createdAt: inMs(-86_400_000) }],
    ['rounding down puts its expiry before now', { createdAt: inMs(-5500), expiresAt: inMs(100) }],
  ])('throws message-expired when %s', (_what, fields) => {
    expect(() => make(fields)).toThrow(expect.objectContaining({ code: 'message-expired' }))
  })

  it('may not outlive our own certificate when the caller says how long; by default it lives as long as that', () => {
    const soon = { notAfterMs: nowMs + 3_600_500 }
    expect(() => make({ expiresAt: inMs(3_601_000) }, soon)).toThrow(
      expect.objectContaining({ code: 'certificate-expires' }),
    )
    expect(make({ expiresAt: inMs(3_600_000) }, soon).ttlSeconds).toBe(3600)
    expect(make({}, soon).ttlSeconds).toBe(3600)
  })

  it.each([0, -1, 999])('throws certificate-expires when %i ms of the certificate remain', ms => {
    expect(() => make({}, { notAfterMs: nowMs + ms })).toThrow(
      expect.objectContaining({ code: 'certificate-expires' }),
    )
  })

  it('names argument, expected and given in its errors', () => {
    expect(() => make({ payload: (() => 1) as unknown as object })).toThrow(
      'payload: expected a Uint8Array, a string or an object, got function',
    )
  })

  it('of sealbus itself wants no receipt', () => {
    const receipt = systemMessage('sealbus/receipt', new Uint8Array(1), nowMs, 60)
    expect(receipt).toMatchObject({ type: 'sealbus/receipt', ttlSeconds: 60, receiptWanted: false })
  })
})
