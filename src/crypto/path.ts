/**
 * Certification path validation (RFC 5280 §6.1), our own: `X509Certificate.verify` and `checkIssued` look at no date, no
 * constraint, no length and no usage, and accept an expired leaf. Pure: the time is given.
 */
import type { X509Certificate } from 'node:crypto'
import { concat, equal, toHex } from '../bytes.js'
import { SealbusError } from '../errors.js'
import { openCertificate, type ParsedCertificate, readCertificate } from './certificate.js'
import { EXTENSION_OID } from './certificate-extensions.js'
import { sha256 } from './kdf.js'

/** Certificates of a chain, the root left out. */
export const MAX_CHAIN_CERTIFICATES = 3
/** Bytes of a chain's certificates together. */
export const MAX_CHAIN_BYTES = 4096

/** A path that was accepted. n.b. at the given time: ask {@link isWithin} again at every use. */
export interface Path {
  readonly leaf: ParsedCertificate
  /** Whose key signed the leaf: an intermediate, or the root. */
  readonly issuer: ParsedCertificate
  /** Leaf first, the root last. */
  readonly certificates: readonly ParsedCertificate[]
  /** When all of them are valid at once. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** What a leaf has to look like: the first rule that it breaks, or undefined. */
export type LeafProfile = (leaf: ParsedCertificate) => string | undefined

/** True while every certificate of the path is valid. */
export function isWithin(path: Pick<Path, 'notBeforeMs' | 'notAfterMs'>, nowMs: number): boolean {
  return path.notBeforeMs <= nowMs && nowMs <= path.notAfterMs
}

/** CA chains whose signatures were verified, by digest: thousands of leaves share one. n.b. one memory for one set of roots. */
export type KnownAuthorities = Map<string, readonly ParsedCertificate[]>
/** More CA chains than that are verified each time. */
const MAX_KNOWN_AUTHORITIES = 64

/**
 * Validates a chain up to one of the roots.
 * @param chain - DER, leaf first, root left out: 1..3 certificates, at most 4 KiB
 * @param known - remembers verified CA chains between calls with the same roots
 * @throws SealbusError `untrusted`, its message naming the first rule that was broken
 */
export function validatePath(
  chain: readonly Uint8Array[],
  roots: readonly ParsedCertificate[],
  profile: LeafProfile,
  nowMs: number,
  known: KnownAuthorities = new Map(),
): Path {
  const path = buildPath(chain, roots, known)
  for (const certificate of path.certificates) {
    expectNoUnknownCritical(certificate)
    expectDates(certificate, nowMs)
  }
  path.certificates.slice(1).forEach(expectAuthority)
  const broken = profile(path.leaf)
  if (broken !== undefined) throw refuse(`leaf ${nameOf(path.leaf)}: ${broken}`)
  return path
}

/** Signatures first, by OpenSSL alone: unsigned bytes never reach our own reader. */
function buildPath(
  chain: readonly Uint8Array[],
  roots: readonly ParsedCertificate[],
  known: KnownAuthorities,
): Path {
  expectSize(chain)
  const [der = new Uint8Array(), ...above] = chain
  const leaf = openCertificate(der)
  const authorities = above.length === 0 ? [findRoot(leaf, roots)] : verifiedAuthorities(above, roots, known)
  expectIssued(leaf, authorities[0]?.x509, 0)
  return pathOf([readCertificate(leaf), ...authorities])
}

/** The CAs above a leaf, the root last. */
function verifiedAuthorities(
  chain: readonly Uint8Array[],
  roots: readonly ParsedCertificate[],
  known: KnownAuthorities,
): readonly ParsedCertificate[] {
  const digest = toHex(sha256(concat(...chain)))
  const authorities = known.get(digest) ?? verifyAuthorities(chain, roots)
  if (known.size < MAX_KNOWN_AUTHORITIES) known.set(digest, authorities)
  return authorities
}

function verifyAuthorities(
  chain: readonly Uint8Array[],
  roots: readonly ParsedCertificate[],
): readonly ParsedCertificate[] {
  const opened = chain.map(openCertificate)
  const root = findRoot(opened.at(-1), roots)
  for (const [index, subject] of opened.slice(0, -1).entries())
    expectIssued(subject, opened[index + 1], index + 1)
  const read = opened.map(readCertificate)
  if (read.some(certificate => equal(certificate.spkiSha256, root.spkiSha256)))
    throw refuse('chain: expected it without the root, leave the root out')
  return [...read, root]
}

function pathOf(certificates: readonly ParsedCertificate[]): Path {
  const [leaf, issuer] = certificates
  if (leaf === undefined || issuer === undefined) throw refuse('chain: expected at least a leaf')
  return {
    leaf,
    issuer,
    certificates,
    notBeforeMs: Math.max(...certificates.map(certificate => certificate.notBeforeMs)),
    notAfterMs: Math.min(...certificates.map(certificate => certificate.notAfterMs)),
  }
}

function expectSize(chain: readonly Uint8Array[]): void {
  const bytes = chain.reduce((sum, der) => sum + der.length, 0)
  if (chain.length < 1 || chain.length > MAX_CHAIN_CERTIFICATES || bytes > MAX_CHAIN_BYTES)
    throw refuse(
      `chain: expected 1..${MAX_CHAIN_CERTIFICATES} certificates in ${MAX_CHAIN_BYTES} bytes, got ${chain.length} in ${bytes}`,
    )
}

/** n.b. by key, never by name alone: another root may bear the same name. */
function findRoot(last: X509Certificate | undefined, roots: readonly ParsedCertificate[]): ParsedCertificate {
  const root = roots.find(candidate => last?.checkIssued(candidate.x509) && verifies(last, candidate.x509))
  if (root === undefined) throw refuse('chain: expected it to end at a root of the trust file, it does not')
  return root
}

function expectIssued(subject: X509Certificate, issuer: X509Certificate | undefined, index: number): void {
  if (issuer === undefined || !subject.checkIssued(issuer))
    throw refuse(`chain: certificate ${index} does not name ${index + 1} as its issuer`)
  if (!verifies(subject, issuer)) throw refuse(`chain: the signature of certificate ${index} is wrong`)
}

/** n.b. OpenSSL throws for a key of another kind than the signature's. */
function verifies(subject: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return subject.verify(issuer.publicKey)
  } catch {
    return false
  }
}

