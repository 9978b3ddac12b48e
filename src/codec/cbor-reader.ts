/**
 * Reads foreign CBOR strictly: only what RFC 8949 §4.2.1 would have written is accepted. Refused: tags, floats, null and
 * other simple values, indefinite lengths, integers and lengths that are not the shortest, integers beyond ±(2^53 − 1), map
 * keys out of order or twice, keys that are neither integer nor text, invalid UTF-8, depth over 4, lengths beyond the end.
 */
import { isUtf8 } from 'node:buffer'
import { CborError, type CborValue, MAX_DEPTH } from './cbor-value.js'

const UNSIGNED = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const SIMPLE = 7
const NAMES = [
  'unsigned',
  'negative',
  'byte string',
  'text',
  'array',
  'map',
  'tag',
  'simple or float',
] as const
const SHORT_TEXT = 24
/** More items than an input of that many bytes can have. */
const UNBOUNDED = 0x3fffffff
/** The least argument that needs 1, 2, 4, 8 bytes. */
const LEAST = [24, 0x100, 0x10000, 0x100000000] as const

/** What may still be read of something that nobody has vouched for. n.b. a million items take a second and 190 MB. */
export interface Budget {
  /** Numbers, strings, booleans, arrays, maps, and keys of maps: each counts as one. */
  items: number
  bytes: number
}

/** A cursor over one buffer, with one method for each kind of item. */
export class CborReader {
  readonly #in: Uint8Array
  #at = 0
  #argument = 0
  /** Items that {@link CborReader.value} may still read, and where the last byte string or text must end. */
  #items = UNBOUNDED
  #end: number

  /** @param bytes - not copied; must not change while it is read */
  constructor(bytes: Uint8Array) {
    // n.b. never a Buffer, whose slice is no copy
    this.#in = Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes
    this.#end = bytes.length
  }

  /** Offset of the next item. */
  get position(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at === this.#in.length
  }

  /** An integer from 0 to 2^53 − 1. */
  unsigned(): number {
    this.#expect(UNSIGNED)
    return this.#argument
  }

  /** A copy of a byte string. */
  bytes(): Uint8Array {
    this.#expect(BYTES)
    return this.#bytes()
  }

  text(): string {
    this.#expect(TEXT)
    return this.#text()
  }

  /** Head of an array: its length. */
  array(): number {
    this.#expect(ARRAY)
    return this.#count(1)
  }

  /** Head of a map: how many pairs. n.b. the caller checks the order of keys. */
  map(): number {
    this.#expect(MAP)
    return this.#count(2)
  }

  /** Any item that keeps within a budget, which it lowers. n.b. refused as soon as it leaves it, not after it was read. */
  spend(budget: Budget, depth: number): CborValue {
    const from = this.#at
    this.#items = budget.items
    this.#end = Math.min(this.#in.length, from + budget.bytes)
    const value = this.value(depth)
    budget.items = this.#items
    budget.bytes -= this.#at - from
    if (budget.bytes < 0) throw new CborError('expected fewer bytes')
    this.#items = UNBOUNDED
    this.#end = this.#in.length
    return value
  }

  /** Any item. @param depth - that of the item itself */
  value(depth = 1): CborValue {
    if (--this.#items < 0) throw new CborError('expected fewer items')
    if (depth > MAX_DEPTH) throw new CborError(`expected a depth of at most ${MAX_DEPTH}`)
    const major = this.#head()
    switch (major) {
      case UNSIGNED:
        return this.#argument
      case NEGATIVE:
        return this.#negative()
      case BYTES:
        return this.#bytes()
      case TEXT:
        return this.#text()
      case ARRAY:
        return this.#list(this.#count(1), depth + 1)
      case MAP:
        return this.#pairs(this.#count(2), depth + 1)
      case SIMPLE:
        return this.#boolean()
      default:
        throw new CborError('expected no tags')
    }
  }

  #list(count: number, depth: number): CborValue[] {
    const items: CborValue[] = []
    for (let i = 0; i < count; i++) items.push(this.value(depth))
    return items
  }

