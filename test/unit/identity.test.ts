import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { concat, lp, toHex } from '../../src/bytes.js'
import { verifyCard } from '../../src/crypto/card.js'
import {
  createIdentity,
  createSealingKey,
  parseIdentityKey,
  parseSealingKey,
} from '../../src/crypto/identity.js'
import { sha256 } from '../../src/crypto/kdf.js'
import { makePki, NOW, newSealingKey } from '../support/certificates.js'

const pki = makePki()
const trust = pki.trust()

function parts(leaf = pki.leaf(), sealing = newSealingKey().key, counter = NOW) {
  const card = verifyCard(pki.card(leaf, { counter, keys: [[1, sealing.publicKey]] }), trust, NOW)
  const certificate = trust.verify(leaf.chain, NOW)
  return {
    privateKey: leaf.privateKey,
    certificate,
    card,
    sealingKeys: [sealing],
    destroyed: ['00'.repeat(8)],
  }
}

describe('identity', () => {
  it('signs with the key of its certificate, r ‖ s', () => {
    const own = createIdentity(parts())
    const signature = own.sign(Uint8Array.of(1, 2))
    const key = { key: own.certificate.publicKey, dsaEncoding: 'ieee-p1363' } as const
    expect(signature).toHaveLength(64)
    expect(verify('sha256', Uint8Array.of(1, 2), key, signature)).toBe(true)
  })

  it('finds its sealing keys by key id, and tells destroyed from never ours', () => {
    const { key } = newSealingKey()
    const own = createIdentity(parts(undefined, key))
    const id = toHex(sha256(concat(lp('sealbus-v1 key-id'), Uint8Array.of(1), key.publicKey)).subarray(0, 8))
    expect(own.sealingKey(id)).toBe(key)
    expect(own.sealingKey('00'.repeat(8))).toBeUndefined()
    expect([own.destroyed('00'.repeat(8)), own.destroyed(id), own.destroyed('11'.repeat(8))]).toEqual([
      true,
      false,
      false,
    ])
  })

  it('refuses a key, a card or a sealing key of somebody else', () => {
    const [one, two] = [parts(), parts()]
    expect(() => createIdentity({ ...one, privateKey: two.privateKey })).toThrow(
      /does not belong to the certificate/,
    )
    expect(() => createIdentity({ ...one, card: two.card })).toThrow(/signed for another certificate/)
    expect(() => createIdentity({ ...one, sealingKeys: two.sealingKeys })).toThrow(/private key is not there/)
  })

  it('is renewed as a whole, or not at all', () => {
    const own = createIdentity(parts())
    const before = own.certificate
    expect(() => own.renew({ ...parts(), card: own.card })).toThrow(
      expect.objectContaining({ code: 'identity' }) as Error,
    )
    expect(own.certificate).toBe(before)
    const next = parts(pki.leaf(), newSealingKey().key, NOW + 1)
    own.renew(next)
    expect([own.certificate, own.card]).toEqual([next.certificate, next.card])
    expect(() => own.renew(parts(pki.leaf({ cn: ['heh-0002'] })))).toThrow(/keeps its address/)
  })

  it('shows no private byte to inspect, JSON or structuredClone', () => {
    const leaf = pki.leaf()
    const sealing = newSealingKey()
    const own = createIdentity(parts(leaf, sealing.key))
    const { d: sealingSecret = '' } = createPrivateKey(sealing.pem).export({ format: 'jwk' })
    const { d: identitySecret = '' } = leaf.privateKey.export({ format: 'jwk' })
    for (const secret of [sealingSecret, identitySecret].map(text => Buffer.from(text, 'base64url'))) {
      for (const value of [own, sealing.key]) {
        const shown = [
          inspect(value, { depth: 9, showHidden: true, maxArrayLength: 1e6 }),
          JSON.stringify(value),
        ]
        shown.push(
          inspect(structuredClone(value === own ? { ...own } : sealing.key), {
            depth: 9,
            maxArrayLength: 1e6,
          }),
        )
        const forms = [secret.toString('hex'), secret.toString('base64'), secret.toString('base64url')]
        forms.push(
          [...secret].join(', '),
          [...secret].join(','),
          secret.toString('hex').replace(/..(?=.)/g, '$& '),
        )
        for (const form of forms) expect(shown.join('\n').replaceAll(/,\s+/g, ', ')).not.toContain(form)
      }
    }
  })

  it('lends a copy of a private key and overwrites it', () => {
    const key = createSealingKey(1, new Uint8Array(32), new Uint8Array(32).fill(7))
    const lent: Uint8Array[] = []
    const firstOf = (bytes: Uint8Array): number | undefined => {
      lent.push(bytes)
      return bytes[0]
    }
    expect([key.withPrivateKey(firstOf), key.withPrivateKey(firstOf)]).toEqual([7, 7])
    const fail = (bytes: Uint8Array): never => {
      lent.push(bytes)
      throw new Error('in use')
    }
    expect(() => key.withPrivateKey(fail)).toThrow('in use')
    expect(lent).toEqual([new Uint8Array(32), new Uint8Array(32), new Uint8Array(32)])
  })
})

describe('key files', () => {
  it('of openssl are read: P-256 and X25519 as PKCS#8 PEM', () => {
    const x25519 = execFileSync('openssl', ['genpkey', '-algorithm', 'X25519'], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
    const args = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
    const p256 = execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })
    const key = parseSealingKey(x25519)
    const { d = '', x = '' } = createPrivateKey(x25519).export({ format: 'jwk' })
    expect(Buffer.from(key.publicKey).toString('base64url')).toBe(x)
    expect(key.withPrivateKey(bytes => Buffer.from(bytes).toString('base64url'))).toBe(d)
    expect(parseIdentityKey(p256).asymmetricKeyType).toBe('ec')
    expect(() => parseSealingKey(p256)).toThrow(/expected an X25519 private key, got ec/)
    expect(() => parseIdentityKey(x25519)).toThrow(/expected a P-256 private key, got x25519/)
  })

  it('that are encrypted, damaged or of another curve are refused', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const cipher = { cipher: 'aes-256-cbc', passphrase: 'x' }
    const encrypted = privateKey.export({ format: 'pem', type: 'pkcs8', ...cipher }).toString()
    expect(() => parseIdentityKey(pem)).toThrow(/P-256/)
    expect(() => parseIdentityKey(encrypted)).toThrow(/without a passphrase/)
    expect(() => parseIdentityKey(pem.slice(0, 60))).toThrow(
      expect.objectContaining({ code: 'identity' }) as Error,
    )
  })
})
