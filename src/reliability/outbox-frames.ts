/**
 * What stands in the frames of an outbox segment (log-frames.ts frames the bytes).
 *
 * ```text
 * payload = synced(4) ‖ kind(1) ‖ rest                                     integers big-endian; numbers as doubles
 * lane    = kind 1 ‖ lane(4) ‖ JSON {domain, address, priority, epoch, next, floor, announced, overEnds, lastExpiryMs}
 * record  = kind 2 ‖ lane(4) ‖ flags(1) ‖ count(2) ‖ seq(8) ‖ floor(8) ‖ expiresAtMs(8) ‖ id(16) ‖ sealed body
 * ends    = kind 3 ‖ any number of: lane(4) ‖ how(1) ‖ count(2) ‖ seq(8) ‖ floor(8)
 * ```
 *
 * `synced`: where the last fsync of the segment had ended when this was written. So a whole frame behind bytes that are
 * none proves damage only if it was written after those bytes had been synced; else a crash has torn one group of writes.
 */
import { fromHex, toHex, utf8 } from '../bytes.js'
import { encodeFrame, frameAt, HEADER_BYTES } from './log-frames.js'
import type { EnvelopeFacts } from './outbox.js'

const LANE = 1
const RECORD = 2
const ENDS = 3
const UNTIL_HANDLED = 1
const DROPPABLE = 2
/** `synced` and `kind`. */
const PREFIX_BYTES = 5
const LANE_AT = PREFIX_BYTES + 4
const BODY_AT = 52
const END_BYTES = 23
/** What a record takes on disk besides its body. */
export const RECORD_OVERHEAD: number = HEADER_BYTES + BODY_AT

/** A lane's numbers, as they are known on disk. */
export interface LaneEntry {
  readonly domain: string
  readonly address: string
  readonly priority: 'command' | 'report' | 'backfill' | 'receipt'
  readonly epoch: string
  readonly next: number
  readonly floor: number
  readonly announced: number
  readonly overEnds: readonly number[]
  /** When the last of its messages expires, ms. */
  readonly lastExpiryMs: number
}

/** How something of a lane ended; `announced`: nothing did, but its floor is known to the recipient's inbox. */
export type EndHow = 'settled' | 'over' | 'announced'
const HOWS: readonly EndHow[] = ['settled', 'over', 'announced']

/** The end of the record that begins at `seq`. */
export interface End {
  readonly lane: number
  readonly how: EndHow
  readonly seq: number
  readonly count: number
  readonly floor: number
}

export interface RecordEntry extends EnvelopeFacts {
  readonly lane: number
  readonly body: Uint8Array
}

export type OutboxEntry =
  | { readonly kind: 'lane'; readonly lane: number; readonly entry: LaneEntry }
  | { readonly kind: 'record'; readonly record: RecordEntry }
  | { readonly kind: 'ends'; readonly ends: readonly End[] }

export function laneFrame(synced: number, lane: number, entry: LaneEntry): Uint8Array {
  const json = utf8(JSON.stringify(entry))
  const bytes = payload(synced, LANE, LANE_AT + json.length)
  bytes.writeUInt32BE(lane, PREFIX_BYTES)
  bytes.set(json, LANE_AT)
  return encodeFrame(bytes)
}

export function recordFrame(synced: number, record: RecordEntry): Uint8Array {
  const bytes = payload(synced, RECORD, BODY_AT + record.body.length)
  bytes.writeUInt32BE(record.lane, PREFIX_BYTES)
  bytes[9] = (record.untilHandled ? UNTIL_HANDLED : 0) | (record.droppable ? DROPPABLE : 0)
  bytes.writeUInt16BE(record.count, 10)
  bytes.writeDoubleBE(record.seq, 12)
  bytes.writeDoubleBE(record.floor, 20)
  bytes.writeDoubleBE(record.expiresAtMs, 28)
  bytes.set(fromHex(record.id), 36)
  bytes.set(record.body, BODY_AT)
  return encodeFrame(bytes)
}