function expectNoUnknownCritical(certificate: ParsedCertificate): void {
  const [unknown] = certificate.unknownCritical
  if (unknown !== undefined) throw refuse(`${nameOf(certificate)}: unknown critical extension ${unknown}`)
}

/** RFC 5280 §6.1.3 (a)(2); the root's dates are asked too. */
function expectDates(certificate: ParsedCertificate, nowMs: number): void {
  const date = (ms: number): string => new Date(ms).toISOString()
  if (nowMs < certificate.notBeforeMs)
    throw refuse(
      `${nameOf(certificate)}: not valid before ${date(certificate.notBeforeMs)}, now ${date(nowMs)}`,
    )
  if (nowMs > certificate.notAfterMs)
    throw refuse(`${nameOf(certificate)}: expired on ${date(certificate.notAfterMs)}, now ${date(nowMs)}`)
}

/**
 * RFC 5280 §6.1.4 (k) (l) (n).
 * @param below - how many CAs stand between it and the leaf
 */
function expectAuthority(certificate: ParsedCertificate, below: number): void {
  const { ca, pathLength, keyUsage, extendedKeyUsage: extended } = certificate
  const name = nameOf(certificate)
  if (!ca) throw refuse(`${name}: expected a CA, its basic constraints do not say so`)
  if (pathLength !== undefined && below > pathLength)
    throw refuse(`${name}: path too long, expected at most ${pathLength} CAs below it, got ${below}`)
  if (keyUsage?.has('keyCertSign') !== true) throw refuse(`${name}: expected key usage keyCertSign`)
  if (extended && !extended.has(EXTENSION_OID.clientAuth) && !extended.has(EXTENSION_OID.anyExtendedKeyUsage))
    throw refuse(`${name}: its extended key usage does not allow clientAuth below it`)
}

/** For messages: what a certificate calls itself, nothing believed. */
function nameOf(certificate: ParsedCertificate): string {
  const name = certificate.commonNames[0] ?? 'certificate'
  return JSON.stringify(name.slice(0, 64))
}

function refuse(message: string): SealbusError {
  return new SealbusError('untrusted', message)
}
