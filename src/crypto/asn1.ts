/**
 * ASN.1 in DER (ITU-T X.690 §10), the part that certificates need: building, strict parsing, reading.
 * The only importer of node-forge, and only of its `asn1` module: forge's certificates know RSA alone.
 *
 * n.b. forge reads BER leniently (indefinite and over-long lengths), so {@link parseDer} writes what it read again and
 * compares: what is not the one canonical encoding is refused.
 */
import forge from 'node-forge'

/** One node. Opaque to callers: made by the constructors, read by the readers of this file. */
export interface Asn1 {
  readonly tagClass: number
  readonly type: number
  readonly constructed: boolean
  /** Children, or the content octets as forge's binary string. */
  readonly value: string | readonly Asn1[]
}

/** Nothing that a PKI of ours reads is larger. */
const MAX_BYTES: number = 64 * 1024
/** Deepest nesting of a certificate is about 9. */
const MAX_DEPTH = 24

const UNIVERSAL = 0x00
const CONTEXT_SPECIFIC = 0x80

/** Tag numbers of the universal class that this file knows by name (X.680 §8.4). */
const KINDS = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  oid: 6,
  utf8String: 12,
  sequence: 16,
  set: 17,
  printableString: 19,
  ia5String: 22,
  utcTime: 23,
  generalizedTime: 24,
} as const

/** What is used of forge's `asn1` module; binary strings hold one byte a character. */
interface Forge {
  create(tagClass: number, type: number, constructed: boolean, value: string | readonly Asn1[]): Asn1
  fromDer(binary: string, options: Readonly<Record<string, boolean | number>>): Asn1
  toDer(node: Asn1): { getBytes(): string }
  oidToDer(dotted: string): { getBytes(): string }
  derToOid(binary: string): string
}

const der: Forge = forge.asn1 as unknown as Forge

/** The kinds of node that {@link kindOf} tells apart. */
export type Kind = keyof typeof KINDS | 'context' | 'other'

const toBinary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const fromBinary = (binary: string): Uint8Array => new Uint8Array(Buffer.from(binary, 'latin1'))

const primitive = (kind: keyof typeof KINDS, content: string): Asn1 =>
  der.create(UNIVERSAL, KINDS[kind], false, content)

/**
 * Parses one DER value that fills the whole input.
 * @throws RangeError for anything but canonical DER, trailing bytes, over 64 KiB, nesting over 24
 */
export function parseDer(bytes: Uint8Array): Asn1 {
  if (bytes.length > MAX_BYTES)
    throw new RangeError(`parseDer: expected at most ${MAX_BYTES} bytes, got ${bytes.length}`)
  let node: Asn1
  try {
    const options = { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: MAX_DEPTH }
    node = der.fromDer(toBinary(bytes), options)
  } catch (cause) {
    throw new RangeError('parseDer: expected one DER value, got something else', { cause })
  }
  if (Buffer.compare(toDer(node), bytes) !== 0)
    throw new RangeError('parseDer: expected DER, got another encoding')
  return node
}

/** The DER encoding. */
export function toDer(node: Asn1): Uint8Array {
  return fromBinary(der.toDer(node).getBytes())
}

// Constructors

export function sequence(...nodes: readonly Asn1[]): Asn1 {
  return der.create(UNIVERSAL, KINDS.sequence, true, nodes)
}

/** n.b. DER sorts a SET OF by encoding (X.690 §11.6). */
export function set(...nodes: readonly Asn1[]): Asn1 {
  const sorted = nodes.toSorted((a, b) => Buffer.compare(toDer(a), toDer(b)))
  return der.create(UNIVERSAL, KINDS.set, true, sorted)
}

/** An object identifier from its dotted form, such as `1.2.840.10045.4.3.2`. @throws RangeError */
export function oid(dotted: string): Asn1 {
  if (!/^[0-2](?:\.(?:0|[1-9][0-9]{0,8}))+$/.test(dotted))
    throw new RangeError(`oid: expected a dotted form such as 2.5.4.3, got ${dotted}`)
  return primitive('oid', der.oidToDer(dotted).getBytes())
}

