import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/bytes.js'
import { decodeCbor, encodeCbor } from '../../src/codec/cbor.js'
import { issueRevocationList, parseRevocationList, type RevocationList } from '../../src/crypto/revocation.js'
import type { KeptTrust } from '../../src/crypto/trust.js'
import { DAY, issue, issueCa, makePki, NOW } from '../support/certificates.js'

const pki = makePki()
const signers = { revocation: { signers: [pki.revocationSigner.spkiSha256] } }
const issuer = fromHex(pki.issuing.spkiSha256)
const serial = Uint8Array.of(0x42, 1)

/** The state of a leaf after a list was accepted. */
function stateAfter(list: Partial<RevocationList>, leaf = pki.leaf({ serial }), nowMs = NOW): string {
  const trust = pki.trust(signers)
  trust.acceptRevocationList(pki.revocationList(list), NOW)
  return trust.revocation(trust.verify(leaf.chain, NOW), nowMs)
}

const accept = (trust: KeptTrust, list: Partial<RevocationList>, nowMs = NOW): void =>
  trust.acceptRevocationList(pki.revocationList(list), nowMs)

describe('revocation', () => {
  it('encodes and parses to the same list', () => {
    const list = {
      domain: 'field',
      number: 7,
      issuedAtMs: NOW,
      maxAgeSeconds: 3600,
      serials: [{ issuerSpkiSha256: issuer, serial }],
      addresses: [{ address: 'heh-0001', issuedBeforeMs: NOW - 1000 }],
    }
    const bytes = issueRevocationList(list, [pki.revocationSigner.der], pki.revocationSigner.privateKey)
    expect(parseRevocationList(bytes)).toMatchObject(list)
  })

  it('leaves a certificate good that is not on the list', () => {
    expect(stateAfter({})).toBe('good')
  })

  it('revokes by issuer and serial number', () => {
    expect(stateAfter({ serials: [{ issuerSpkiSha256: issuer, serial }] })).toBe('revoked')
  })

  it('tells the same serial number of another issuer apart', () => {
    const other = fromHex(issueCa({}).spkiSha256)
    expect(stateAfter({ serials: [{ issuerSpkiSha256: other, serial }] })).toBe('good')
  })

  it('revokes what was issued to an address before a time, and nothing after', () => {
    const addresses = [{ address: 'heh-0001', issuedBeforeMs: NOW - DAY }]
    expect(stateAfter({ addresses }, pki.leaf({ notBeforeMs: NOW - DAY - 1000 }))).toBe('revoked')
    expect(stateAfter({ addresses }, pki.leaf({ notBeforeMs: NOW - DAY }))).toBe('good')
    expect(stateAfter({ addresses }, pki.leaf({ cn: ['heh-0002'], notBeforeMs: NOW - 2 * DAY }))).toBe('good')
  })

  it('revokes everything below a revoked CA', () => {
    const caSerial = Uint8Array.of(0x55)
    const ca = issueCa({ serial: caSerial, pathLength: 0 }, pki.root)
    const rule = { spkiSha256: ca.spkiSha256, domain: 'field', roles: ['heh'], prefixes: ['heh-'] }
    const trust = pki.trust({ ...signers, issuers: [rule] })
    accept(trust, { serials: [{ issuerSpkiSha256: fromHex(pki.root.spkiSha256), serial: caSerial }] })
    const leaf = trust.verify([issue({}, ca).der, ca.der], NOW)
    expect(trust.revocation(leaf, NOW)).toBe('revoked')
  })

  it('is stale past its maximum age, but what stands on it stays revoked', () => {
    const late = NOW + 3601_000
    expect(stateAfter({ maxAgeSeconds: 3600 }, undefined, late - 1000)).toBe('good')
    expect(stateAfter({ maxAgeSeconds: 3600 }, undefined, late)).toBe('stale')
    const serials = [{ issuerSpkiSha256: issuer, serial }]
    expect(stateAfter({ maxAgeSeconds: 3600, serials }, undefined, late)).toBe('revoked')
  })

  it('is stale where one is required and none was accepted, and none where none is required', () => {
    const [required, free] = [pki.trust(signers), pki.trust()]
    expect(required.revocation(required.verify(pki.leaf().chain, NOW), NOW)).toBe('stale')
    expect(free.revocation(free.verify(pki.leaf().chain, NOW), NOW)).toBe('none')
  })

  it('refuses a list that was rolled back, and one of the same number with other entries', () => {
    const trust = pki.trust(signers)
    accept(trust, { number: 5 })
    expect(() => accept(trust, { number: 4 })).toThrow(/above 5, got 4/)
    expect(() => accept(trust, { number: 5, maxAgeSeconds: 1 })).toThrow(/above 5/)
    expect(() => accept(trust, { number: 5 })).not.toThrow()
    expect(() => accept(trust, { number: 6 })).not.toThrow()
  })

  it('refuses the wrong signer', () => {
    const trust = pki.trust(signers)
    const other = issue({ cn: ['other'], extendedKeyUsage: null }, pki.root)
    expect(() => trust.acceptRevocationList(pki.revocationList({}, other), NOW)).toThrow(
      /none of the trust file/,
    )
    const stranger = makePki().revocationSigner
    expect(() => trust.acceptRevocationList(pki.revocationList({}, stranger), NOW)).toThrow(
      /root of the trust file/,
    )
    expect(() => accept(pki.trust(), {})).toThrow(/names no signer/)
  })

  it('refuses a signature by another key than the chain names', () => {
    const list = pki.revocationList()
    const [body, , chain] = decodeCbor(list) as [Uint8Array, Uint8Array, Uint8Array[]]
    const [, foreign] = decodeCbor(pki.revocationList({ number: 9 })) as [Uint8Array, Uint8Array]
    const mixed = encodeCbor([body, foreign, chain])
    expect(() => pki.trust(signers).acceptRevocationList(mixed, NOW)).toThrow(/signature is wrong/)
  })

  it('refuses another domain, the future, and an expired signer', () => {
    const trust = pki.trust(signers)
    expect(() => accept(trust, { domain: 'other' })).toThrow(/expected domain field/)
    expect(() => accept(trust, { issuedAtMs: NOW + 121_000 })).toThrow(/future/)
    expect(() => accept(trust, {}, NOW + 3651 * DAY)).toThrow(/expired/)
  })

  it.each<[string, Uint8Array]>([
    ['no CBOR', Uint8Array.of(0xff)],
    ['too few members', encodeCbor([new Uint8Array(), new Uint8Array(64)])],
    ['a short signature', encodeCbor([new Uint8Array(), new Uint8Array(63), []])],
    ['an empty body', encodeCbor([new Uint8Array(), new Uint8Array(64), []])],
    ['more than 1 MiB', new Uint8Array(1024 * 1024 + 1)],
  ])('refuses %s as malformed', (_, bytes) => {
    expect(() => parseRevocationList(bytes)).toThrow(expect.objectContaining({ code: 'untrusted' }) as Error)
  })

  it('refuses a serial number that is not minimal: it would revoke nothing', () => {
    const padded = pki.revocationList({
      serials: [{ issuerSpkiSha256: issuer, serial: Uint8Array.of(0, 0x42) }],
    })
    expect(() => parseRevocationList(padded)).toThrow(/minimal/)
  })
})
