import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/bytes.js'
import { createTrust } from '../../src/crypto/trust.js'
import { parseTrustFile } from '../../src/crypto/trust-file.js'
import { DAY, issue, issueCa, makePki, malleate, NOW } from '../support/certificates.js'

const pki = makePki()
const rule = { spkiSha256: pki.issuing.spkiSha256, domain: 'field', roles: ['heh'], prefixes: ['heh-'] }

describe('trust', () => {
  it('says who a leaf is: domain by its issuer, address, role, fingerprint', () => {
    const leaf = pki.leaf()
    const certificate = pki.trust().verify(leaf.chain, NOW)
    expect(certificate).toMatchObject({ domain: 'field', address: 'heh-0001', role: 'heh' })
    expect(certificate.fingerprint).toBe(toHex(certificate.hash))
    expect(certificate.chain).toEqual(leaf.chain)
    expect(certificate.der).toEqual(leaf.der)
  })

  it('finds an accepted leaf by the first eight bytes of its hash', () => {
    const trust = pki.trust()
    const certificate = trust.verify(pki.leaf().chain, NOW)
    expect(trust.find(certificate.hash.subarray(0, 8), NOW)).toEqual([certificate])
    expect(trust.find(new Uint8Array(8), NOW)).toEqual([])
  })

  it('stops to know a certificate that expires while the process runs', () => {
    const trust = pki.trust()
    const leaf = pki.leaf({ notAfterMs: NOW + 60_000 })
    const { hash } = trust.verify(leaf.chain, NOW)
    const id = hash.subarray(0, 8)
    expect(trust.find(id, NOW + 60_000)).toHaveLength(1)
    expect(trust.find(id, NOW + 61_000)).toHaveLength(0)
    expect(() => trust.verify(leaf.chain, NOW + 61_000)).toThrow(/expired/)
    expect(trust.find(id, NOW - DAY)).toHaveLength(0)
  })

  it('ends a leaf with the CA above it', () => {
    const ca = issueCa({ pathLength: 0, notAfterMs: NOW + DAY }, pki.root)
    const trust = pki.trust({ issuers: [{ ...rule, spkiSha256: ca.spkiSha256 }] })
    const certificate = trust.verify([issue({}, ca).der, ca.der], NOW)
    expect(certificate.notAfterMs).toBe(NOW + DAY)
    expect(trust.find(certificate.hash.subarray(0, 8), NOW + DAY + 1000)).toHaveLength(0)
    expect(() => trust.verify([issue({}, ca).der, ca.der], NOW + DAY + 1000)).toThrow(/expired/)
  })

  it('refuses an issuer outside its prefixes, outside its roles, and one that is not listed', () => {
    const trust = pki.trust({ issuers: [rule] })
    expect(() => trust.verify(pki.leaf({ cn: ['tso-1'] }).chain, NOW)).toThrow(/may not issue address tso-1/)
    expect(() => trust.verify(pki.leaf({ ou: ['tso'] }).chain, NOW)).toThrow(/may not issue role tso/)
    expect(() => trust.verify([issue({}, pki.root).der], NOW)).toThrow(/is not among/)
    expect(() => trust.verify(pki.leaf().chain, NOW)).not.toThrow()
  })

  it('allows any role with * and any address with the empty prefix, where the file says so', () => {
    const trust = pki.trust({ issuers: [{ ...rule, roles: ['*'], prefixes: [''] }] })
    expect(trust.verify(pki.leaf({ cn: ['x'], ou: ['tso'] }).chain, NOW)).toMatchObject({
      address: 'x',
      role: 'tso',
    })
  })

  it('keeps domains apart: the same name from another CA is another party', () => {
    const other = makePki('town')
    const issuers = [rule, { ...rule, spkiSha256: other.issuing.spkiSha256, domain: 'town' }]
    const trust = pki.trust({ roots: [pki.root.der, other.root.der], issuers })
    expect(trust.verify(other.leaf().chain, NOW).domain).toBe('town')
    expect(trust.verify(pki.leaf().chain, NOW).domain).toBe('field')
    expect(() => pki.trust().verify(other.leaf().chain, NOW)).toThrow(/root of the trust file/)
  })

  it('knows a certificate by its contents, whatever its signature is rewritten to', () => {
    const trust = pki.trust()
    const leaf = pki.leaf()
    const [first, second] = [leaf.chain, [malleate(leaf.der), pki.issuing.der]].map(chain =>
      trust.verify(chain, NOW),
    )
    expect(first?.fingerprint).toBe(second?.fingerprint)
    expect(trust.find(first?.hash.subarray(0, 8) ?? new Uint8Array(), NOW)).toHaveLength(1)
  })

  it('validates a damaged copy of a known chain anew', () => {
    const trust = pki.trust()
    const leaf = pki.leaf()
    trust.verify(leaf.chain, NOW)
    const damaged = leaf.der.slice()
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1
    expect(() => trust.verify([damaged, pki.issuing.der], NOW)).toThrow(/untrusted|signature|root/)
  })

  it('remembers a bounded number of leaves, the longest unused goes', () => {
    const trust = pki.trust({ remembered: 2 })
    const remember = (cn: string): Uint8Array =>
      trust.verify(pki.leaf({ cn: [cn] }).chain, NOW).hash.subarray(0, 8)
    const [one, two] = [remember('heh-1'), remember('heh-2')]
    trust.find(one, NOW)
    const three = remember('heh-3')
    expect([one, two, three].map(id => trust.find(id, NOW).length)).toEqual([1, 0, 1])
  })

  it('asks the revocation list about a certificate that another trust accepted, or refuses it', () => {
    const options = { revocation: { signers: [pki.revocationSigner.spkiSha256] } }
    const trust = pki.trust(options)
    trust.acceptRevocationList(pki.revocationList(), NOW)
    const own = pki.trust().verify(pki.leaf().chain, NOW)
    expect(trust.revocation(own, NOW)).toBe('good')
    const other = makePki()
    expect(trust.revocation(other.trust().verify(other.leaf().chain, NOW), NOW)).toBe('revoked')
  })

  it('refuses roots that others have signed, and an issuer with two domains', () => {
    expect(() => pki.trust({ roots: [pki.issuing.der] })).toThrow(/signed by themselves/)
    expect(() => pki.trust({ issuers: [rule, { ...rule, domain: 'town' }] })).toThrow(/two domains/)
  })
})

