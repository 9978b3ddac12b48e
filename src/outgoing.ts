/**
 * From what an application gives to `send` to what stands in an envelope: kinds, sizes and dates are checked, bytes
 * are copied (a caller may reuse its buffer), defaults are filled in. docs/PROTOCOL.md, "message".
 *
 * | wrong | throws |
 * | --- | --- |
 * | kind of a field | `TypeError` |
 * | size, count, date or lifetime of a field | `RangeError` |
 * | characters of a field, reserved type | SealbusError `invalid-message` |
 * | already over | SealbusError `message-expired` |
 * | asked to outlive our own certificate | SealbusError `certificate-expires` |
 */
import type { HeaderValue, Message } from './bus.js'
import { utf8 } from './bytes.js'
import { SealbusError } from './errors.js'
import { type MessageId, SKEW_MS, type WireMessage } from './wire.js'

/** Free headers of one message at most. */
export const MAX_HEADERS = 64
/** Content type when none is given. */
export const DEFAULT_CONTENT_TYPE = 'application/json'

const TYPE = /^[A-Za-z0-9._/-]{1,64}$/
const RESERVED = 'sealbus/'

/** What bounds the life of a message to one recipient now. */
export interface OutgoingLimits {
  readonly nowMs: number
  /** The recipient's longest lifetime of a message, seconds. */
  readonly lifetimeSeconds: number
  /** When our own certificate ends, ms. `Infinity` on a bus without certificates. */
  readonly notAfterMs: number
}

/** What the bus says of a message, and the application cannot. */
export interface OutgoingMarks {
  readonly receiptWanted?: boolean
  readonly request?: boolean
  readonly inReplyTo?: MessageId
}

/**
 * Checks and copies one message. Without `expiresAt` it lives for the recipient's lifetime, or until our own
 * certificate ends if that is sooner; an `expiresAt` beyond the certificate is refused, since the caller asked for it.
 * @throws TypeError, RangeError and SealbusError as the table above says
 */
export function outgoing(message: Message, limits: OutgoingLimits, marks: OutgoingMarks = {}): WireMessage {
  if (!isObject(message)) throw kind('message', 'an object', message)
  const createdAtMs = createdAt(message.createdAt, limits.nowMs)
  return {
    type: typeOf(message.type),
    payload: payloadOf(message.payload),
    createdAtMs,
    ttlSeconds: ttlOf(message.expiresAt, createdAtMs, limits),
    contentType: text('contentType', message.contentType ?? DEFAULT_CONTENT_TYPE),
    ...(message.correlationId !== undefined && { correlationId: correlation(message.correlationId) }),
    ...(message.replyTo !== undefined && { replyTo: text('replyTo', message.replyTo) }),
    ...(marks.inReplyTo !== undefined && { inReplyTo: marks.inReplyTo }),
    receiptWanted: marks.receiptWanted ?? false,
    request: marks.request ?? false,
    ...(message.headers !== undefined && { headers: headersOf(message.headers) }),
  }
}

/** A message of sealbus itself: a receipt, a card, a list. It never wants a receipt. `type` starts with `sealbus/`. */
export function systemMessage(
  type: string,
  payload: Uint8Array,
  nowMs: number,
  ttlSeconds: number,
): WireMessage {
  return {
    type,
    payload,
    createdAtMs: nowMs,
    ttlSeconds,
    contentType: DEFAULT_CONTENT_TYPE,
    receiptWanted: false,
    request: false,
  }
}

/** When a message is over, ms. */
export function expiresAtMs(message: WireMessage): number {
  return message.createdAtMs + message.ttlSeconds * 1000
}

function typeOf(type: unknown): string {
  if (typeof type !== 'string') throw kind('type', 'a string', type)
  if (!TYPE.test(type)) throw invalid(`type: expected 1..64 of A-Z a-z 0-9 . _ / -, got ${shown(type)}`)
  if (type.startsWith(RESERVED))
    throw invalid(`type: "${RESERVED}…" is reserved; choose another name than ${type}`)
  return type
}

function payloadOf(payload: unknown): Uint8Array {
  if (payload instanceof Uint8Array) return Uint8Array.from(payload)
  if (typeof payload === 'string') return utf8(text('payload', payload))
  if (typeof payload !== 'object' || payload === null || isBinary(payload)) {
    throw kind('payload', 'a Uint8Array, a string or an object', payload)
  }
  // n.b. JSON.stringify says undefined where toJSON does; for cycles and bigints it throws a TypeError of its own.
  const json = JSON.stringify(payload) as string | undefined
  if (json === undefined) throw kind('payload', 'an object that JSON can express', payload)
  return utf8(json)
}

/** Views and buffers that are no Uint8Array would silently become `{}` or a map of numbers as JSON. */
function isBinary(payload: object): boolean {
  return ArrayBuffer.isView(payload) || payload instanceof ArrayBuffer || payload instanceof SharedArrayBuffer
}

