/**
 * Whom to believe: roots and issuers of the trust file, a bounded memory of accepted leaves, and the revocation list.
 * Dates are asked at every use, so a certificate that expires while the process runs stops working then.
 */
import { concat, equal, toHex } from '../bytes.js'
import { SealbusError } from '../errors.js'
import { type ParsedCertificate, parseCertificate } from './certificate.js'
import { sha256 } from './kdf.js'
import { identityLeaf } from './leaf-profile.js'
import { isWithin, type KnownAuthorities, type Path, validatePath } from './path.js'
import type { Certificate, RevocationState, Trust } from './peers.js'
import { type RevocationSubject, Revocations, revocationSubject, verifyRevocationList } from './revocation.js'
import type { IssuerRule } from './trust-file.js'

/** Leaves remembered at once: more than a fleet has; the longest unused is forgotten. */
const DEFAULT_REMEMBERED = 16_384
/** Accepted leaves whose hashes begin alike; anything but one is an attempt to make them so. */
const MAX_ALIKE = 4

export interface TrustOptions {
  readonly domain: string
  /** The floor: suites that may be used at all. */
  readonly suites: readonly number[]
  /** Root certificates in DER. */
  readonly roots: readonly Uint8Array[]
  readonly issuers: readonly IssuerRule[]
  /** Where given, a list is required: without one, or with an old one, the state is `stale`. */
  readonly revocation?: { readonly signers: readonly string[] } | undefined
  /** Leaves remembered at once. Default 16 384. */
  readonly remembered?: number
}

/** A {@link Trust} that hands out its revocation list, to be kept or passed on. */
export interface KeptTrust extends Trust {
  /** The accepted list as received, or undefined. */
  revocationList(): Uint8Array | undefined
}

interface Accepted {
  readonly certificate: Certificate
  readonly subject: RevocationSubject
}

/** @throws SealbusError `configuration` where roots or issuers contradict each other */
export function createTrust(options: TrustOptions): KeptTrust {
  return new PathTrust(options)
}

class PathTrust implements KeptTrust {
  readonly domain: string
  readonly suites: ReadonlySet<number>
  readonly #roots: readonly ParsedCertificate[]
  readonly #issuers: readonly IssuerRule[]
  readonly #signers: ReadonlySet<string> | undefined
  readonly #remembered: number
  /** Certificate id to leaves; the longest unused first. */
  readonly #accepted = new Map<string, readonly Accepted[]>()
  /** Digest of a validated chain to its leaf's hash: saves validating the same bytes again. */
  readonly #hashes = new Map<string, Uint8Array>()
  readonly #authorities: KnownAuthorities = new Map()
  readonly #subjects = new WeakMap<Certificate, RevocationSubject>()
  #revocations: { readonly bytes: Uint8Array; readonly list: Revocations } | undefined

  constructor(options: TrustOptions) {
    this.domain = options.domain
    this.suites = new Set(options.suites)
    this.#roots = options.roots.map(readRoot)
    this.#issuers = options.issuers
    expectOneDomain(options.issuers)
    this.#signers = options.revocation && new Set(options.revocation.signers)
    this.#remembered = options.remembered ?? DEFAULT_REMEMBERED
  }

  verify(chain: readonly Uint8Array[], nowMs: number): Certificate {
    const known = this.#known(chain)
    if (known !== undefined && isWithin(known, nowMs)) return known
    return this.#remember(this.#validate(chain, nowMs), chain)
  }