/** A non-negative integer: a number up to 2^53 − 1, or unsigned big-endian bytes. @throws RangeError */
export function integer(value: number | Uint8Array): Asn1 {
  const unsigned = typeof value === 'number' ? unsignedBytes(value) : value
  const first = unsigned.findIndex(byte => byte !== 0)
  const minimal = first < 0 ? Uint8Array.of(0) : unsigned.subarray(first)
  const sign = (minimal[0] ?? 0) > 0x7f ? '\0' : ''
  return primitive('integer', sign + toBinary(minimal))
}

function unsignedBytes(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`integer: expected 0..2^53 − 1, got ${value}`)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

/** @param unusedBits - how many of the last byte's low bits do not count, 0..7; they must be zero */
export function bitString(bytes: Uint8Array, unusedBits = 0): Asn1 {
  const last = bytes.at(-1) ?? 0
  if (unusedBits < 0 || unusedBits > 7 || (last & ((1 << unusedBits) - 1)) !== 0)
    throw new RangeError(`bitString: expected 0..7 unused bits that are zero, got ${unusedBits}`)
  return primitive('bitString', String.fromCharCode(unusedBits) + toBinary(bytes))
}

export function octetString(bytes: Uint8Array): Asn1 {
  return primitive('octetString', toBinary(bytes))
}

export function utf8String(text: string): Asn1 {
  return primitive('utf8String', toBinary(Buffer.from(text, 'utf8')))
}

/** @throws RangeError for a character outside X.680 §41.4 */
export function printableString(text: string): Asn1 {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text))
    throw new RangeError("printableString: expected letters, digits, space or any of '()+,-./:=?")
  return primitive('printableString', text)
}

export function boolean(value: boolean): Asn1 {
  return primitive('boolean', value ? '\xff' : '\0')
}

/** UTCTime up to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5); whole seconds. @throws RangeError before 1950 */
export function time(date: Date): Asn1 {
  const year = date.getUTCFullYear()
  if (!(year >= 1950 && year <= 9999)) throw new RangeError('time: expected a date in 1950..9999')
  const digits = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return year < 2050 ? primitive('utcTime', digits.slice(2)) : primitive('generalizedTime', digits)
}

/** A context-specific tag, 0..30: constructed around nodes (EXPLICIT), or primitive over content octets (IMPLICIT). */
export function context(tag: number, constructed: boolean, content: readonly Asn1[] | Uint8Array): Asn1 {
  if (constructed !== Array.isArray(content))
    throw new TypeError('context: expected nodes where constructed, bytes where primitive')
  const value = content instanceof Uint8Array ? toBinary(content) : content
  return der.create(CONTEXT_SPECIFIC, tag, constructed, value)
}

/** Takes DER that something else has made, such as a SubjectPublicKeyInfo, byte for byte. @throws RangeError */
export function raw(encoded: Uint8Array): Asn1 {
  return parseDer(encoded)
}

// Readers: each says what it expected by a RangeError

export function kindOf(node: Asn1): Kind {
  if (node.tagClass === CONTEXT_SPECIFIC) return 'context'
  if (node.tagClass !== UNIVERSAL) return 'other'
  const entry = Object.entries(KINDS).find(([, type]) => type === node.type)
  return entry === undefined ? 'other' : (entry[0] as Kind)
}

function expectKind(node: Asn1, ...kinds: readonly Kind[]): void {
  if (!kinds.includes(kindOf(node)))
    throw new RangeError(`asn1: expected ${kinds.join(' or ')}, got ${kindOf(node)} (tag ${node.type})`)
}

/** Content octets of a primitive node, undecoded. @throws RangeError */
export function contentOf(node: Asn1): Uint8Array {
  if (typeof node.value !== 'string')
    throw new RangeError('asn1: expected a primitive value, got a constructed one')
  return fromBinary(node.value)
}