function createdAt(given: unknown, nowMs: number): number {
  const ms = given === undefined ? nowMs : dateMs('createdAt', given)
  if (ms > nowMs + SKEW_MS) {
    throw new RangeError(
      `createdAt: expected at most ${SKEW_MS / 1000} s ahead of now, got ${(ms - nowMs) / 1000} s`,
    )
  }
  return ms
}

/** Whole seconds, rounded down. */
function ttlOf(expiresAt: unknown, createdAtMs: number, limits: OutgoingLimits): number {
  const ends = expiresAt === undefined ? defaultEnd(createdAtMs, limits) : dateMs('expiresAt', expiresAt)
  if (ends <= limits.nowMs) throw expired(limits.nowMs - ends)
  const ttl = Math.floor((ends - createdAtMs) / 1000)
  if (ttl < 1) throw tooShort(expiresAt === undefined, ends - createdAtMs)
  if (ttl > limits.lifetimeSeconds) {
    throw new RangeError(
      `expiresAt: the recipient allows ${limits.lifetimeSeconds} s after createdAt, got ${ttl} s`,
    )
  }
  if (ends > limits.notAfterMs)
    throw certificateExpires('the message would expire later; renew it or expire sooner')
  // Rounding down may have passed now.
  if (createdAtMs + ttl * 1000 <= limits.nowMs) throw expired(limits.nowMs - createdAtMs - ttl * 1000)
  return ttl
}

function defaultEnd(createdAtMs: number, limits: OutgoingLimits): number {
  if (limits.notAfterMs <= limits.nowMs) throw certificateExpires('it is over; renew it')
  return Math.min(createdAtMs + limits.lifetimeSeconds * 1000, limits.notAfterMs)
}

function tooShort(byDefault: boolean, ms: number): Error {
  if (byDefault) return certificateExpires('less than 1 s of it remains; renew it')
  return new RangeError(`expiresAt: expected at least 1 s after createdAt, got ${ms} ms`)
}

function headersOf(headers: unknown): Readonly<Record<string, HeaderValue>> {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw kind('headers', 'an object', headers)
  }
  const entries = Object.entries(headers)
  if (entries.length > MAX_HEADERS) {
    throw new RangeError(`headers: expected at most ${MAX_HEADERS}, got ${entries.length}`)
  }
  // n.b. fromEntries defines properties: a header named __proto__ stays a header.
  return Object.fromEntries(entries.map(([name, value]) => [text('headers', name), headerValue(name, value)]))
}

function headerValue(name: string, value: unknown): HeaderValue {
  const field = `headers[${shown(name)}]`
  if (typeof value === 'string') return text(field, value)
  if (typeof value === 'boolean') return value
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (typeof value !== 'number')
    throw kind(field, 'a string, a Uint8Array, a whole number or a boolean', value)
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`${field}: expected a whole number within ±(2^53 − 1), got ${value}`)
  }
  return value
}

function correlation(given: unknown): string | Uint8Array {
  if (given instanceof Uint8Array) return Uint8Array.from(given)
  if (typeof given !== 'string') throw kind('correlationId', 'a string or a Uint8Array', given)
  return text('correlationId', given)
}

/** n.b. an unpaired surrogate has no UTF-8: encoding would silently write another character. */
function text(field: string, given: unknown): string {
  if (typeof given !== 'string') throw kind(field, 'a string', given)
  if (/\p{Surrogate}/u.test(given)) throw invalid(`${field}: expected text, got an unpaired surrogate`)
  return given
}

function dateMs(field: string, given: unknown): number {
  if (!(given instanceof Date)) throw kind(field, 'a Date', given)
  const ms = given.getTime()
  if (!(ms >= 0)) throw new RangeError(`${field}: expected a valid Date since 1970, got ${String(given)}`)
  return ms
}

function isObject(given: unknown): given is object {
  return typeof given === 'object' && given !== null
}

function kind(field: string, expected: string, given: unknown): TypeError {
  const name = isObject(given)
    ? Object.prototype.toString.call(given).slice(8, -1)
    : given === null
      ? 'null'
      : typeof given
  return new TypeError(`${field}: expected ${expected}, got ${name}`)
}

function invalid(message: string): SealbusError {
  return new SealbusError('invalid-message', message)
}

function expired(agoMs: number): SealbusError {
  return new SealbusError('message-expired', `the message expired ${agoMs} ms ago; send a newer one`)
}

function certificateExpires(why: string): SealbusError {
  return new SealbusError('certificate-expires', `own certificate: ${why}`)
}

function shown(word: string): string {
  return JSON.stringify(word.length > 80 ? `${word.slice(0, 80)}…` : word)
}
