/**
 * One message as a CBOR map with small integers as keys, docs/PROTOCOL.md "Message". Keys 11..63 are refused, 64 and above
 * ignored, a default spelt out is accepted.
 */
import type { HeaderValue } from '../bus.js'
import { toHex } from '../bytes.js'
import { MAX_LIFETIME_S, type MessageId, type WireMessage } from '../wire.js'
import type { Budget, CborReader } from './cbor-reader.js'
import { CborError, type CborValue } from './cbor-value.js'
import type { CborWriter } from './cbor-writer.js'

/** What a message means that does not say its content type. */
export const DEFAULT_CONTENT_TYPE = 'application/json'
export const MAX_HEADERS = 64
export const EPOCH_BYTES = 8
/** All ignored values of one map together. n.b. those of a head are read before anybody has vouched for them. */
const MAX_IGNORED: Readonly<Budget> = { items: 256, bytes: 1024 }

const TYPE = /^[A-Za-z0-9._/-]{1,64}$/
const RECEIPT_WANTED = 1
const REQUEST = 2
/** Map head, keys, and the longest number of each kind: what {@link messageSize} counts without looking. */
const FIXED_SIZE = 40

/** A fresh {@link MAX_IGNORED}. */
export function ignoredBudget(): Budget {
  return { ...MAX_IGNORED }
}

/** What a message inherits where it says nothing. */
export interface MessageDefaults {
  readonly createdAtMs: number
  readonly ttlSeconds: number
}

/** Whether a message type has the right form. n.b. `sealbus/…` is reserved, but has the form. */
export function isMessageType(type: string): boolean {
  return TYPE.test(type)
}

/** Bytes that one message takes at most; a little more than it does take. */
export function messageSize(message: WireMessage): number {
  let size = FIXED_SIZE + message.type.length + message.payload.length + textSize(message.contentType)
  if (message.correlationId !== undefined) size += valueSize(message.correlationId)
  if (message.replyTo !== undefined) size += textSize(message.replyTo)
  if (message.inReplyTo !== undefined) size += 20
  for (const [name, value] of headersOf(message)) size += textSize(name) + valueSize(value)
  return size
}

function textSize(text: string): number {
  return 5 + Buffer.byteLength(text)
}

function valueSize(value: HeaderValue): number {
  if (typeof value === 'string') return textSize(value)
  return value instanceof Uint8Array ? 5 + value.length : 9
}

type Headers = readonly (readonly [string, HeaderValue])[]

const NO_HEADERS: Headers = []

/** n.b. most messages have none: listing those of an empty object took as long as writing the message. */
function headersOf({ headers }: WireMessage): Headers {
  return headers === undefined ? NO_HEADERS : Object.entries(headers)
}

/** Writes one message. @throws RangeError for what the format does not have */
export function writeMessage(writer: CborWriter, message: WireMessage, head: MessageDefaults): void {
  const headers = headersOf(message)
  check(message, headers.length)
  const offset = message.createdAtMs - head.createdAtMs
  const flags = (message.receiptWanted ? RECEIPT_WANTED : 0) | (message.request ? REQUEST : 0)
  writer.map(countKeys(message, offset, flags, headers.length, head.ttlSeconds))
  writer.integer(1)
  writer.text(message.type)
  writer.integer(2)
  writer.bytes(message.payload)
  if (offset !== 0) writeKey(writer, 3, offset)
  if (message.ttlSeconds !== head.ttlSeconds) writeKey(writer, 4, message.ttlSeconds)
  if (message.contentType !== DEFAULT_CONTENT_TYPE) writeKey(writer, 5, message.contentType)
  if (message.correlationId !== undefined) writeKey(writer, 6, message.correlationId)
  if (message.replyTo !== undefined) writeKey(writer, 7, message.replyTo)
  if (message.inReplyTo !== undefined) writeKey(writer, 8, messageIdValue(message.inReplyTo))
  if (flags !== 0) writeKey(writer, 9, flags)
  if (headers.length > 0) writeKey(writer, 10, new Map<string, CborValue>(headers))
}

function check(message: WireMessage, headers: number): void {
  if (!isMessageType(message.type)) throw new RangeError('message: type must be 1..64 of A-Z a-z 0-9 . _ / -')
  const { ttlSeconds } = message
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_LIFETIME_S) {
    throw new RangeError(`message: ttl must be 1..${MAX_LIFETIME_S} whole seconds, got ${ttlSeconds}`)
  }
  if (headers > MAX_HEADERS) throw new RangeError(`message: at most ${MAX_HEADERS} headers, got ${headers}`)
}

function countKeys(
  message: WireMessage,
  offset: number,
  flags: number,
  headers: number,
  ttl: number,
): number {
  return (
    2 +
    Number(offset !== 0) +
    Number(message.ttlSeconds !== ttl) +
    Number(message.contentType !== DEFAULT_CONTENT_TYPE) +
    Number(message.correlationId !== undefined) +
    Number(message.replyTo !== undefined) +
    Number(message.inReplyTo !== undefined) +
    Number(flags !== 0) +
    Number(headers > 0)
  )
}

function writeKey(writer: CborWriter, key: number, value: CborValue): void {
  writer.integer(key)
  writer.value(value, 2)
}

