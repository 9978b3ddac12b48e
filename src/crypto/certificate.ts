/**
 * One X.509 certificate of our profile, read from its DER (RFC 5280 §4.1): P-256 keys and ecdsa-with-SHA256 only.
 *
 * n.b. two steps on purpose. {@link openCertificate} is OpenSSL alone; {@link readCertificate} uses our own reader, and
 * is for certificates whose signature has been verified (or that are one's own). Node's view of a subject is not
 * enough: it reads one with two common names without complaint.
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import { equal, fromHex } from '../bytes.js'
import { SealbusError } from '../errors.js'
import { type Asn1, children, contextTag, integerOf, oidOf, parseDer, textOf, timeOf, toDer } from './asn1.js'
import { type Constraints, readExtensions } from './certificate-extensions.js'
import { sha256 } from './kdf.js'

const COMMON_NAME = '2.5.4.3'
const ORGANIZATIONAL_UNIT = '2.5.4.11'
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** SubjectPublicKeyInfo of every uncompressed P-256 key, up to the 64 bytes of the point (RFC 5480 §2). */
const P256_SPKI_PREFIX: Uint8Array = fromHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004')
const P256_SPKI_BYTES: number = P256_SPKI_PREFIX.length + 64

/** A certificate's contents. Nothing here says that it may be believed: path.ts does. */
export interface ParsedCertificate extends Constraints {
  /** As received. */
  readonly der: Uint8Array
  readonly x509: X509Certificate
  readonly publicKey: KeyObject
  /** SHA-256 of the tbsCertificate as received, 32 bytes: the identity, since the signature is malleable. */
  readonly hash: Uint8Array
  /** SHA-256 of the SubjectPublicKeyInfo as received, 32 bytes. */
  readonly spkiSha256: Uint8Array
  /** Minimal unsigned bytes, 1..20. */
  readonly serial: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Every CN and OU of the subject, in order. */
  readonly commonNames: readonly string[]
  readonly organizationalUnits: readonly string[]
}

/** Lets OpenSSL read one DER certificate. @throws SealbusError `untrusted` */
export function openCertificate(der: Uint8Array): X509Certificate {
  let x509: X509Certificate
  try {
    x509 = new X509Certificate(der)
  } catch (cause) {
    throw new SealbusError('untrusted', 'certificate: expected X.509 in DER, OpenSSL cannot read it', {
      cause,
    })
  }
  // n.b. OpenSSL takes PEM and trailing bytes as well
  if (!equal(x509.raw, der)) throw new SealbusError('untrusted', 'certificate: expected DER and nothing else')
  return x509
}

/**
 * Reads what OpenSSL has opened, and verified.
 * @throws SealbusError `untrusted` for what the profile does not allow
 */
export function readCertificate(x509: X509Certificate): ParsedCertificate {
  try {
    return read(x509)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SealbusError('untrusted', `certificate: ${reason}`, { cause })
  }
}

/** {@link openCertificate} and {@link readCertificate} of a file of one's own. @throws SealbusError `untrusted` */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  return readCertificate(openCertificate(der))
}

/** `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }` */
function read(x509: X509Certificate): ParsedCertificate {
  const der = new Uint8Array(x509.raw)
  const [tbs, algorithm] = members(parseDer(der), 3)
  const [version, serial, inner, , validity, subject, spki] = members(tbs, 7)
  if (contextTag(version) !== 0 || integerOf(members(version, 1)[0])[0] !== 2)
    throw new RangeError('expected version 3')
  // RFC 5280 §4.1.1.2: both algorithm identifiers are the same
  if ([algorithm, inner].some(node => oidOf(members(node, 1)[0]) !== ECDSA_WITH_SHA256))
    throw new RangeError('expected a signature by ecdsa-with-SHA256')
  const [from, to] = members(validity, 2)
  return {
    der,
    x509,
    publicKey: x509.publicKey,
    hash: sha256(toDer(tbs)), // n.b. parseDer takes canonical DER only: these are the bytes as received
    spkiSha256: sha256(expectP256(toDer(spki))),
    serial: expectSerial(integerOf(serial)),
    notBeforeMs: timeOf(from).getTime(),
    notAfterMs: timeOf(to).getTime(),
    commonNames: names(subject, COMMON_NAME),
    organizationalUnits: names(subject, ORGANIZATIONAL_UNIT),
    ...readExtensions(extensionsOf(tbs)),
  }
}

/** The members of a constructed node, as many as the caller is going to name at least. */
function members<N extends 1 | 2 | 3 | 7>(node: Asn1, count: N): Members[N] {
  const nodes = children(node)
  if (nodes.length < count) throw new RangeError(`expected ${count} members, got ${nodes.length}`)
  return nodes as unknown as Members[N]
}
interface Members {
  1: readonly [Asn1]
  2: readonly [Asn1, Asn1]
  3: readonly [Asn1, Asn1, Asn1]
  7: readonly [Asn1, Asn1, Asn1, Asn1, Asn1, Asn1, Asn1]
}

/** `extensions [3] EXPLICIT` of a tbsCertificate. */
function extensionsOf(tbs: Asn1): Asn1 {
  const tagged = children(tbs).find((node, index) => index >= 7 && contextTag(node) === 3)
  if (tagged === undefined) throw new RangeError('expected extensions')
  return members(tagged, 1)[0]
}

function expectP256(spki: Uint8Array): Uint8Array {
  const prefix = spki.subarray(0, P256_SPKI_PREFIX.length)
  if (spki.length !== P256_SPKI_BYTES || !equal(prefix, P256_SPKI_PREFIX))
    throw new RangeError('expected a P-256 public key, uncompressed, with the curve by name')
  return spki
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes */
function expectSerial(serial: Uint8Array): Uint8Array {
  if (serial.length > 20 || serial.every(byte => byte === 0))
    throw new RangeError('expected a positive serial number of at most 20 bytes')
  return serial
}

/** `Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }`: every value of that type. */
function names(subject: Asn1, type: string): string[] {
  const attributes = children(subject, 'sequence').flatMap(rdn => children(rdn, 'set'))
  return attributes.flatMap(attribute => {
    const [id, value] = members(attribute, 2)
    return oidOf(id) === type ? [textOf(value)] : []
  })
}
