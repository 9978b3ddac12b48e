/** Bytes: joining, comparing, hexadecimal, and the length-prefixed strings of docs/PROTOCOL.md. */

/** Joins parts into one new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** `lp(x) = length(1) ‖ x`. @throws RangeError over 255 bytes */
export function lp(x: Uint8Array | string): Uint8Array {
  const bytes = typeof x === 'string' ? utf8(x) : x
  if (bytes.length > 255) throw new RangeError(`lp: expected at most 255 bytes, got ${bytes.length}`)
  return concat(Uint8Array.of(bytes.length), bytes)
}

const encoder = new TextEncoder()

/** A string as UTF-8. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
/** Up to here a loop over a table is faster than a call into C++: ids have 8 or 16 bytes. */
const SHORT_HEX = 16

/** Lower-case hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length <= SHORT_HEX) {
    let hex = ''
    for (const byte of bytes) hex += HEX[byte] ?? ''
    return hex
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

/** The inverse of {@link toHex}. @throws RangeError for anything but whole pairs of hex digits */
export function fromHex(hex: string): Uint8Array {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(hex)) throw new RangeError('fromHex: expected pairs of hex digits')
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

/** Same length and content. n.b. not constant-time: for public values only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}
