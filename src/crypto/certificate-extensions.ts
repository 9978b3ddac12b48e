/**
 * The extensions of a certificate that our profile processes (RFC 5280 §4.2): basicConstraints, keyUsage,
 * extendedKeyUsage. Key identifiers are left to OpenSSL; every other one may stand there as long as it is not critical.
 */
import {
  type Asn1,
  bitsOf,
  booleanOf,
  bytesOf,
  children,
  integerOf,
  kindOf,
  oidOf,
  parseDer,
} from './asn1.js'

/** Names of the KeyUsage bits, bit 0 first (RFC 5280 §4.2.1.3). */
export const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const
export type KeyUsage = (typeof KEY_USAGES)[number]

/** Object identifiers of extensions and of extended key usages. */
export const EXTENSION_OID = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

const PROCESSED: ReadonlySet<string> = new Set([
  EXTENSION_OID.subjectKeyIdentifier,
  EXTENSION_OID.keyUsage,
  EXTENSION_OID.basicConstraints,
  EXTENSION_OID.authorityKeyIdentifier,
  EXTENSION_OID.extendedKeyUsage,
])

/** What the extensions allow the key to do. */
export interface Constraints {
  readonly ca: boolean
  /** CAs that may follow below it; undefined: any number. */
  readonly pathLength: number | undefined
  /** Undefined: the extension is absent. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  /** Object identifiers; undefined: the extension is absent. */
  readonly extendedKeyUsage: ReadonlySet<string> | undefined
  /** Critical extensions that nothing here processes. */
  readonly unknownCritical: readonly string[]
}

interface Extension {
  readonly critical: boolean
  readonly value: Uint8Array
}

/** Reads `Extensions ::= SEQUENCE OF Extension`. @throws RangeError for malformed or repeated ones */
export function readExtensions(node: Asn1): Constraints {
  const found = new Map<string, Extension>()
  for (const member of children(node, 'sequence')) {
    const [id, extension] = readExtension(member)
    if (found.has(id)) throw new RangeError(`expected each extension once, got ${id} twice`) // RFC 5280 §4.2
    found.set(id, extension)
  }
  const value = (id: string): Uint8Array | undefined => found.get(id)?.value
  return {
    ...readBasicConstraints(value(EXTENSION_OID.basicConstraints)),
    keyUsage: readKeyUsage(value(EXTENSION_OID.keyUsage)),
    extendedKeyUsage: readExtendedKeyUsage(value(EXTENSION_OID.extendedKeyUsage)),
    unknownCritical: [...found]
      .filter(([id, { critical }]) => critical && !PROCESSED.has(id))
      .map(([id]) => id),
  }
}

/** `Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }` */
function readExtension(node: Asn1): [string, Extension] {
  const [id, second, third] = children(node, 'sequence')
  const value = third ?? second
  if (id === undefined || second === undefined || value === undefined)
    throw new RangeError('expected an extension with identifier and value')
  const critical = third !== undefined && booleanOf(second)
  return [oidOf(id), { critical, value: bytesOf(value) }]
}

/** `BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }` (§4.2.1.9) */
function readBasicConstraints(der: Uint8Array | undefined): Pick<Constraints, 'ca' | 'pathLength'> {
  if (der === undefined) return { ca: false, pathLength: undefined }
  const members = children(parseDer(der), 'sequence')
  const flag = members.find(member => kindOf(member) === 'boolean')
  const length = members.find(member => kindOf(member) === 'integer')
  return {
    ca: flag !== undefined && booleanOf(flag),
    pathLength: length === undefined ? undefined : smallNumber(integerOf(length)),
  }
}

function smallNumber(bytes: Uint8Array): number {
  if (bytes.length > 1) throw new RangeError('expected a path length up to 255')
  return bytes[0] ?? 0
}

function readKeyUsage(der: Uint8Array | undefined): ReadonlySet<KeyUsage> | undefined {
  if (der === undefined) return undefined
  const { bytes } = bitsOf(parseDer(der))
  return new Set(KEY_USAGES.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0))
}

function readExtendedKeyUsage(der: Uint8Array | undefined): ReadonlySet<string> | undefined {
  return der === undefined ? undefined : new Set(children(parseDer(der), 'sequence').map(oidOf))
}