export function endsFrame(synced: number, ends: readonly End[]): Uint8Array {
  const bytes = payload(synced, ENDS, PREFIX_BYTES + ends.length * END_BYTES)
  for (const [i, { lane, how, count, seq, floor }] of ends.entries()) {
    const at = PREFIX_BYTES + i * END_BYTES
    bytes.writeUInt32BE(lane, at)
    bytes[at + 4] = HOWS.indexOf(how)
    bytes.writeUInt16BE(count, at + 5)
    bytes.writeDoubleBE(seq, at + 7)
    bytes.writeDoubleBE(floor, at + 15)
  }
  return encodeFrame(bytes)
}

/** The payload of a record's frame, moved to another place: only what was synced there differs. */
export function movedFrame(synced: number, old: Uint8Array): Uint8Array {
  const bytes = Buffer.from(old)
  bytes.writeUInt32BE(synced, 0)
  return encodeFrame(bytes)
}

/** @throws Error where the payload is none of ours, though its checksum was right */
export function parseEntry(given: Uint8Array): OutboxEntry {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.length)
  const kind = bytes[4]
  if (kind === LANE) return parseLane(bytes)
  if (kind === RECORD && bytes.length >= BODY_AT) return { kind: 'record', record: parseRecord(bytes) }
  if (kind === ENDS && (bytes.length - PREFIX_BYTES) % END_BYTES === 0)
    return { kind: 'ends', ends: parseEnds(bytes) }
  throw new Error(`frame of kind ${kind ?? 'none'}`)
}

export interface ParsedSegment {
  readonly frames: readonly { readonly at: number; readonly payload: Uint8Array }[]
  /** Bytes up to the end of the last whole frame: the rest is a torn tail. */
  readonly length: number
  /** Where bytes that had been synced are no frame. */
  readonly damagedAt: number | undefined
}

export function parseSegment(segment: Uint8Array): ParsedSegment {
  const bytes = Buffer.from(segment.buffer, segment.byteOffset, segment.length)
  const frames: { at: number; payload: Uint8Array }[] = []
  let at = 0
  for (let found = frameAt(bytes, at); found; found = frameAt(bytes, at)) {
    frames.push({ at, payload: found })
    at += HEADER_BYTES + found.length
  }
  return { frames, length: at, damagedAt: provesDamage(bytes, at) ? at : undefined }
}

/** A frame behind `at` was written when `at` had been synced. */
function provesDamage(bytes: Buffer, at: number): boolean {
  for (let next = at + 1; next + HEADER_BYTES + PREFIX_BYTES <= bytes.length; ) {
    const found = frameAt(bytes, next)
    if (found && Buffer.from(found).readUInt32BE(0) > at) return true
    next += found ? HEADER_BYTES + found.length : 1
  }
  return false
}

function payload(synced: number, kind: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32BE(synced, 0)
  bytes[4] = kind
  return bytes
}

function parseLane(bytes: Buffer): OutboxEntry {
  const entry = JSON.parse(bytes.subarray(LANE_AT).toString('utf8')) as LaneEntry
  return { kind: 'lane', lane: bytes.readUInt32BE(PREFIX_BYTES), entry }
}

/** n.b. the body is a view of the bytes. */
function parseRecord(bytes: Buffer): RecordEntry {
  const flags = bytes.readUInt8(9)
  return {
    lane: bytes.readUInt32BE(PREFIX_BYTES),
    untilHandled: (flags & UNTIL_HANDLED) !== 0,
    droppable: (flags & DROPPABLE) !== 0,
    count: bytes.readUInt16BE(10),
    seq: bytes.readDoubleBE(12),
    floor: bytes.readDoubleBE(20),
    expiresAtMs: bytes.readDoubleBE(28),
    id: toHex(bytes.subarray(36, BODY_AT)),
    body: bytes.subarray(BODY_AT),
  }
}

function parseEnds(bytes: Buffer): End[] {
  return Array.from({ length: (bytes.length - PREFIX_BYTES) / END_BYTES }, (_, i) => {
    const at = PREFIX_BYTES + i * END_BYTES
    const how = HOWS[bytes.readUInt8(at + 4)]
    if (how === undefined) throw new Error('an end of an unknown kind')
    const numbers = { seq: bytes.readDoubleBE(at + 7), floor: bytes.readDoubleBE(at + 15) }
    return { lane: bytes.readUInt32BE(at), how, count: bytes.readUInt16BE(at + 5), ...numbers }
  })
}
