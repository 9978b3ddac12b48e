/** Keys on another curve than P-256, in every place where a key comes from outside: list of docs/PROTOCOL.md, case 9. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes, verify, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { issueCertificate } from '../../pki/certificate.js'
import { PROFILES } from '../../pki/profiles.js'
import { utf8 } from '../../src/bytes.js'
import { type CardBody, encodeCard, verifyCard } from '../../src/crypto/card.js'
import { parseCertificate } from '../../src/crypto/certificate.js'
import { signP256 } from '../../src/crypto/ecdsa.js'
import { parseIdentityKey } from '../../src/crypto/identity.js'
import type { Certificate, Trust } from '../../src/crypto/peers.js'
import { verifySignature } from '../../src/crypto/signature.js'
import { sodiumReady } from '../../src/crypto/sodium.js'
import { createTrust, type KeptTrust } from '../../src/crypto/trust.js'
import * as made from '../support/certificates.js'
import { introduce, NOW, newAuthority, newParticipant, request } from '../support/fixtures-sealing.js'

/** n.b. of secp256k1 signatures have 64 bytes, too: no length gives them away. */
const CURVES = ['secp256k1', 'P-384', 'P-521', 'brainpoolP256r1']
const P256_ONLY = /expected a P-256 public key/

interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const pairOn = (namedCurve: string): Pair => generateKeyPairSync('ec', { namedCurve })

beforeAll(sodiumReady)

/** Trust in a domain whose issuing CA or root is on the given curve, and a chain of it that is right otherwise. */
function domainOn(curves: { root?: string; issuing?: string; leaf?: string }): {
  trust: () => KeptTrust
  chain: Uint8Array[]
  leaf: made.Holder
} {
  const on = (curve: string | undefined): Partial<made.Spec> => (curve === undefined ? {} : { curve })
  const root = made.issueCa({ cn: ['root'], pathLength: 1, ...on(curves.root) })
  const issuing = made.issueCa({ cn: ['issuing'], pathLength: 0, ...on(curves.issuing) }, root)
  const leaf = made.issue(on(curves.leaf), issuing)
  const issuers = [{ spkiSha256: issuing.spkiSha256, domain: 'field', roles: ['*'], prefixes: [''] }]
  return {
    trust: () => createTrust({ domain: 'field', suites: [1], roots: [root.der], issuers }),
    chain: [leaf.der, issuing.der],
    leaf,
  }
}

describe('a certificate whose key is not on P-256 is refused', () => {
  it.each(CURVES)('as a leaf: %s', curve => {
    const { trust, chain } = domainOn({ leaf: curve })
    expect(() => trust().verify(chain, made.NOW)).toThrow(P256_ONLY)
  })

  it.each(CURVES)('as an issuing CA, whatever its leaves are: %s', curve => {
    const { trust, chain } = domainOn({ issuing: curve })
    expect(() => trust().verify(chain, made.NOW)).toThrow(P256_ONLY)
  })

  it.each(CURVES)('as a root of the trust file: %s', curve => {
    expect(domainOn({ root: curve }).trust).toThrow(P256_ONLY)
  })

  it('where P-256 is spelt out by its parameters instead of named', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    const { der } = made.issue({ keys: pair }, made.makePki().issuing)
    expect(() => parseCertificate(der)).toThrow(P256_ONLY)
  })

  it.each(['secp256k1', 'secp384r1'])('as openssl makes it: %s', curve => {
    const key = ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-nodes', '-keyout', '/dev/null']
    const args = ['req', '-x509', '-sha256', '-days', '30', '-subj', '/OU=heh/CN=heh-0001', ...key]
    const pem = execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })
    expect(() => parseCertificate(new Uint8Array(new X509Certificate(pem).raw))).toThrow(P256_ONLY)
  })

  it('as the signer of a revocation list', () => {
    const pki = made.makePki()
    const spec = { cn: ['revocation'], extendedKeyUsage: null, curve: 'secp256k1' }
    const signer = made.issue(spec, pki.root)
    const trust = pki.trust({ revocation: { signers: [signer.spkiSha256] } })
    expect(() => trust.acceptRevocationList(pki.revocationList({}, signer), made.NOW)).toThrow(P256_ONLY)
    expect(trust.revocationList()).toBeUndefined()
  })
})

