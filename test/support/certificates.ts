/** Certificates of every kind, the wrong ones too: each field of the profile can be bent on its own. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { toHex } from '../../src/bytes.js'
import * as asn1 from '../../src/crypto/asn1.js'
import { type CardBody, encodeCard, issueCard } from '../../src/crypto/card.js'
import { parseCertificate } from '../../src/crypto/certificate.js'
import { EXTENSION_OID, KEY_USAGES, type KeyUsage } from '../../src/crypto/certificate-extensions.js'
import { signP256 } from '../../src/crypto/ecdsa.js'
import { createSealingKey } from '../../src/crypto/identity.js'
import { sha256 } from '../../src/crypto/kdf.js'
import type { SealingKey } from '../../src/crypto/peers.js'
import { issueRevocationList, type RevocationList } from '../../src/crypto/revocation.js'
import { createTrust, type KeptTrust, type TrustOptions } from '../../src/crypto/trust.js'

export const DAY: number = 24 * 3600_000
export const NOW: number = Date.UTC(2030, 5, 1)
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** A key, and what was issued for it. */
export interface Holder {
  readonly der: Uint8Array
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly subject: asn1.Asn1
  /** SHA-256, 64 hex digits. */
  readonly spkiSha256: string
}

/** What stands in a certificate; `null` leaves an extension out. */
export interface Spec {
  cn: readonly string[]
  ou: readonly string[]
  notBeforeMs: number
  notAfterMs: number
  serial: number | Uint8Array
  ca: boolean | null
  pathLength: number | null
  keyUsage: readonly KeyUsage[] | null
  extendedKeyUsage: readonly string[] | null
  extensions: readonly asn1.Asn1[]
  curve: string
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  hash: 'sha256' | 'sha384'
}

const LEAF: Omit<Spec, 'keys' | 'serial'> = {
  cn: ['heh-0001'],
  ou: ['heh'],
  notBeforeMs: NOW - 300_000,
  notAfterMs: NOW + 90 * DAY,
  ca: null,
  pathLength: null,
  keyUsage: ['digitalSignature'],
  extendedKeyUsage: [EXTENSION_OID.clientAuth],
  extensions: [],
  curve: 'P-256',
  hash: 'sha256',
}
const CA: typeof LEAF = {
  ...LEAF,
  cn: ['CA'],
  ou: [],
  notAfterMs: NOW + 3650 * DAY,
  ca: true,
  keyUsage: ['keyCertSign', 'cRLSign'],
  extendedKeyUsage: null,
}

export function extension(id: string, critical: boolean, value: asn1.Asn1): asn1.Asn1 {
  const flag = critical ? [asn1.boolean(true)] : []
  return asn1.sequence(asn1.oid(id), ...flag, asn1.octetString(asn1.toDer(value)))
}

function extensionsOf(spec: Spec): asn1.Asn1[] {
  const out = [...spec.extensions]
  if (spec.ca !== null) {
    const length = spec.pathLength === null ? [] : [asn1.integer(spec.pathLength)]
    const flag = spec.ca ? [asn1.boolean(true)] : []
    out.push(extension(EXTENSION_OID.basicConstraints, true, asn1.sequence(...flag, ...length)))
  }
  if (spec.keyUsage !== null) {
    const bits = spec.keyUsage.reduce((sum, usage) => sum | (0x80 >> KEY_USAGES.indexOf(usage)), 0)
    const unused = Math.min(7, 31 - Math.clz32(bits & -bits))
    out.push(extension(EXTENSION_OID.keyUsage, true, asn1.bitString(Uint8Array.of(bits), unused)))
  }
  if (spec.extendedKeyUsage !== null)
    out.push(
      extension(EXTENSION_OID.extendedKeyUsage, false, asn1.sequence(...spec.extendedKeyUsage.map(asn1.oid))),
    )
  return out
}

function nameOf(spec: Spec): asn1.Asn1 {
  const attribute = (id: string) => (text: string) =>
    asn1.set(asn1.sequence(asn1.oid(id), asn1.utf8String(text)))
  return asn1.sequence(...spec.ou.map(attribute('2.5.4.11')), ...spec.cn.map(attribute('2.5.4.3')))
}

/** Issues a certificate; without an issuer it signs itself. */
export function issue(spec: Partial<Spec>, issuer?: Holder, base: typeof LEAF = LEAF): Holder {
  const full: Spec = {
    ...base,
    serial: randomSerial(),
    keys: generateKeyPairSync('ec', { namedCurve: spec.curve ?? base.curve }),
    ...spec,
  }
  const subject = nameOf(full)
  const { publicKey, privateKey } = full.keys
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
  const algorithm = asn1.sequence(
    asn1.oid(full.hash === 'sha256' ? ECDSA_WITH_SHA256 : '1.2.840.10045.4.3.3'),
  )
  const tbs = asn1.sequence(
    asn1.context(0, true, [asn1.integer(2)]),
    asn1.integer(full.serial),
    algorithm,
    issuer?.subject ?? subject,
    asn1.sequence(asn1.time(new Date(full.notBeforeMs)), asn1.time(new Date(full.notAfterMs))),
    subject,
    asn1.raw(spki),
    asn1.context(3, true, [asn1.sequence(...extensionsOf(full))]),
  )
  const signature = sign(full.hash, asn1.toDer(tbs), issuer?.privateKey ?? privateKey)
  const der = asn1.toDer(asn1.sequence(tbs, algorithm, asn1.bitString(new Uint8Array(signature))))
  return { der, privateKey, publicKey, subject, spkiSha256: spkiHash(spki) }
}

