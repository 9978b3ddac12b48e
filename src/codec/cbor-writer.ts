/**
 * Writes CBOR in core deterministic encoding (RFC 8949 §4.2.1): shortest integers and lengths, definite lengths, map keys in
 * bytewise order of their encoding. n.b. no tags, floats or null exist here, as nothing in docs/PROTOCOL.md has them.
 */
import { CborError, type CborValue, MAX_DEPTH } from './cbor-value.js'

const UNPAIRED_SURROGATE = /\p{Surrogate}/u
const SHORT_TEXT = 32 // below this a loop is faster than a call into C++

/** A growing buffer with one method for each kind of item. */
export class CborWriter {
  #out: Buffer
  #at = 0

  /** @param sizeHint - bytes to start with */
  constructor(sizeHint = 256) {
    this.#out = Buffer.allocUnsafe(sizeHint) // n.b. from Buffer's pool where it is small: a fifth of an own block's time
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at
  }

  /** What was written; the writer must not be used after it. */
  finish(): Uint8Array {
    return new Uint8Array(this.#out.buffer, this.#out.byteOffset, this.#at)
  }

  /** @throws CborError unless within ±(2^53 − 1) */
  integer(value: number): void {
    if (!Number.isSafeInteger(value))
      throw new CborError(`expected an integer within ±(2^53 − 1), got ${value}`)
    if (value < 0) this.#head(1, -1 - value)
    else this.#head(0, value)
  }

  bytes(value: Uint8Array): void {
    this.#head(2, value.length)
    this.#reserve(value.length)
    this.#out.set(value, this.#at)
    this.#at += value.length
  }

  /** @throws CborError for an unpaired surrogate, which UTF-8 cannot carry */
  text(value: string): void {
    const length = Buffer.byteLength(value)
    if (length !== value.length && UNPAIRED_SURROGATE.test(value)) {
      throw new CborError('expected text, got an unpaired surrogate')
    }
    this.#head(3, length)
    this.#reserve(length)
    if (length !== value.length) this.#out.write(value, this.#at, 'utf8')
    else if (length > SHORT_TEXT) this.#out.write(value, this.#at, 'latin1')
    else for (let i = 0; i < length; i++) this.#out[this.#at + i] = value.charCodeAt(i)
    this.#at += length
  }

  boolean(value: boolean): void {
    this.#byte(value ? 0xf5 : 0xf4)
  }

  /** Head of an array; `length` items must follow. */
  array(length: number): void {
    this.#head(4, length)
  }

  /** Head of a map; `size` pairs must follow, in the order of their encoded keys. */
  map(size: number): void {
    this.#head(5, size)
  }

  /** Any value; sorts the keys of maps. @throws CborError deeper than 4, and as the other methods */
  value(value: CborValue, depth = 1): void {
    if (depth > MAX_DEPTH) throw new CborError(`expected a depth of at most ${MAX_DEPTH}`)
    if (typeof value === 'number') this.integer(value)
    else if (typeof value === 'string') this.text(value)
    else if (typeof value === 'boolean') this.boolean(value)
    else if (value instanceof Uint8Array) this.bytes(value)
    else if (isMap(value)) this.#sortedMap(value, depth)
    else this.#items(value, depth)
  }

  #items(items: readonly CborValue[], depth: number): void {
    this.array(items.length)
    for (const item of items) this.value(item, depth + 1)
  }

  #sortedMap(map: ReadonlyMap<number | string, CborValue>, depth: number): void {
    const pairs = [...map].map(([key, item]) => ({ key: encodedKey(key, depth + 1), item }))
    pairs.sort((a, b) => Buffer.compare(a.key, b.key)) // RFC 8949 §4.2.1
    this.map(pairs.length)
    for (const { key, item } of pairs) {
      this.#reserve(key.length)
      this.#out.set(key, this.#at)
      this.#at += key.length
      this.value(item, depth + 1)
    }
  }

  /** Initial byte and argument in the shortest form, RFC 8949 §3. */
  #head(major: number, argument: number): void {
    this.#reserve(9)
    const initial = major << 5
    const out = this.#out
    if (argument < 24) this.#at = out.writeUInt8(initial | argument, this.#at)
    else if (argument < 0x100) this.#at = out.writeUInt16BE(((initial | 24) << 8) | argument, this.#at)
    else if (argument < 0x10000) {
      this.#at = out.writeUInt8(initial | 25, this.#at)
      this.#at = out.writeUInt16BE(argument, this.#at)
    } else if (argument < 0x100000000) {
      this.#at = out.writeUInt8(initial | 26, this.#at)
      this.#at = out.writeUInt32BE(argument, this.#at)
    } else {
      this.#at = out.writeUInt8(initial | 27, this.#at)
      this.#at = out.writeUInt32BE(Math.floor(argument / 0x100000000), this.#at)
      this.#at = out.writeUInt32BE(argument % 0x100000000, this.#at)
    }
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#out[this.#at++] = value
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#out.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, this.#at + more))
    grown.set(this.#out.subarray(0, this.#at))
    this.#out = grown
  }
}

function isMap(value: CborValue): value is ReadonlyMap<number | string, CborValue> {
  return value instanceof Map
}

function encodedKey(key: number | string, depth: number): Uint8Array {
  const writer = new CborWriter(16)
  writer.value(key, depth)
  return writer.finish()
}