describe('trust.json', () => {
  const file = {
    version: 1,
    domain: 'field',
    suites: [1],
    roots: ['identity-root.crt'],
    issuers: [rule],
    revocation: { file: 'revoked.cbor', signers: [pki.revocationSigner.spkiSha256] },
  }
  const parse = (change: object) => parseTrustFile(JSON.stringify({ ...file, ...change }))

  it('is what createTrust wants', () => {
    const { revocation, ...rest } = parseTrustFile(JSON.stringify(file))
    expect(createTrust({ ...rest, revocation, roots: [pki.root.der] }).suites).toEqual(new Set([1]))
    expect(parse({ revocation: undefined }).revocation).toBeUndefined()
  })

  it.each<[object, string]>([
    [{ version: 2 }, 'trust.json: "version": expected 1, got another value'],
    [{ domain: 'a b' }, 'trust.json: "domain": expected text'],
    [{ suites: [] }, 'trust.json: "suites": expected a list of at least 1'],
    [{ suites: [9] }, 'trust.json: "suites": expected a list of any of 1'],
    [{ roots: undefined }, 'trust.json: "roots": expected a list of at least 1, it is missing'],
    [{ issuers: [{ ...rule, spkiSha256: 'AB' }] }, 'trust.json: issuers[0]: "spkiSha256": expected text'],
    [{ issuers: [{ ...rule, prefix: 'heh-' }] }, 'trust.json: issuers[0]: unknown field "prefix"'],
    [{ revocation: { file: 'revoked.cbor' } }, 'trust.json: revocation: "signers": expected a list'],
    [{ root: [] }, 'trust.json: unknown field "root"'],
  ])('with %j is refused by name', (change, message) => {
    expect(() => parse(change)).toThrow(message)
  })

  it('that is no JSON is refused without quoting it', () => {
    expect(() => parseTrustFile('{"secret": hunter2')).toThrow(/^(?!.*hunter2).*expected JSON/)
    expect(() => parseTrustFile('[]')).toThrow(/JSON object/)
  })
})
