import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as asn1 from '../../src/crypto/asn1.js'
import { parseCertificate } from '../../src/crypto/certificate.js'
import { EXTENSION_OID } from '../../src/crypto/certificate-extensions.js'
import { identityLeaf, revocationSigner } from '../../src/crypto/leaf-profile.js'
import { validatePath } from '../../src/crypto/path.js'
import {
  DAY,
  extension,
  type Holder,
  issue,
  issueCa,
  makePki,
  NOW,
  pem,
  type Spec,
} from '../support/certificates.js'

const pki = makePki()
const roots = [parseCertificate(pki.root.der)]
const leaf = (spec: Partial<Spec> = {}): readonly Uint8Array[] => pki.leaf(spec).chain
const validate = (chain: readonly Uint8Array[], nowMs = NOW) =>
  validatePath(chain, roots, identityLeaf, nowMs)
const unknown = [extension('1.2.3.4', true, asn1.integer(1))]

/** A chain of leaf, CAs from below to above, under the root. */
function under(...specs: readonly Partial<Spec>[]): Uint8Array[] {
  let issuer: Holder = pki.root
  const cas = specs.map(spec => {
    issuer = issueCa(spec, issuer)
    return issuer.der
  })
  return [issue({}, issuer).der, ...cas.reverse()]
}

/** What openssl says of the same chain. */
function openssl(chain: readonly Uint8Array[], nowMs = NOW): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'sealbus-path-'))
  try {
    const [first = new Uint8Array(), ...rest] = chain
    const files = {
      'root.pem': pem(pki.root.der),
      'leaf.pem': pem(first),
      'chain.pem': rest.map(der => pem(der)).join(''),
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
    const args = ['verify', '-purpose', 'sslclient', '-attime', String(nowMs / 1000), '-CAfile', 'root.pem']
    execFileSync('openssl', [...args, '-untrusted', 'chain.pem', 'leaf.pem'], { cwd: dir, stdio: 'pipe' })
    return true
  } catch {
    return false
  } finally {
    rmSync(dir, { recursive: true })
  }
}

