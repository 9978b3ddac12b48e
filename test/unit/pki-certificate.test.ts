import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { generateIdentityKey, issueCertificate, selfSign } from '../../pki/certificate.js'
import { issueBrokerCertificate, issueDevice, type Pki } from '../../pki/index.js'
import { PROFILES } from '../../pki/profiles.js'
import { parseCertificate } from '../../src/crypto/certificate.js'
import { newDomain, openssl, temporaryFolder } from '../support/pki.js'

const folder = temporaryFolder()
let pki: Pki
let device: string
let text: string

beforeAll(async () => {
  pki = await newDomain(folder, 'certificates')
  device = (await issueDevice(pki, { name: 'heh-0001', role: 'heh' })).device.folder ?? ''
  text = openssl('x509', '-noout', '-text', '-in', join(device, 'identity.crt'))
})

const fileOf = (name: string): string => join(pki.layout.dir, name)

describe("a device's certificate", () => {
  it('is accepted by OpenSSL, strictly and as a TLS client', () => {
    const path = ['-CAfile', fileOf('identity-root.crt'), '-untrusted', join(device, 'chain.crt')]
    const leaf = join(device, 'identity.crt')
    expect(openssl('verify', ...path, leaf)).toContain('OK')
    expect(openssl('verify', '-x509_strict', '-purpose', 'sslclient', ...path, leaf)).toContain('OK')
  })

  it('is no TLS server', () => {
    const path = ['-CAfile', fileOf('identity-root.crt'), '-untrusted', join(device, 'chain.crt')]
    expect(() => openssl('verify', '-purpose', 'sslserver', ...path, join(device, 'identity.crt'))).toThrow(
      /purpose/,
    )
  })

  it('has one CN, one OU, one purpose', () => {
    expect(text).toMatch(/Subject: OU ?= ?heh, CN ?= ?heh-0001\n/)
    expect(text).toMatch(/Key Usage: critical\n\s+Digital Signature\n/)
    expect(text).toMatch(/Extended Key Usage: ?\n\s+TLS Web Client Authentication\n/)
    expect(text).not.toContain('Server')
    expect(text).not.toContain('CA:TRUE')
  })

  it('begins 5 minutes ago and lives 90 days', () => {
    const { notBeforeMs, notAfterMs } = parseCertificate(rawOf('identity.crt'))
    expect(Date.now() - notBeforeMs).toBeGreaterThanOrEqual(300_000)
    expect(Date.now() - notBeforeMs).toBeLessThan(360_000)
    expect((notAfterMs - notBeforeMs - 300_000) / 86_400_000).toBe(90)
  })

  it('is P-256 and about 420 bytes', () => {
    expect(text).toContain('ASN1 OID: prime256v1')
    expect(rawOf('identity.crt').length).toBeLessThanOrEqual(420)
  })

  it('is DER that OpenSSL reads to the end', () => {
    const parsed = openssl('asn1parse', '-in', join(device, 'identity.crt'))
    expect(parsed).toContain('UTF8STRING        :heh-0001')
    expect(parsed.match(/UTCTIME/g)).toHaveLength(2)
  })

  it('has a key that belongs to it', () => {
    const inKey = openssl('pkey', '-in', join(device, 'identity.key'), '-pubout')
    expect(openssl('x509', '-noout', '-pubkey', '-in', join(device, 'identity.crt'))).toBe(inKey)
  })

  const rawOf = (name: string): Uint8Array => new Uint8Array(Buffer.from(derOf(join(device, name))))
})

function derOf(path: string): Buffer {
  return Buffer.from(openssl('x509', '-in', path).replace(/-----[^-]+-----|\s/g, ''), 'base64')
}

describe('certificate authorities', () => {
  it('of identities: a root for one CA, a CA for leaves only', () => {
    const root = openssl('x509', '-noout', '-text', '-in', fileOf('identity-root.crt'))
    const issuing = openssl('x509', '-noout', '-text', '-in', fileOf('ca/issuing.crt'))
    expect(root).toContain('CA:TRUE, pathlen:1')
    expect(issuing).toContain('CA:TRUE, pathlen:0')
    for (const each of [root, issuing])
      expect(each).toMatch(/Key Usage: critical\n\s+Certificate Sign, CRL Sign\n/)
  })

  it('of the broker: another root with another key', () => {
    const keys = ['identity-root.crt', 'broker-root.crt'].map(name =>
      openssl('x509', '-noout', '-pubkey', '-in', fileOf(name)),
    )
    expect(keys[0]).not.toBe(keys[1])
  })

  it('give no certificate an end after their own', () => {
    const key = generateIdentityKey()
    const subject = { commonName: 'short' }
    const short = { ...PROFILES.identityRoot, lifetimeDays: 10 }
    const nowMs = Date.now()
    const root = {
      certificate: selfSign({ profile: short, subject, publicKey: key.publicKey, nowMs }, key.privateKey),
      key: key.privateKey,
    }
    const leaf = issueCertificate(
      { profile: PROFILES.device, subject, publicKey: key.publicKey, nowMs },
      root,
    )
    expect(leaf.validTo).toBe(root.certificate.validTo)
  })

  it('give every certificate another serial number, positive and of 16 bytes', () => {
    const key = generateIdentityKey()
    const request = {
      profile: PROFILES.identityRoot,
      subject: { commonName: 'x' },
      publicKey: key.publicKey,
      nowMs: Date.now(),
    }
    const serials = Array.from({ length: 50 }, () => selfSign(request, key.privateKey).serialNumber)
    expect(new Set(serials).size).toBe(50)
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/)
  })
})

describe("a node's server certificate", () => {
  it('comes from the broker root and names the node, localhost and loopback addresses', async () => {
    const made = await issueBrokerCertificate(pki, {
      name: 'rmq1',
      hosts: ['broker.example', '10.0.0.7', 'FE80::1:0:0:2'],
    })
    const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', fileOf('broker-root.crt')]
    expect(openssl(...verify, made.certFile)).toContain('OK')
    const certificate = new X509Certificate(derOf(made.certFile))
    for (const host of ['localhost', 'broker.example']) expect(certificate.checkHost(host)).toBe(host)
    for (const ip of ['127.0.0.1', '::1', '10.0.0.7', 'fe80::1:0:0:2'])
      expect(certificate.checkIP(ip)).toBeDefined()
    expect(certificate.checkIP('10.0.0.8')).toBeUndefined()
    expect(openssl('x509', '-noout', '-text', '-in', made.certFile)).not.toContain('Client')
  })

  it('is kept while it is good, and replaced for another host', async () => {
    const first = await issueBrokerCertificate(pki, { name: 'rmq2' })
    expect(first.issued).toBe(true)
    expect((await issueBrokerCertificate(pki, { name: 'rmq2' })).issued).toBe(false)
    expect((await issueBrokerCertificate(pki, { name: 'rmq2', hosts: ['other.example'] })).issued).toBe(true)
  })

  it('is refused for what is no host', async () => {
    await expect(issueBrokerCertificate(pki, { name: 'rmq3', hosts: ['no host'] })).rejects.toThrow(
      /host: expected/,
    )
  })
})
