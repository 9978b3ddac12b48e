import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import * as asn1 from '../../src/crypto/asn1.js'
import { openCertificate, parseCertificate } from '../../src/crypto/certificate.js'
import { extension, issue, issueCa, makePki, malleate, NOW, pem } from '../support/certificates.js'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const pki = makePki()

describe('certificate', () => {
  it('reads what stands in a leaf', () => {
    const leaf = pki.leaf({ serial: 0x1234, notBeforeMs: NOW, notAfterMs: NOW + 1000 })
    const read = parseCertificate(leaf.der)
    const [tbs] = asn1.children(asn1.parseDer(leaf.der))
    if (!tbs) throw new Error('tbs')
    expect(hex(read.hash)).toBe(sha256(asn1.toDer(tbs)))
    expect(hex(read.spkiSha256)).toBe(sha256(leaf.publicKey.export({ type: 'spki', format: 'der' })))
    expect(hex(read.serial)).toBe('1234')
    expect([read.notBeforeMs, read.notAfterMs]).toEqual([NOW, NOW + 1000])
    expect([read.commonNames, read.organizationalUnits]).toEqual([['heh-0001'], ['heh']])
    expect([...(read.keyUsage ?? [])]).toEqual(['digitalSignature'])
    expect([...(read.extendedKeyUsage ?? [])]).toEqual(['1.3.6.1.5.5.7.3.2'])
    expect([read.ca, read.pathLength, read.unknownCritical]).toEqual([false, undefined, []])
  })

  it('reads a CA of openssl', () => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null']
    const args = ['req', '-x509', ...key, '-subj', '/OU=ca/CN=Openssl CA', '-days', '3']
    const extra = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-outform', 'DER']
    const der = new Uint8Array(execFileSync('openssl', [...args, ...extra], { stdio: 'pipe' }))
    const read = parseCertificate(der)
    expect(read.commonNames).toEqual(['Openssl CA'])
    expect([read.ca, [...(read.keyUsage ?? [])]]).toEqual([true, ['keyCertSign', 'cRLSign']])
  })

  it('reads every common name, where Node is content with two', () => {
    const two = pki.leaf({ cn: ['heh-0001', 'tso-1'] })
    expect(openCertificate(two.der).subject).toContain('CN=')
    expect(parseCertificate(two.der).commonNames).toEqual(['heh-0001', 'tso-1'])
  })

  it('gives a certificate whose signature was rewritten as n − s the same hash', () => {
    const leaf = pki.leaf()
    const other = malleate(leaf.der)
    expect(hex(other)).not.toBe(hex(leaf.der))
    expect(openCertificate(other).verify(pki.issuing.publicKey)).toBe(true)
    expect(hex(parseCertificate(other).hash)).toBe(hex(parseCertificate(leaf.der).hash))
  })

  it('knows critical extensions that it does not process', () => {
    const leaf = pki.leaf({ extensions: [extension('1.2.3.4', true, asn1.integer(1))] })
    expect(parseCertificate(leaf.der).unknownCritical).toEqual(['1.2.3.4'])
    const harmless = pki.leaf({ extensions: [extension('1.2.3.4', false, asn1.integer(1))] })
    expect(parseCertificate(harmless.der).unknownCritical).toEqual([])
  })

  it.each([
    ['PEM', Buffer.from(pem(pki.root.der))],
    ['trailing bytes', Buffer.concat([pki.root.der, Buffer.from([0])])],
    ['garbage', Buffer.from('garbage')],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', (_, bytes) => {
    expect(() => parseCertificate(new Uint8Array(bytes))).toThrow(
      expect.objectContaining({ code: 'untrusted' }) as Error,
    )
  })

  it('refuses another curve, another hash, a repeated extension and a serial of zero', () => {
    expect(() => parseCertificate(issue({ curve: 'P-384' }, pki.issuing).der)).toThrow(/P-256/)
    expect(() => parseCertificate(issue({ hash: 'sha384' }, pki.issuing).der)).toThrow(/ecdsa-with-SHA256/)
    const twice = extension('2.5.29.15', true, asn1.bitString(Uint8Array.of(0x80), 7))
    expect(() => parseCertificate(issue({ extensions: [twice] }, pki.issuing).der)).toThrow(/twice/)
    expect(() => parseCertificate(issue({ serial: 0 }, pki.issuing).der)).toThrow(/serial/)
    expect(parseCertificate(issueCa({ pathLength: 3 }).der).pathLength).toBe(3)
  })
})
