/** The part of CBOR (RFC 8949) that sealbus writes and reads: its values, its limits, its error. */

/**
 * | CBOR | here |
 * | --- | --- |
 * | unsigned, negative | integer within ±(2^53 − 1) |
 * | byte string | `Uint8Array` |
 * | text string | `string`, well-formed |
 * | false, true | `boolean` |
 * | array | array |
 * | map, keys integer or text | `Map`, never an object: `__proto__` is a key like any other |
 */
export type CborValue =
  | number
  | string
  | boolean
  | Uint8Array
  | readonly CborValue[]
  | ReadonlyMap<number | string, CborValue>

/** Depth of nesting, the top item being 1; a number in an array in an array is at depth 3. */
export const MAX_DEPTH = 4

/** Bytes that are not the CBOR expected, or a value that it does not have. */
export class CborError extends RangeError {
  override readonly name: string = 'CborError'

  /** @param message - what was expected and what came, without the content */
  constructor(message: string) {
    super(`CBOR: ${message}`)
  }
}