/** Issues a CA certificate. */
export function issueCa(spec: Partial<Spec>, issuer?: Holder): Holder {
  return issue(spec, issuer, CA)
}

const spkiHash = (spki: Uint8Array): string => toHex(sha256(spki))

function randomSerial(): Uint8Array {
  const serial = new Uint8Array(randomBytes(16))
  serial[0] = 0x41
  return serial
}

/** s replaced by n − s in a certificate's signature: other bytes that verify as well. */
export function malleate(der: Uint8Array): Uint8Array {
  const [tbs, algorithm, signature] = asn1.children(asn1.parseDer(der))
  if (!tbs || !algorithm || !signature) throw new Error('expected a certificate')
  const [r, s] = asn1.children(asn1.parseDer(asn1.bytesOf(signature)))
  if (!r || !s) throw new Error('expected r and s')
  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const other = (order - BigInt(`0x${toHex(asn1.integerOf(s))}`)).toString(16).padStart(64, '0')
  const changed = asn1.sequence(r, asn1.integer(new Uint8Array(Buffer.from(other, 'hex'))))
  return asn1.toDer(asn1.sequence(tbs, algorithm, asn1.bitString(asn1.toDer(changed))))
}

/** A DER as PEM. */
export function pem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** A new sealing key of suite 1, and its file. */
export function newSealingKey(): { key: SealingKey; pem: string } {
  const { privateKey } = generateKeyPairSync('x25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'))
  return {
    key: createSealingKey(1, bytes(x), bytes(d)),
    pem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

/** One domain: root, issuing CA, revocation signer, and what they issue. */
export interface TestPki {
  readonly domain: string
  readonly root: Holder
  readonly issuing: Holder
  readonly revocationSigner: Holder
  /** A leaf and its chain, leaf first, root left out. */
  leaf(spec?: Partial<Spec>): Holder & { readonly chain: readonly Uint8Array[] }
  trust(options?: Partial<TrustOptions>): KeptTrust
  /** A card; `body` bends single fields. */
  card(leaf: Holder, body?: Partial<CardBody>): Uint8Array
  revocationList(list?: Partial<RevocationList>, signer?: Holder): Uint8Array
}

export function makePki(domain = 'field'): TestPki {
  const root = issueCa({ cn: [`${domain} root`], pathLength: 1 })
  const issuing = issueCa({ cn: [`${domain} issuing`], pathLength: 0 }, root)
  const revocationSigner = issue(
    { cn: ['revocation'], extendedKeyUsage: null, notAfterMs: NOW + 3650 * DAY },
    root,
  )
  const issuers = [
    { spkiSha256: issuing.spkiSha256, domain, roles: ['heh', 'vpp'], prefixes: ['heh-', 'vpp-'] },
  ]
  const chainOf = (leaf: Holder): Uint8Array[] => [leaf.der, issuing.der]
  return {
    domain,
    root,
    issuing,
    revocationSigner,
    leaf(spec = {}) {
      const leaf = issue(spec, issuing)
      return { ...leaf, chain: chainOf(leaf) }
    },
    trust: options => createTrust({ domain, suites: [1], roots: [root.der], issuers, ...options }),
    card(leaf, body = {}) {
      const keys: [number, Uint8Array][] = [[1, newSealingKey().key.publicKey]]
      const request = { domain, chain: chainOf(leaf), signer: leaf.privateKey, nowMs: body.counter ?? NOW }
      if (Object.keys(body).length === 0) return issueCard({ ...request, keys })
      const certificate = parseCertificate(leaf.der)
      const full: CardBody = {
        domain,
        address: certificate.commonNames[0] ?? '',
        counter: NOW,
        notBeforeMs: NOW,
        notAfterMs: NOW + 30 * DAY,
        keys,
        lifetimeSeconds: 86_400,
        certHash: certificate.hash,
        inbox: 'quorum',
        ...body,
      }
      return encodeCard(full, chainOf(leaf), data => signP256(leaf.privateKey, data))
    },
    revocationList(list = {}, signer = revocationSigner) {
      const full = {
        domain,
        number: 1,
        issuedAtMs: NOW,
        maxAgeSeconds: 86_400,
        serials: [],
        addresses: [],
        ...list,
      }
      return issueRevocationList(full, [signer.der], signer.privateKey)
    },
  }
}