  #pairs(count: number, depth: number): Map<number | string, CborValue> {
    const map = new Map<number | string, CborValue>()
    let before: Uint8Array | undefined
    for (let i = 0; i < count; i++) {
      const from = this.#at
      const key = this.value(depth)
      if (typeof key !== 'number' && typeof key !== 'string')
        throw new CborError('expected keys of integer or text')
      const encoded = this.#in.subarray(from, this.#at)
      // RFC 8949 §4.2.1: strictly rising, which leaves no room for duplicates
      if (before !== undefined && Buffer.compare(before, encoded) >= 0)
        throw new CborError('expected map keys once and in order')
      before = encoded
      map.set(key, this.value(depth))
    }
    return map
  }

  #negative(): number {
    if (this.#argument === Number.MAX_SAFE_INTEGER)
      throw new CborError('expected an integer within ±(2^53 − 1)')
    return -1 - this.#argument
  }

  #boolean(): boolean {
    if (this.#argument !== 20 && this.#argument !== 21)
      throw new CborError('expected no simple value but true and false')
    return this.#argument === 21
  }

  #bytes(): Uint8Array {
    const from = this.#take()
    return this.#in.slice(from, this.#at)
  }

  #text(): string {
    const from = this.#take()
    const to = this.#at
    if (to - from <= SHORT_TEXT) {
      let text = ''
      for (let i = from; i < to; i++) {
        const byte = this.#in[i] ?? 0
        if (byte > 0x7f) return this.#utf8(from, to)
        text += String.fromCharCode(byte)
      }
      return text
    }
    return this.#utf8(from, to)
  }

  #utf8(from: number, to: number): string {
    const bytes = this.#in.subarray(from, to)
    if (!isUtf8(bytes)) throw new CborError('expected valid UTF-8')
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  }

  /** Steps over `#argument` bytes; returns where they start. */
  #take(): number {
    const from = this.#at
    if (this.#argument > this.#end - from) throw new CborError('expected a length within the limits')
    this.#at = from + this.#argument
    return from
  }

  /** A number of items, each of `least` bytes or more: one that cannot fit is refused before anything is allocated. */
  #count(least: number): number {
    if (this.#argument * least > this.#end - this.#at || this.#argument * least > this.#items)
      throw new CborError('expected a length within the limits')
    return this.#argument
  }

  #expect(expected: number): void {
    const major = this.#head()
    if (major !== expected)
      throw new CborError(`expected ${NAMES[expected] ?? ''}, got ${NAMES[major] ?? ''}`)
  }

  /** Reads initial byte and argument, RFC 8949 §3; returns the major type. */
  #head(): number {
    const initial = this.#byte()
    const major = initial >> 5
    const info = initial & 0x1f
    if (info < 24) this.#argument = info
    else if (major === SIMPLE || info > 27)
      throw new CborError('expected no floats, no indefinite lengths, no reserved values')
    else this.#argument = this.#long(info)
    return major
  }

  #long(info: number): number {
    const size = 1 << (info - 24)
    if (size > this.#in.length - this.#at) throw new CborError('expected more bytes')
    const value = size === 8 ? this.#int64() : this.#bigEndian(this.#at, size)
    const least = LEAST[info - 24] ?? 0 // what fits in the next shorter form must use it
    if (value < least) throw new CborError('expected the shortest form of an integer')
    this.#at += size
    return value
  }

  #int64(): number {
    const high = this.#bigEndian(this.#at, 4)
    if (high > 0x1fffff) throw new CborError('expected an integer within ±(2^53 − 1)')
    return high * 0x100000000 + this.#bigEndian(this.#at + 4, 4)
  }

  /** An unsigned integer of at most 4 bytes. */
  #bigEndian(at: number, size: number): number {
    let value = 0
    for (let i = at; i < at + size; i++) value = value * 256 + (this.#in[i] ?? 0)
    return value
  }

  #byte(): number {
    const byte = this.#in[this.#at]
    if (byte === undefined) throw new CborError('expected more bytes')
    this.#at++
    return byte
  }
}