/** A card of heh-0001 that is right but for its signer: the key of the leaf, whatever curve it is on. */
function cardSignedBy(
  { der, privateKey }: made.Holder,
  issuing: made.Holder,
  certHash: Uint8Array,
): Uint8Array {
  const body: CardBody = {
    domain: 'field',
    address: 'heh-0001',
    counter: made.NOW,
    notBeforeMs: made.NOW,
    notAfterMs: made.NOW + 30 * made.DAY,
    keys: [[1, made.newSealingKey().key.publicKey]],
    lifetimeSeconds: 86_400,
    certHash,
    inbox: 'quorum',
  }
  return encodeCard(body, [der, issuing.der], data => signP256(privateKey, data))
}

describe('what is signed on another curve is refused', () => {
  it('as a bare signature, right as it is', () => {
    const { publicKey, privateKey } = pairOn('secp256k1')
    const data = utf8('data')
    const signature = signP256(privateKey, data)
    expect(signature).toHaveLength(64)
    expect(verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
    expect(verifySignature(publicKey, data, signature)).toBe(false)
  })

  it('as a card, with its certificate', () => {
    const pki = made.makePki()
    const leaf = pki.leaf({ curve: 'secp256k1' })
    const card = cardSignedBy(leaf, pki.issuing, new Uint8Array(32))
    expect(() => verifyCard(card, pki.trust(), made.NOW)).toThrow(P256_ONLY)
  })

  it('as a card, even where its certificate is believed', () => {
    const pki = made.makePki()
    const leaf = pki.leaf({ curve: 'secp256k1' })
    const honest = pki.trust().verify(pki.leaf().chain, made.NOW)
    const certificate: Certificate = { ...honest, publicKey: leaf.publicKey }
    const card = cardSignedBy(leaf, pki.issuing, certificate.hash)
    const believing = { ...bare(pki.trust()), verify: () => certificate }
    expect(() => verifyCard(card, believing, made.NOW)).toThrow(/its signature is wrong/)
  })

  it('as an envelope that introduces its sender', () => {
    const authority = newAuthority()
    const [alice, bob] = [newParticipant(authority, 'vpp-0001'), newParticipant(authority, 'heh-0001')]
    introduce(alice, bob)
    const { publicKey, privateKey } = pairOn('secp256k1')
    const subject = { commonName: 'vpp-0001', organizationalUnit: 'heh' }
    const profile = PROFILES.device
    const leaf = issueCertificate({ profile, subject, publicKey, nowMs: NOW }, authority.issuing)
    const chain = [leaf, authority.issuing.certificate].map(each => new Uint8Array(each.raw))
    const certificate: Certificate = { ...alice.identity.certificate, publicKey, chain, hash: randomHash() }
    const identity = {
      ...alice.identity,
      certificate,
      sign: (data: Uint8Array) => signP256(privateKey, data),
    }
    const { body } = alice.sealer({ identity }).seal(request(bob, { introduce: true }))
    expect(bob.opener().open(body)).toMatchObject({
      ok: false,
      reason: 'untrusted-certificate',
      detail: expect.stringMatching(P256_ONLY) as string,
    })
  })

  it('as an envelope, even where its certificate is believed', () => {
    const authority = newAuthority()
    const [alice, bob] = [newParticipant(authority, 'vpp-0001'), newParticipant(authority, 'heh-0001')]
    introduce(alice, bob)
    const { publicKey, privateKey } = pairOn('secp256k1')
    const identity = { ...alice.identity, sign: (data: Uint8Array) => signP256(privateKey, data) }
    const certificate: Certificate = { ...alice.identity.certificate, publicKey }
    const trust: Trust = { ...bare(bob.trust), find: () => [certificate] }
    const { body } = alice.sealer({ identity }).seal(request(bob))
    expect(bob.opener({ trust }).open(body)).toMatchObject({ ok: false, reason: 'bad-signature' })
  })
})

describe('an identity key on another curve is refused', () => {
  it.each(CURVES)('%s', curve => {
    const pem = pairOn(curve).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    expect(() => parseIdentityKey(pem)).toThrow(/expected a P-256 private key/)
  })
})

const randomHash = (): Uint8Array => new Uint8Array(randomBytes(32))

/** A trust of which single answers can be replaced. n.b. it has private fields, which a spread would lose. */
function bare(trust: Trust): Trust {
  return {
    domain: trust.domain,
    suites: trust.suites,
    verify: (chain, nowMs) => trust.verify(chain, nowMs),
    find: (certId, nowMs) => trust.find(certId, nowMs),
    revocation: (certificate, nowMs) => trust.revocation(certificate, nowMs),
    acceptRevocationList: (bytes, nowMs) => trust.acceptRevocationList(bytes, nowMs),
  }
}