/** Members of a SEQUENCE, a SET or a constructed context tag. @throws RangeError */
export function children(node: Asn1, kind?: 'sequence' | 'set'): readonly Asn1[] {
  if (kind !== undefined) expectKind(node, kind)
  if (typeof node.value === 'string')
    throw new RangeError('asn1: expected a constructed value, got a primitive one')
  return node.value
}

/** The number of a context-specific tag, or undefined for any other node. */
export function contextTag(node: Asn1): number | undefined {
  return kindOf(node) === 'context' ? node.type : undefined
}

/** Dotted form. @throws RangeError */
export function oidOf(node: Asn1): string {
  expectKind(node, 'oid')
  const content = contentOf(node)
  if (content.length === 0 || (content.at(-1) ?? 0) > 0x7f) throw new RangeError('asn1: expected a whole OID')
  return der.derToOid(toBinary(content))
}

/** Octets of an OCTET STRING; of a BIT STRING of whole bytes. @throws RangeError */
export function bytesOf(node: Asn1): Uint8Array {
  expectKind(node, 'octetString', 'bitString')
  if (kindOf(node) === 'octetString') return contentOf(node)
  const { bytes, unusedBits } = bitsOf(node)
  if (unusedBits !== 0) throw new RangeError(`asn1: expected whole bytes, got ${unusedBits} unused bits`)
  return bytes
}

/** A BIT STRING; bit 0 is the first byte's highest. @throws RangeError */
export function bitsOf(node: Asn1): { bytes: Uint8Array; unusedBits: number } {
  expectKind(node, 'bitString')
  const content = contentOf(node)
  const unusedBits = content[0] ?? 8
  if (unusedBits > 7) throw new RangeError('asn1: expected a BIT STRING with 0..7 unused bits')
  return { bytes: content.subarray(1), unusedBits }
}

/** A non-negative INTEGER as minimal unsigned bytes, at least one. @throws RangeError if negative or not minimal */
export function integerOf(node: Asn1): Uint8Array {
  expectKind(node, 'integer')
  const content = contentOf(node)
  const [first = 0x80, second = 0x80] = content
  if (first > 0x7f) throw new RangeError('asn1: expected a non-negative INTEGER')
  if (first !== 0 || content.length === 1) return content
  if (second <= 0x7f) throw new RangeError('asn1: expected a minimal INTEGER')
  return content.subarray(1)
}

/** @throws RangeError for anything but 0x00 and 0xff (X.690 §11.1) */
export function booleanOf(node: Asn1): boolean {
  expectKind(node, 'boolean')
  const content = contentOf(node)
  const byte = content[0]
  if (content.length !== 1 || (byte !== 0 && byte !== 0xff))
    throw new RangeError('asn1: expected a DER BOOLEAN')
  return byte === 0xff
}

/** A UTF8String, PrintableString or IA5String. @throws RangeError for invalid UTF-8 or another kind */
export function textOf(node: Asn1): string {
  expectKind(node, 'utf8String', 'printableString', 'ia5String')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(contentOf(node))
  } catch (cause) {
    throw new RangeError('asn1: expected valid UTF-8', { cause })
  }
}

/** A UTCTime or GeneralizedTime in the form of RFC 5280 §4.1.2.5. @throws RangeError */
export function timeOf(node: Asn1): Date {
  expectKind(node, 'utcTime', 'generalizedTime')
  const digits = toAscii(node)
  const short = kindOf(node) === 'utcTime'
  if (!(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(digits)) throw new RangeError('asn1: expected YYMMDDHHMMSSZ')
  const full = short ? `${Number(digits.slice(0, 2)) < 50 ? '20' : '19'}${digits}` : digits
  const iso = full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const date = new Date(iso)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso)
    throw new RangeError('asn1: expected a date that exists')
  return date
}

function toAscii(node: Asn1): string {
  return Buffer.from(contentOf(node)).toString('latin1')
}
