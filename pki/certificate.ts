/**
 * X.509 certificates (RFC 5280 §4.1) with ECDSA P-256 and SHA-256: the TBSCertificate in ASN.1, signed by node:crypto.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import {
  type Asn1,
  bitString,
  boolean,
  context,
  integer,
  octetString,
  oid,
  parseDer,
  raw,
  sequence,
  set,
  time,
  toDer,
  utf8String,
} from '../src/crypto/asn1.js'
import { BACKDATE_S, EXTENDED_KEY_USAGE, KEY_USAGE, type KeyUsage, type Profile } from './profiles.js'

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  organizationalUnit: '2.5.4.11',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** 128 bits less the two that make it positive and of constant length (§4.1.2.2: at most 20 octets). */
const SERIAL_BYTES = 16
const DAY_MS: number = 24 * 3600 * 1000

/** A distinguished name, in the order of the DER. */
export interface Name {
  readonly organization?: string
  readonly commonName: string
  readonly organizationalUnit?: string
}

/** Who signs: a certificate authority with its key. */
export interface Issuer {
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

export interface CertificateRequest {
  readonly profile: Profile
  readonly subject: Name
  readonly publicKey: KeyObject
  /** Host names and IP addresses for the subjectAltName; none: no extension. */
  readonly hosts?: readonly string[]
  readonly nowMs: number
  /** Not valid before this, where it is later than usual. */
  readonly notBeforeMs?: number
}

/** A new P-256 key pair. */
export function generateIdentityKey(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

/** Issues a certificate. n.b. it ends no later than its issuer's. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): X509Certificate {
  const names = derNames(issuer.certificate)
  return build(
    request,
    names.subject,
    keyIdentifier(issuer.certificate.publicKey),
    issuer.key,
    issuer.certificate.validTo,
  )
}

/** Issues a root: its own issuer. */
export function selfSign(request: CertificateRequest, key: KeyObject): X509Certificate {
  return build(request, distinguishedName(request.subject), keyIdentifier(request.publicKey), key)
}

function build(
  request: CertificateRequest,
  issuerName: Asn1,
  issuerKeyId: Uint8Array,
  issuerKey: KeyObject,
  issuerEnd?: string,
): X509Certificate {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const tbs = sequence(
    context(0, true, [integer(2)]), // version 3
    integer(newSerial()),
    algorithm,
    issuerName,
    validity(request, issuerEnd),
    distinguishedName(request.subject),
    raw(spki(request.publicKey)),
    context(3, true, [sequence(...extensions(request, issuerKeyId))]),
  )
  const signature = sign('sha256', toDer(tbs), issuerKey) // DER-encoded ECDSA-Sig-Value (RFC 5758 §3.2)
  return new X509Certificate(toDer(sequence(tbs, algorithm, bitString(signature))))
}

function validity(request: CertificateRequest, issuerEnd?: string): Asn1 {
  const start = Math.max(request.nowMs - BACKDATE_S * 1000, request.notBeforeMs ?? 0)
  const end = request.nowMs + request.profile.lifetimeDays * DAY_MS
  const last = issuerEnd === undefined ? end : Math.min(end, Date.parse(issuerEnd))
  return sequence(time(new Date(start)), time(new Date(last)))
}

function distinguishedName(name: Name): Asn1 {
  const parts: [string, string | undefined][] = [
    [OID.organization, name.organization],
    [OID.organizationalUnit, name.organizationalUnit],
    [OID.commonName, name.commonName],
  ]
  return sequence(
    ...parts.flatMap(([type, text]) =>
      text === undefined ? [] : [set(sequence(oid(type), utf8String(text)))],
    ),
  )
}

function extensions(request: CertificateRequest, issuerKeyId: Uint8Array): Asn1[] {
  const { ca, pathLength, keyUsage, extendedKeyUsage } = request.profile
  const list: Asn1[] = []
  if (ca) {
    const constraints = [boolean(true), ...(pathLength === undefined ? [] : [integer(pathLength)])]
    list.push(extension(OID.basicConstraints, true, sequence(...constraints)))
    list.push(extension(OID.subjectKeyIdentifier, false, octetString(keyIdentifier(request.publicKey))))
  }
  list.push(extension(OID.keyUsage, true, keyUsageBits(keyUsage)))
  if (extendedKeyUsage.length > 0) {
    const purposes = extendedKeyUsage.map(purpose => oid(EXTENDED_KEY_USAGE[purpose]))
    list.push(extension(OID.extendedKeyUsage, false, sequence(...purposes)))
  }
  if (request.hosts !== undefined && request.hosts.length > 0) {
    list.push(extension(OID.subjectAltName, false, sequence(...request.hosts.map(generalName))))
  }
  list.push(extension(OID.authorityKeyIdentifier, false, sequence(context(0, false, issuerKeyId))))
  return list
}

function extension(type: string, critical: boolean, value: Asn1): Asn1 {
  return sequence(oid(type), ...(critical ? [boolean(true)] : []), octetString(toDer(value)))
}

/** A named bit list: trailing zero bits are left out (X.690 §11.2.2). All bits used here fit into one byte. */
function keyUsageBits(usages: readonly KeyUsage[]): Asn1 {
  const bits = usages.map(usage => KEY_USAGE[usage])
  const byte = bits.reduce<number>((sum, bit) => sum | (0x80 >> bit), 0)
  return bitString(Uint8Array.of(byte), 7 - Math.max(...bits))
}

/** dNSName [2], iPAddress [7] (§4.2.1.6). */
function generalName(host: string): Asn1 {
  if (isIPv4(host)) return context(7, false, Uint8Array.from(host.split('.').map(Number)))
  if (isIPv6(host)) return context(7, false, ipv6Bytes(host))
  return context(2, false, Buffer.from(host, 'latin1'))
}

function ipv6Bytes(host: string): Uint8Array {
  // the URL parser writes the embedded IPv4 form and upper case as plain hexadecimal groups
  const [head = '', tail] = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const before = groups(head)
  const after = groups(tail ?? '')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const all = tail === undefined ? before : [...before, ...zeros, ...after]
  return Buffer.from(all.map(group => group.padStart(4, '0')).join(''), 'hex')
}

/** The first 64 bits of SHA-256 over the public key's bits: an identifier, not a proof (§4.2.1.2 leaves the choice). */
function keyIdentifier(publicKey: KeyObject): Uint8Array {
  return createHash('sha256').update(spki(publicKey).subarray(-65)).digest().subarray(0, 8)
}

function newSerial(): Uint8Array {
  const serial = randomBytes(SERIAL_BYTES)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

/** SubjectPublicKeyInfo in DER, 91 bytes for P-256. */
export function spki(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key
  return half.export({ type: 'spki', format: 'der' })
}

/** SHA-256 of the SubjectPublicKeyInfo: how trust files and revocation lists name a key. */
export function spkiHash(key: KeyObject): Buffer {
  return createHash('sha256').update(spki(key)).digest()
}

/** Subject and issuer as they stand in the certificate, byte for byte. */
function derNames(certificate: X509Certificate): { subject: Asn1 } {
  const tbs = (parseDer(certificate.raw).value as readonly Asn1[])[0]?.value as readonly Asn1[]
  const subject = tbs[5]
  if (subject === undefined) throw new RangeError('certificate: expected a subject')
  return { subject }
}