  find(certId: Uint8Array, nowMs: number): readonly Certificate[] {
    const certificates: Certificate[] = []
    for (const { certificate } of this.#find(certId))
      if (isWithin(certificate, nowMs)) certificates.push(certificate)
    return certificates
  }

  revocation(certificate: Certificate, nowMs: number): RevocationState {
    if (this.#signers === undefined) return 'none'
    const subject = this.#subjects.get(certificate) ?? this.#subjectOf(certificate, nowMs)
    if (subject === undefined) return 'revoked'
    return this.#revocations?.list.state(subject, nowMs) ?? 'stale'
  }

  acceptRevocationList(bytes: Uint8Array, nowMs: number): void {
    if (this.#signers === undefined)
      throw refuse('revocation list: the trust file names no signer, add "revocation" to it')
    // n.b. it was believed when it came: that its signer's certificate has ended since takes nothing from it
    if (this.#revocations !== undefined && equal(this.#revocations.bytes, bytes)) return
    const trust = { domain: this.domain, signers: this.#signers, roots: this.#roots }
    const list = verifyRevocationList(bytes, trust, nowMs)
    const held = this.#revocations?.list.list
    if (held !== undefined && list.number <= held.number) {
      if (list.number === held.number && equal(list.body, held.body)) return
      throw refuse(
        `revocation list: expected a number above ${held.number}, got ${list.number}: it was rolled back`,
      )
    }
    this.#revocations = { bytes: bytes.slice(), list: new Revocations(list) }
  }

  revocationList(): Uint8Array | undefined {
    return this.#revocations?.bytes.slice()
  }

  #validate(chain: readonly Uint8Array[], nowMs: number): Path {
    return validatePath(chain, this.#roots, identityLeaf, nowMs, this.#authorities)
  }

  /** The very same bytes were validated before: only the dates are left to ask. */
  #known(chain: readonly Uint8Array[]): Certificate | undefined {
    const hash = this.#hashes.get(digest(chain))
    const found = hash === undefined ? [] : this.#find(hash)
    return found.find(({ certificate }) => sameChain(certificate.chain, chain))?.certificate
  }

  #find(hash: Uint8Array): readonly Accepted[] {
    const id = toHex(hash.subarray(0, 8))
    const found = this.#accepted.get(id)
    if (found === undefined) return []
    this.#accepted.delete(id) // the map keeps the order of insertion: now the latest used
    this.#accepted.set(id, found)
    return found
  }

  #remember(path: Path, chain: readonly Uint8Array[]): Certificate {
    const accepted = this.#accept(path, chain)
    const { certificate } = accepted
    // n.b. the same leaf under a renewed chain replaces itself
    const others = this.#find(certificate.hash).filter(
      other => !equal(other.certificate.hash, certificate.hash),
    )
    this.#accepted.set(toHex(certificate.hash.subarray(0, 8)), [accepted, ...others].slice(0, MAX_ALIKE))
    this.#hashes.set(digest(chain), certificate.hash)
    this.#forget(this.#accepted, this.#remembered)
    this.#forget(this.#hashes, this.#remembered)
    return certificate
  }

  #forget(map: Map<string, unknown>, most: number): void {
    for (const oldest of map.keys()) {
      if (map.size <= most) break
      map.delete(oldest)
    }
  }

  #accept(path: Path, chain: readonly Uint8Array[]): Accepted {
    const { leaf, issuer } = path
    const [address = '', role = ''] = [leaf.commonNames[0], leaf.organizationalUnits[0]]
    const domain = this.#domainOf(issuer, role, address)
    const certificate: Certificate = Object.freeze({
      domain,
      address,
      role,
      fingerprint: toHex(leaf.hash),
      der: leaf.der,
      hash: leaf.hash,
      publicKey: leaf.publicKey,
      notBeforeMs: path.notBeforeMs,
      notAfterMs: path.notAfterMs,
      chain: chain.map(der => der.slice()),
    })
    const subject = revocationSubject(path, domain)
    this.#subjects.set(certificate, subject)
    return { certificate, subject }
  }

  /** The trust file's word on what this key may issue: an online field CA that is stolen cannot make a TSO. */
  #domainOf(issuer: ParsedCertificate, role: string, address: string): string {
    const rules = this.#issuers.filter(rule => rule.spkiSha256 === toHex(issuer.spkiSha256))
    if (rules.length === 0)
      throw refuse(`issuer ${toHex(issuer.spkiSha256)} is not among the trust file's "issuers"`)
    const ofRole = rules.filter(rule => rule.roles.includes(role) || rule.roles.includes('*'))
    if (ofRole.length === 0)
      throw refuse(`its issuer may not issue role ${role}, see the trust file's "issuers"`)
    const rule = ofRole.find(({ prefixes }) => prefixes.some(prefix => address.startsWith(prefix)))
    if (rule === undefined)
      throw refuse(`its issuer may not issue address ${address} as ${role}, see "prefixes" in the trust file`)
    return rule.domain
  }

  /** A certificate that another trust accepted is validated anew; where that fails there is no subject. */
  #subjectOf(certificate: Certificate, nowMs: number): RevocationSubject | undefined {
    try {
      const path = this.#validate(certificate.chain, nowMs)
      return this.#accept(path, certificate.chain).subject
    } catch {
      return undefined
    }
  }
}

function readRoot(der: Uint8Array): ParsedCertificate {
  const root = parseCertificate(der)
  if (!root.x509.checkIssued(root.x509) || !root.x509.verify(root.publicKey))
    throw new SealbusError(
      'configuration',
      'trust: expected roots that are signed by themselves, got another one',
    )
  return root
}

function expectOneDomain(issuers: readonly IssuerRule[]): void {
  const domains = new Map<string, string>()
  for (const { spkiSha256, domain } of issuers) {
    if ((domains.get(spkiSha256) ?? domain) !== domain)
      throw new SealbusError('configuration', `trust: issuer ${spkiSha256} has two domains, expected one`)
    domains.set(spkiSha256, domain)
  }
}

/** n.b. bytes only find an entry here; {@link sameChain} compares. */
function digest(chain: readonly Uint8Array[]): string {
  return toHex(sha256(concat(...chain)))
}

function sameChain(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((der, index) => equal(der, b[index] ?? new Uint8Array()))
}

function refuse(message: string): SealbusError {
  return new SealbusError('untrusted', message)
}