describe('path validation', () => {
  it('accepts a leaf under an issuing CA under the root, as openssl does', () => {
    const chain = leaf()
    const path = validate(chain)
    expect(path.leaf.commonNames).toEqual(['heh-0001'])
    expect(path.issuer.commonNames).toEqual(['field issuing'])
    expect([path.notBeforeMs, path.notAfterMs]).toEqual([NOW - 300_000, NOW + 90 * DAY])
    expect(openssl(chain)).toBe(true)
  })

  it('accepts a leaf of the root itself', () => {
    expect(validate([issue({}, pki.root).der]).issuer.commonNames).toEqual(['field root'])
  })

  it.each<[string, () => readonly Uint8Array[], RegExp]>([
    ['a leaf that is not yet valid', () => leaf({ notBeforeMs: NOW + 1000 }), /not valid before/],
    ['an expired leaf', () => leaf({ notBeforeMs: NOW - DAY, notAfterMs: NOW - 1000 }), /expired/],
    ['an expired CA', () => under({ notBeforeMs: NOW - DAY, notAfterMs: NOW - 1000 }), /expired/],
    ['a CA without the CA flag', () => under({ ca: false }), /CA/],
    ['a CA without basic constraints', () => under({ ca: null }), /CA/],
    ['a path longer than the root allows', () => under({}, {}), /path too long/],
    [
      'a CA that may not sign certificates',
      () => under({ keyUsage: ['digitalSignature'] }),
      /keyCertSign|issuer/,
    ],
    ['a CA for servers only', () => under({ extendedKeyUsage: [EXTENSION_OID.serverAuth] }), /clientAuth/],
    ['an unknown critical extension in the leaf', () => leaf({ extensions: unknown }), /unknown critical/],
    ['an unknown critical extension in a CA', () => under({ extensions: unknown }), /unknown critical/],
    ['a leaf that may not sign', () => leaf({ keyUsage: ['keyEncipherment'] }), /digitalSignature/],
    ['a leaf for servers', () => leaf({ extendedKeyUsage: [EXTENSION_OID.serverAuth] }), /clientAuth/],
  ])('refuses %s, as openssl does', (_, make, message) => {
    const chain = make()
    expect(() => validate(chain)).toThrow(message)
    expect(openssl(chain)).toBe(false)
  })

  it.each<[string, () => readonly Uint8Array[], RegExp]>([
    ['a CA without key usage', () => under({ keyUsage: null }), /keyCertSign/],
    ['a leaf without key usage', () => leaf({ keyUsage: null }), /digitalSignature/],
    ['a leaf without extended key usage', () => leaf({ extendedKeyUsage: null }), /clientAuth/],
    [
      'a leaf for clients and servers',
      () => leaf({ extendedKeyUsage: [EXTENSION_OID.clientAuth, EXTENSION_OID.serverAuth] }),
      /serverAuth/,
    ],
    [
      'a leaf for anything',
      () => leaf({ extendedKeyUsage: [EXTENSION_OID.clientAuth, EXTENSION_OID.anyExtendedKeyUsage] }),
      /any/,
    ],
    ['a leaf that is a CA', () => leaf({ ca: true }), /no CA/],
    [
      'a leaf that may sign certificates',
      () => leaf({ keyUsage: ['digitalSignature', 'keyCertSign'] }),
      /no CA/,
    ],
    ['two common names', () => leaf({ cn: ['heh-0001', 'heh-0002'] }), /exactly one CN, got 2/],
    ['no common name', () => leaf({ cn: [] }), /exactly one CN, got 0/],
    ['two roles', () => leaf({ ou: ['heh', 'tso'] }), /exactly one OU, got 2/],
    ['no role', () => leaf({ ou: [] }), /exactly one OU, got 0/],
    ['a name that is no address', () => leaf({ cn: ['heh.0001'] }), /CN of 1\.\.64/],
    ['the root in the chain', () => [...leaf(), pki.root.der], /root out/],
    ['an empty chain', () => [], /1\.\.3 certificates/],
    ['four certificates', () => [...leaf(), pki.issuing.der, pki.issuing.der], /got 4/],
    [
      'more than 4 KiB',
      () => leaf({ extensions: [extension('1.2.3', false, asn1.octetString(new Uint8Array(4000)))] }),
      /4096 bytes/,
    ],
    ['a chain in the wrong order', () => [...leaf()].reverse(), /root/],
    ['a chain that ends nowhere', () => leaf().slice(0, 1), /root/],
  ])('refuses %s', (_, make, message) => {
    expect(() => validate(make())).toThrow(message)
  })

  it('tells another CA of the same name apart by its key', () => {
    const twin = makePki()
    expect(() => validate(twin.leaf().chain)).toThrow(/root of the trust file/)
    const twinCa = issueCa({ cn: ['field issuing'], pathLength: 0 }, twin.root)
    const forged = issue({}, twinCa)
    expect(() => validate([forged.der, pki.issuing.der])).toThrow(/signature of certificate 0 is wrong/)
  })

  it('lets OpenSSL alone see bytes that are not signed', () => {
    const unsigned = issue({ serial: 0 }, makePki().issuing) // our reader would complain of the serial
    expect(() => validate([unsigned.der, pki.issuing.der])).toThrow(/signature/)
  })

  it('asks the dates of the root as well', () => {
    expect(() => validate(leaf({ notAfterMs: NOW + 5000 * DAY }), NOW + 3651 * DAY)).toThrow(/expired/)
  })

  it('wants a signer of revocation lists to be allowed to sign', () => {
    const signer = issue({ keyUsage: ['keyAgreement'], extendedKeyUsage: null }, pki.root)
    expect(() => validatePath([signer.der], roots, revocationSigner, NOW)).toThrow(
      /digitalSignature or cRLSign/,
    )
    expect(() => validatePath([pki.revocationSigner.der], roots, revocationSigner, NOW)).not.toThrow()
  })
})
