/**
 * Frames of an append-only log: a torn tail can be told from damage elsewhere.
 *
 * ```text
 * frame = length(4) ‖ crc32(length)(4) ‖ crc32(payload)(4) ‖ payload      integers big-endian
 * ```
 *
 * A crash tears at most what was written since the last fsync, which lies at the end. So bytes that are no frame and are
 * followed by none are a torn tail; followed by a whole frame they are damage.
 */
import { crc32 } from 'node:zlib'
import { concat } from '../bytes.js'

/** What a frame takes besides its payload. */
export const HEADER_BYTES = 12

export function encodeFrame(payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(payload.length, 0)
  header.writeUInt32BE(crc32(header.subarray(0, 4)), 4)
  header.writeUInt32BE(crc32(payload), 8)
  return concat(header, payload)
}

export interface ParsedLog {
  readonly payloads: readonly Uint8Array[]
  /** Bytes up to the end of the last whole frame: the rest is a torn tail. */
  readonly length: number
  /** Where bytes that are no frame stand before a whole frame. */
  readonly damagedAt: number | undefined
}

export function parseFrames(log: Uint8Array): ParsedLog {
  const bytes = Buffer.from(log.buffer, log.byteOffset, log.length)
  const payloads: Uint8Array[] = []
  let at = 0
  for (let payload = frameAt(bytes, at); payload; payload = frameAt(bytes, at)) {
    payloads.push(payload)
    at += HEADER_BYTES + payload.length
  }
  return { payloads, length: at, damagedAt: hasFrameAfter(bytes, at) ? at : undefined }
}

/** The payload of the frame that begins at `at`; undefined where none does. */
export function frameAt(bytes: Buffer, at: number): Uint8Array | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined
  if (bytes.readUInt32BE(at + 4) !== crc32(bytes.subarray(at, at + 4))) return undefined
  const start = at + HEADER_BYTES
  const end = start + bytes.readUInt32BE(at)
  if (end > bytes.length) return undefined
  const payload = bytes.subarray(start, end)
  return bytes.readUInt32BE(at + 8) === crc32(payload) ? payload : undefined
}

function hasFrameAfter(bytes: Buffer, at: number): boolean {
  for (let next = at + 1; next + HEADER_BYTES <= bytes.length; next++) if (frameAt(bytes, next)) return true
  return false
}