/** `[epoch, seq]` as CBOR has it. @throws RangeError unless the epoch is 16 hex digits */
export function messageIdValue(id: MessageId): readonly CborValue[] {
  return [epochBytes(id.epoch), id.seq]
}

/** An epoch's 8 bytes from 16 hex digits. @throws RangeError */
export function epochBytes(hex: string): Uint8Array {
  if (!/^[0-9a-f]{16}$/.test(hex)) throw new RangeError('epoch: expected 16 lower-case hex digits')
  return Buffer.from(hex, 'hex')
}

/** Defaults filled in first: an object that keeps one shape is read ten times faster than one spread together. */
type Draft = { -readonly [K in keyof WireMessage]: WireMessage[K] }

const NO_TYPE = ''
const NO_PAYLOAD = new Uint8Array(0)

/** Reads one message. @throws CborError */
export function readMessage(reader: CborReader, head: MessageDefaults): WireMessage {
  const draft: Draft = {
    type: NO_TYPE,
    payload: NO_PAYLOAD,
    createdAtMs: head.createdAtMs,
    ttlSeconds: head.ttlSeconds,
    contentType: DEFAULT_CONTENT_TYPE,
    receiptWanted: false,
    request: false,
  }
  const ignored = ignoredBudget()
  let before = 0
  for (let left = reader.map(); left > 0; left--) {
    const key = reader.unsigned()
    if (key <= before) throw new CborError('expected message keys once, rising, from 1') // §4.2.1, for unsigned keys
    before = key
    readField(reader, key, draft, head, ignored)
  }
  if (draft.type === NO_TYPE || draft.payload === NO_PAYLOAD)
    throw new CborError('expected a type and a payload')
  return draft
}

function readField(
  reader: CborReader,
  key: number,
  draft: Draft,
  head: MessageDefaults,
  ignored: Budget,
): void {
  switch (key) {
    case 1:
      draft.type = readType(reader)
      return
    case 2:
      draft.payload = reader.bytes()
      return
    case 3:
      draft.createdAtMs = timeMs(head.createdAtMs + reader.unsigned())
      return
    case 4:
      draft.ttlSeconds = ttl(reader.unsigned())
      return
    case 5:
      draft.contentType = reader.text()
      return
    case 6:
      draft.correlationId = textOrBytes(reader.spend({ items: 1, bytes: Infinity }, 2))
      return
    case 7:
      draft.replyTo = reader.text()
      return
    case 8:
      draft.inReplyTo = readMessageId(reader)
      return
    case 9:
      readFlags(reader.unsigned(), draft)
      return
    case 10:
      draft.headers = readHeaders(reader.spend({ items: 1 + 2 * MAX_HEADERS, bytes: Infinity }, 2))
      return
    default:
      if (key < 64) throw new CborError(`expected no message key ${key}`)
      reader.spend(ignored, 2) // ignored, but well-formed
  }
}

function readType(reader: CborReader): string {
  const type = reader.text()
  if (!isMessageType(type)) throw new CborError('expected a type of 1..64 allowed characters')
  return type
}

/** A lifetime in seconds within the limits. @throws CborError */
export function ttl(seconds: number): number {
  if (seconds < 1 || seconds > MAX_LIFETIME_S) throw new CborError(`expected a ttl of 1..${MAX_LIFETIME_S} s`)
  return seconds
}

/** A time that a `Date` can hold. @throws CborError */
export function timeMs(ms: number): number {
  if (ms > 8.64e15) throw new CborError('expected a time that a calendar has')
  return ms
}

function textOrBytes(value: CborValue): string | Uint8Array {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  throw new CborError('expected a correlation id of text or bytes')
}

/** `[epoch, seq]`. @throws CborError */
export function readMessageId(reader: CborReader): MessageId {
  if (reader.array() !== 2) throw new CborError('expected [epoch, seq]')
  return { epoch: readEpoch(reader), seq: reader.unsigned() }
}

/** An epoch as 16 hex digits. @throws CborError */
export function readEpoch(reader: CborReader): string {
  const bytes = reader.bytes()
  if (bytes.length !== EPOCH_BYTES) throw new CborError(`expected an epoch of ${EPOCH_BYTES} bytes`)
  return toHex(bytes)
}

function readFlags(flags: number, draft: Draft): void {
  if (flags > (RECEIPT_WANTED | REQUEST)) throw new CborError('expected no unknown flags')
  draft.receiptWanted = (flags & RECEIPT_WANTED) !== 0
  draft.request = (flags & REQUEST) !== 0
}

/** n.b. an object without prototype: `__proto__` and `constructor` are names like any other. */
function readHeaders(value: CborValue): Record<string, HeaderValue> {
  if (!(value instanceof Map) || value.size > MAX_HEADERS)
    throw new CborError(`expected a map of at most ${MAX_HEADERS} headers`)
  const headers = Object.create(null) as Record<string, HeaderValue>
  for (const [name, item] of value as ReadonlyMap<number | string, CborValue>) {
    if (typeof name !== 'string' || !isHeaderValue(item))
      throw new CborError('expected headers of text, bytes, integer, bool')
    headers[name] = item
  }
  return headers
}

function isHeaderValue(value: CborValue): value is HeaderValue {
  return typeof value !== 'object' || value instanceof Uint8Array
}
