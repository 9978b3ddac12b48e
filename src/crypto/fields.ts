/** Reading decoded CBOR of cards and lists field by field: each says by a RangeError what it expected. */
import type { CborValue } from '../codec/cbor.js'

/** Keys up to here are reserved: an unknown one is refused; larger ones are ignored (docs/PROTOCOL.md). */
const LAST_RESERVED_KEY = 63

/** A map with exactly these integer keys, and any above 63; returns its reader. */
export function fields(
  value: CborValue | undefined,
  name: string,
  keys: readonly number[],
): (key: number) => CborValue | undefined {
  if (!(value instanceof Map)) throw new RangeError(`${name}: expected a map`)
  const map = value as ReadonlyMap<number | string, CborValue>
  for (const key of map.keys()) {
    const known = typeof key === 'number' && (keys.includes(key) || key > LAST_RESERVED_KEY)
    if (!known) throw new RangeError(`${name}: unknown key ${key}`)
  }
  return key => map.get(key)
}

/** An array, of exactly `length` members where that is given. */
export function array(value: CborValue | undefined, name: string, length?: number): readonly CborValue[] {
  if (!Array.isArray(value)) throw new RangeError(`${name}: expected an array`)
  if (length !== undefined && value.length !== length)
    throw new RangeError(`${name}: expected ${length} members, got ${value.length}`)
  return value as readonly CborValue[]
}

/** A byte string, of exactly `length` bytes where that is given. */
export function bytes(value: CborValue | undefined, name: string, length?: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new RangeError(`${name}: expected bytes`)
  if (length !== undefined && value.length !== length)
    throw new RangeError(`${name}: expected ${length} bytes, got ${value.length}`)
  return value
}

/** An integer within bounds. */
export function integer(
  value: CborValue | undefined,
  name: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || value < min || value > max)
    throw new RangeError(`${name}: expected an integer in ${min}..${max}`)
  return value
}

/** A text string that matches. */
export function text(
  value: CborValue | undefined,
  name: string,
  pattern: RegExp = /^[A-Za-z0-9_-]{1,64}$/,
): string {
  if (typeof value !== 'string' || !pattern.test(value))
    throw new RangeError(`${name}: expected ${String(pattern)}`)
  return value
}
