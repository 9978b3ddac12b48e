/** What an adversary may try against sealing, by the numbers of the list in docs/PROTOCOL.md "What must be refused". */
import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { concat, toHex, utf8 } from '../../src/bytes.js'
import { encodeContent } from '../../src/codec/content.js'
import { createBucket } from '../../src/crypto/bucket.js'
import { issueCard } from '../../src/crypto/card.js'
import {
  encodeHeader,
  openEnvelope,
  parseHeader,
  partyBytes,
  sealEnvelope,
  sessionInfo,
  signedBytes,
} from '../../src/crypto/envelope.js'
import { sha256 } from '../../src/crypto/kdf.js'
import type { Certificate, Identity, Trust } from '../../src/crypto/peers.js'
import type { NotOpened, Opener, OpenResult } from '../../src/crypto/sealing.js'
import { SESSION_MS } from '../../src/crypto/sessions.js'
import { verifySignature } from '../../src/crypto/signature.js'
import { sodiumReady } from '../../src/crypto/sodium.js'
import { suiteOf } from '../../src/crypto/suites.js'
import {
  introduce,
  malleate,
  message,
  NOW,
  newAuthority,
  newParticipant,
  type Participant,
  request,
} from '../support/fixtures-sealing.js'

const HOUR = 3_600_000
const DAY = 24 * HOUR

beforeAll(sodiumReady)

interface World {
  alice: Participant
  bob: Participant
  mallory: Participant
}

function world(): World {
  const authority = newAuthority()
  const clock = { ms: NOW }
  const alice = newParticipant(authority, 'vpp-0001', { role: 'vpp', clock })
  const bob = newParticipant(authority, 'heh-0001', { clock })
  const mallory = newParticipant(authority, 'heh-0666', { clock })
  introduce(alice, bob, mallory)
  return { alice, bob, mallory }
}

function reasonOf(result: OpenResult | Promise<OpenResult>): string {
  if (result instanceof Promise) return 'promise'
  return result.ok ? 'opened' : result.reason
}

/** Makes an envelope by hand, in any way: what an attacker with the recipient's public key can do. */
function forge(
  to: Participant,
  parts: {
    certificate: Certificate
    sign: (data: Uint8Array) => Uint8Array
    content?: Uint8Array
    signedFor?: Participant
  },
): Uint8Array {
  const suite = suiteOf(1)
  if (suite === undefined) throw new Error('suite 1 expected')
  const session = suite.encapsulate(
    to.key.publicKey,
    sessionInfo(1, to.identity.certificate),
    randomBytes(32),
  )
  if (session === undefined) throw new Error('session expected')
  const header = { suite, keyId: to.key.keyId, enc: session.enc, envelopeId: randomBytes(16) }
  const bytes = encodeHeader(header)
  const content = parts.content ?? contentOf(parts.certificate)
  const signedFor = parts.signedFor ?? to
  const signature = parts.sign(
    signedBytes({
      header: bytes,
      recipient: partyBytes(signedFor.identity.certificate),
      publicKeyHash: sha256(signedFor.key.publicKey),
      certHash: parts.certificate.hash,
      contentHash: sha256(content),
    }),
  )
  return sealEnvelope(session.secret, { bytes, envelopeId: header.envelopeId }, signature, content)
}

function contentOf({ hash }: Certificate, createdAtMs = NOW): Uint8Array {
  const head = {
    certId: hash.subarray(0, 8),
    epoch: '00'.repeat(8),
    seq: 1,
    floor: 1,
    open: 1,
    createdAtMs,
    ttlSeconds: 60,
  }
  return encodeContent({ head, messages: [message({ ttlSeconds: 60, createdAtMs })] })
}

/** What only the recipient can do: signature and content of an envelope to it. */
function unseal(
  bob: Participant,
  body: Uint8Array,
): { signature: Uint8Array; content: Uint8Array; secret: Uint8Array } {
  const header = parseHeader(body, new Set([1]))
  if (typeof header === 'string') throw new Error(header)
  const info = sessionInfo(1, bob.identity.certificate)
  const secret = bob.key.withPrivateKey((sk): Uint8Array | undefined =>
    header.suite.decapsulate(header.enc, sk, bob.key.publicKey, info),
  )
  const plain = secret && openEnvelope(secret, header, body)
  if (plain === undefined) throw new Error('not to bob')
  return { ...plain, secret: secret ?? new Uint8Array(0) }
}

/** In the session of `body`, as if its key had leaked: everything is right but the signature. */
function withBadSignature(bob: Participant, body: Uint8Array): Uint8Array {
  const header = parseHeader(body, new Set([1]))
  if (typeof header === 'string') throw new Error(header)
  const { secret, signature, content } = unseal(bob, body)
  return sealEnvelope(secret, header, signature.with(40, (signature[40] ?? 0) ^ 1), content)
}

describe('2. what is no envelope', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['plaintext', utf8('{"type":"report","payload":"aGVsbG8="}')],
    ['zeros', new Uint8Array(500)],
    ['one byte', Uint8Array.of(1)],
  ])('%s is refused as such', (_, body) => {
    expect(reasonOf(world().bob.opener().open(body))).toBe('not-an-envelope')
  })

  it('an unknown version, an unknown suite, a suite outside the floor', () => {
    const { alice, bob } = world()
    const { body } = alice.sealer().seal(request(bob))
    const changed = (at: number, to: number): Uint8Array => body.map((byte, i) => (i === at ? to : byte))
    expect(reasonOf(bob.opener().open(changed(0, 2)))).toBe('not-an-envelope')
    expect(reasonOf(bob.opener().open(changed(1, 0)))).toBe('unknown-suite')
    expect(reasonOf(bob.opener().open(changed(1, 2)))).toBe('unknown-suite')
    const strict: Trust = { ...bare(bob.trust), suites: new Set([2]) }
    expect(reasonOf(bob.opener({ trust: strict }).open(body))).toBe('unknown-suite')
    expect(() =>
      alice.sealer({ trust: { ...bare(alice.trust), suites: new Set([2]) } }).seal(request(bob)),
    ).toThrow(/no suite/)
  })

  it('a body over the limit, at both ends', () => {
    const { alice, bob } = world()
    const messages = [message({ payload: new Uint8Array(3000) })]
    const { body } = alice.sealer().seal(request(bob, { messages }))
    expect(reasonOf(bob.opener({ bodyLimit: 2048 }).open(body))).toBe('not-an-envelope')
    expect(() => alice.sealer({ bodyLimit: 2048 }).seal(request(bob, { messages }))).toThrow(
      /allowed are 2048/,
    )
    expect(() => alice.sealer({ bodyLimit: 9 * 1024 * 1024 })).toThrow(RangeError)
  })
})

/** A trust's methods, bound, to be overridden one by one. */
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

describe('3. forwarding and substitution', () => {
  it('A’s signed message re-sealed by its recipient for C is refused: it was not signed for C', () => {
    const { alice, bob, mallory } = world()
    const { body } = alice.sealer().seal(request(mallory))
    const { signature, content } = unseal(mallory, body)
    const forwarded = forge(bob, { certificate: alice.identity.certificate, sign: () => signature, content })
    expect(reasonOf(bob.opener().open(forwarded))).toBe('bad-signature')
  })

  it('a signature for another recipient under the very same header is refused', () => {
    const { alice, bob, mallory } = world()
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    const body = forge(bob, { certificate: alice.identity.certificate, sign, signedFor: mallory })
    expect(reasonOf(bob.opener().open(body))).toBe('bad-signature')
    const right = forge(bob, { certificate: alice.identity.certificate, sign })
    expect(reasonOf(bob.opener().open(right))).toBe('opened')
  })

  it('a card of M that carries B’s sealing key brings B nothing that was sealed to M', () => {
    const { alice, bob, mallory } = world()
    const stolen = issueCard({
      domain: 'field',
      chain: mallory.identity.certificate.chain,
      signer: data => mallory.identity.sign(data),
      keys: [[1, bob.key.publicKey]],
      nowMs: NOW,
      lastCounter: mallory.identity.card.counter,
    })
    expect(alice.directory.offer(stolen, NOW)).toBe('new')
    const { body } = alice.sealer().seal(request(mallory))
    expect(reasonOf(bob.opener().open(body))).toBe('bad-tag') // the session is bound to the party
  })

  it('the signature removed, of another length, or replaced by M’s own is refused', () => {
    const { alice, bob, mallory } = world()
    const { certificate } = alice.identity
    const opener = bob.opener()
    expect(reasonOf(opener.open(forge(bob, { certificate, sign: () => new Uint8Array(64) })))).toBe(
      'bad-signature',
    )
    expect(reasonOf(opener.open(forge(bob, { certificate, sign: () => new Uint8Array(0) })))).not.toBe(
      'opened',
    )
    const byMallory = (data: Uint8Array): Uint8Array => mallory.identity.sign(data)
    expect(reasonOf(opener.open(forge(bob, { certificate, sign: byMallory })))).toBe('bad-signature')
  })

  it('M cannot take over A’s message: the certificate is signed along', () => {
    const { alice, bob, mallory } = world()
    const { certificate } = mallory.identity
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    expect(reasonOf(bob.opener().open(forge(bob, { certificate, sign })))).toBe('bad-signature')
  })

  it('a certificate of the same name from another authority is not trusted', () => {
    const { bob } = world()
    const other = newAuthority()
    const impostor = newParticipant(other, 'vpp-0001', { role: 'vpp' })
    const { certificate } = impostor.identity
    const head = { certId: certificate.hash.subarray(0, 8), epoch: '00'.repeat(8), seq: 1, floor: 1, open: 1 }
    const content = encodeContent({
      head: { ...head, createdAtMs: NOW, ttlSeconds: 60, chain: certificate.chain },
      messages: [],
    })
    const sign = (data: Uint8Array): Uint8Array => impostor.identity.sign(data)
    expect(reasonOf(bob.opener().open(forge(bob, { certificate, sign, content })))).toBe(
      'untrusted-certificate',
    )
  })

  it('an attached chain that is not the certificate that the head names is refused', () => {
    const { alice, bob, mallory } = world()
    const { certificate } = alice.identity
    const head = {
      certId: new Uint8Array(8),
      epoch: '00'.repeat(8),
      seq: 1,
      floor: 1,
      open: 1,
      createdAtMs: NOW,
      ttlSeconds: 60,
    }
    const content = encodeContent({ head: { ...head, chain: certificate.chain }, messages: [] })
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    expect(reasonOf(bob.opener().open(forge(bob, { certificate, sign, content })))).toBe('malformed')
    expect(mallory.identity.certificate.hash).not.toEqual(certificate.hash)
  })

  it('of several certificates with one id the signature decides', () => {
    const { alice, bob, mallory } = world()
    const both: Trust = {
      ...bare(bob.trust),
      find: () => [mallory.identity.certificate, alice.identity.certificate],
    }
    const result = bob.opener({ trust: both }).open(alice.sealer().seal(request(bob)).body)
    expect(result).toMatchObject({ ok: true, from: { address: 'vpp-0001' } })
    const neither: Trust = { ...bare(bob.trust), find: () => [mallory.identity.certificate] }
    expect(reasonOf(bob.opener({ trust: neither }).open(alice.sealer().seal(request(bob)).body))).toBe(
      'bad-signature',
    )
  })

  it('a second certificate over the same key does not inherit what was signed under the first', () => {
    const { alice, bob } = world()
    const twin: Certificate = { ...alice.identity.certificate, role: 'tso', hash: randomBytes(32) }
    const trust: Trust = { ...bare(bob.trust), find: () => [twin] }
    expect(reasonOf(bob.opener({ trust }).open(alice.sealer().seal(request(bob)).body))).toBe('bad-signature')
  })

  it('s replaced by n − s is the same message: it still opens, and identifies nothing', () => {
    const { alice, bob } = world()
    const sign = (data: Uint8Array): Uint8Array => malleate(alice.identity.sign(data))
    expect(reasonOf(bob.opener().open(forge(bob, { certificate: alice.identity.certificate, sign })))).toBe(
      'opened',
    )
  })
})

describe('4. another inbox', () => {
  it('an envelope moved to another inbox does not open', () => {
    const { alice, bob, mallory } = world()
    const { body } = alice.sealer().seal(request(bob))
    expect(reasonOf(mallory.opener().open(body))).toBe('unknown-key')
  })

  it('nor where the other holds the same sealing key under another name', () => {
    const { alice, bob, mallory } = world()
    const { body } = alice.sealer().seal(request(bob))
    mallory.identity.keys.set(toHex(bob.key.keyId), bob.key)
    expect(reasonOf(mallory.opener().open(body))).toBe('bad-tag')
  })
})

describe('5. the recipient’s sealing key stolen', () => {
  it('forging “from A” fails: who can read B’s mail cannot write it', () => {
    const { alice, bob, mallory } = world()
    const { body } = alice.sealer().seal(request(bob))
    const { signature, content, secret } = unseal(bob, body) // M has B's key
    const header = parseHeader(body, new Set([1]))
    if (typeof header === 'string') throw new Error(header)
    const changed = content.slice()
    changed[changed.length - 2] = 0x58
    const opener = bob.opener()
    expect(reasonOf(opener.open(sealEnvelope(secret, header, signature, changed)))).toBe('bad-signature')
    const byMallory = (data: Uint8Array): Uint8Array => mallory.identity.sign(data)
    const forged = forge(bob, { certificate: alice.identity.certificate, sign: byMallory })
    expect(reasonOf(opener.open(forged))).toBe('bad-signature')
  })
})

describe('7. keys and nonces', () => {
  it('1 000 seals with a random generator that repeats itself: no id twice for different content', () => {
    const { alice, bob } = world()
    const stuck = (size: number): Uint8Array => new Uint8Array(size).fill(7)
    const ids = new Set<string>()
    for (let seq = 0; seq < 100; seq++) {
      const numbers = { seq, floor: 0, open: 0 }
      ids.add(alice.sealer({ random: stuck }).seal(request(bob, numbers)).id) // the same session each time: a fork
    }
    expect(ids.size).toBe(100)
    const sealer = alice.sealer()
    for (let seq = 0; seq < 900; seq++) ids.add(sealer.seal(request(bob)).id) // the same content each time
    expect(ids.size).toBe(1000)
  })

  it('the same content twice under a repeated generator is the same envelope but for its signature', () => {
    const { alice, bob } = world()
    const stuck = (size: number): Uint8Array => new Uint8Array(size).fill(7)
    const [one, two] = [1, 2].map(() => alice.sealer({ random: stuck }).seal(request(bob)))
    expect(one?.id).toBe(two?.id)
    expect(one?.contentHash).toBe(two?.contentHash)
  })
})

describe('9. points and scalars', () => {
  it('an enc of low order is refused', () => {
    const { alice, bob } = world()
    const { body } = alice.sealer().seal(request(bob))
    const zero = body.slice()
    zero.fill(0, 10, 42)
    const result = bob.opener().open(zero)
    expect(result).toMatchObject({
      ok: false,
      reason: 'bad-tag',
      detail: expect.stringContaining('low order') as string,
    })
  })

  it('ECDSA with r or s 0 or n, DER for P1363, another curve: refused', () => {
    const { alice } = world()
    const { publicKey } = alice.identity.certificate
    const data = utf8('data')
    const signature = alice.identity.sign(data)
    const n = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
    expect(verifySignature(publicKey, data, signature)).toBe(true)
    for (const bad of [new Uint8Array(32), n, new Uint8Array(32).fill(255)]) {
      expect(verifySignature(publicKey, data, concat(bad, s))).toBe(false)
      expect(verifySignature(publicKey, data, concat(r, bad))).toBe(false)
    }
    expect(
      verifySignature(
        publicKey,
        data,
        concat(Uint8Array.of(0x30, 0x44, 2, 0x20), r, Uint8Array.of(2, 0x20), s),
      ),
    ).toBe(false)
    expect(verifySignature(publicKey, data, signature.subarray(0, 63))).toBe(false)
  })
})

describe('10. certificates at every use', () => {
  it('a certificate that expires while the process runs stops working then', () => {
    const { alice, bob } = world()
    const opener = bob.opener()
    const { body } = alice.sealer().seal(request(bob))
    expect(reasonOf(opener.open(body))).toBe('opened')
    bob.clock.ms = alice.identity.certificate.notAfterMs + 1
    expect(reasonOf(opener.open(body))).toBe('unknown-certificate')
    expect(() => alice.sealer().seal(request(bob))).toThrow(/our certificate ended/)
  })

  it.each<['revoked' | 'stale', string]>([
    ['revoked', 'revoked'],
    ['stale', 'stale-revocation'],
  ])('revocation is asked at every use: %s', (state, reason) => {
    const { alice, bob } = world()
    let now: 'good' | 'revoked' | 'stale' = 'good'
    const trust: Trust = { ...bare(bob.trust), revocation: () => now }
    const opener = bob.opener({ trust })
    const sealer = alice.sealer({ trust: { ...bare(alice.trust), revocation: () => now } })
    const { body } = sealer.seal(request(bob))
    expect(reasonOf(opener.open(body))).toBe('opened')
    now = state
    expect(reasonOf(opener.open(body))).toBe(reason)
    expect(() => sealer.seal(request(bob))).toThrow(/revo/)
  })
})

describe('11. the recipient’s card', () => {
  it('unknown or expired: nothing is sealed', () => {
    const { alice, bob } = world()
    const to = { domain: 'field', address: 'nobody' }
    expect(() => alice.sealer().seal({ ...request(bob), to })).toThrow(
      expect.objectContaining({ code: 'unknown-recipient' }),
    )
    bob.clock.ms = NOW + 31 * DAY
    expect(() => alice.sealer().recipient(bob.identity.certificate)).toThrow(
      expect.objectContaining({ code: 'recipient-expired' }),
    )
  })

  it('a newer card ends the session: the next envelope is sealed to the new key', () => {
    const { alice, bob } = world()
    const sealer = alice.sealer()
    const first = sealer.seal(request(bob)).body
    expect(sealer.seal(request(bob)).body.subarray(0, 42)).toEqual(first.subarray(0, 42))
    bob.clock.ms += 1000
    alice.directory.offer(bob.rotate().bytes, bob.clock.ms)
    expect(sealer.seal(request(bob)).body.subarray(2, 10)).not.toEqual(first.subarray(2, 10))
  })
})

describe('12. keys end', () => {
  it('a message to an old key opens until the key is destroyed, and is named so after it', () => {
    const { alice, bob } = world()
    const { body } = alice.sealer().seal(request(bob))
    const opener = bob.opener()
    bob.rotate()
    expect(reasonOf(opener.open(body))).toBe('opened')
    const id = toHex(bob.key.keyId)
    bob.identity.keys.delete(id)
    bob.identity.destroyedKeys.add(id)
    expect(reasonOf(opener.open(body))).toBe('destroyed-key')
    bob.identity.destroyedKeys.clear()
    expect(reasonOf(opener.open(body))).toBe('unknown-key')
  })

  it('a session lasts an hour at most', () => {
    const { alice, bob } = world()
    const sealer = alice.sealer()
    const enc = (): string => toHex(sealer.seal(request(bob)).body.subarray(10, 42))
    const first = enc()
    alice.clock.ms = NOW + SESSION_MS - 1
    expect(enc()).toBe(first)
    alice.clock.ms = NOW + SESSION_MS
    expect(enc()).not.toBe(first)
  })
})

describe('13. floods', () => {
  function counting(): { bucket: ReturnType<typeof createBucket>; taken: () => number } {
    let count = 0
    const bucket = createBucket()
    return {
      taken: () => count,
      bucket: {
        take() {
          count++
          return bucket.take()
        },
      },
    }
  }

  it('a key agreement is paid for once a session, and only sessions that have verified are kept', () => {
    const { alice, bob, mallory } = world()
    const { bucket, taken } = counting()
    const opener: Opener = bob.opener({ bucket })
    const sealer = alice.sealer()
    for (let i = 0; i < 5; i++) expect(reasonOf(opener.open(sealer.seal(request(bob)).body))).toBe('opened')
    expect(taken()).toBe(1)
    const sign = (data: Uint8Array): Uint8Array => mallory.identity.sign(data)
    const forged = forge(bob, { certificate: alice.identity.certificate, sign })
    for (let i = 0; i < 5; i++) expect(reasonOf(opener.open(forged))).toBe('bad-signature')
    expect(taken()).toBe(6)
  })

  it('eight bad signatures in a session end it: whoever goes on pays for a key agreement each time', () => {
    const { alice, bob } = world()
    const { bucket, taken } = counting()
    const opener = bob.opener({ bucket })
    const sealer = alice.sealer()
    const { body } = sealer.seal(request(bob))
    expect(reasonOf(opener.open(body))).toBe('opened')
    const forged = withBadSignature(bob, body)
    for (let i = 0; i < 8; i++) expect(reasonOf(opener.open(forged))).toBe('bad-signature')
    expect(taken()).toBe(1)
    for (let i = 0; i < 3; i++) expect(reasonOf(opener.open(forged))).toBe('bad-signature')
    expect(taken()).toBe(4)
    for (let i = 0; i < 3; i++) expect(reasonOf(opener.open(sealer.seal(request(bob)).body))).toBe('opened')
    expect(taken()).toBe(5)
  })

  it('damaged bodies end nobody’s session: anybody who sees one can make them', () => {
    const { alice, bob } = world()
    const { bucket, taken } = counting()
    const opener = bob.opener({ bucket })
    const sealer = alice.sealer()
    const { body } = sealer.seal(request(bob))
    expect(reasonOf(opener.open(body))).toBe('opened')
    const damaged = body.with(-1, (body.at(-1) ?? 0) ^ 1)
    for (let i = 0; i < 20; i++) expect(reasonOf(opener.open(damaged))).toBe('bad-tag')
    expect(reasonOf(opener.open(sealer.seal(request(bob)).body))).toBe('opened')
    expect(taken()).toBe(1)
  })

  it('an empty bucket delays, and what is cached goes through', async () => {
    const { alice, bob, mallory } = world()
    let ms = 0
    const bucket = createBucket({ burst: 1, perSecond: 100, maxWaiting: 1, clock: () => ms })
    const opener = bob.opener({ bucket })
    const sealer = alice.sealer()
    expect(reasonOf(opener.open(sealer.seal(request(bob)).body))).toBe('opened')
    const late = opener.open(mallory.sealer().seal(request(bob)).body)
    expect(late).toBeInstanceOf(Promise)
    expect(reasonOf(opener.open(mallory.sealer().seal(request(bob)).body))).toBe('overloaded')
    expect(reasonOf(opener.open(sealer.seal(request(bob)).body))).toBe('opened')
    ms = 10
    expect(reasonOf(await late)).toBe('opened')
  })

  it('a malformed batch is refused as a whole, by its authenticated sender', () => {
    const { alice, bob } = world()
    const { certificate } = alice.identity
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    for (const junk of [
      [0xa0],
      [0x9f],
      [0xc0, 0x01],
      [0xbb, 0, 0, 0, 1, 0, 0, 0, 0],
      [0x81, 0x81, 0x81, 0x81, 0x81],
    ]) {
      const content = concat(contentOf(certificate), Uint8Array.from(junk))
      const result = bob.opener().open(forge(bob, { certificate, sign, content })) as NotOpened
      expect(result).toMatchObject({ ok: false, reason: 'malformed', from: { address: 'vpp-0001' } })
    }
  })

  it('a head that cannot be read is refused without naming anybody', () => {
    const { alice, bob } = world()
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    const body = forge(bob, { certificate: alice.identity.certificate, sign, content: Uint8Array.of(0xf6) })
    expect(bob.opener().open(body)).toEqual({
      ok: false,
      reason: 'malformed',
      detail: expect.any(String) as string,
    })
  })

  it('what was created more than 120 s from now waits', () => {
    const { alice, bob } = world()
    const { certificate } = alice.identity
    const sign = (data: Uint8Array): Uint8Array => alice.identity.sign(data)
    const at = (ms: number): Uint8Array =>
      forge(bob, { certificate, sign, content: contentOf(certificate, ms) })
    expect(reasonOf(bob.opener().open(at(NOW + 120_000)))).toBe('opened')
    expect(reasonOf(bob.opener().open(at(NOW + 120_001)))).toBe('clock-ahead')
  })
})

describe('14. secrets', () => {
  it('no secret and no plaintext in results, errors or objects printed by util.inspect', () => {
    const { alice, bob } = world()
    const secret = bob.key.withPrivateKey(key => toHex(key))
    const messages = [message({ payload: utf8('TOP-SECRET-PAYLOAD'), type: 'report' })]
    const sealer = alice.sealer({ bodyLimit: 1024 })
    const opener = bob.opener()
    const { body } = sealer.seal(request(bob, { messages }))
    const shown: unknown[] = [
      sealer,
      opener,
      body,
      opener.open(body.subarray(1)),
      opener.open(body.map(byte => byte ^ 1)),
    ]
    for (const bad of [
      { ttlSeconds: 0 },
      { headers: { a: 0.5 } },
      { payload: utf8('TOP-SECRET-PAYLOAD'.repeat(99)) },
    ]) {
      try {
        sealer.seal(request(bob, { messages: [message({ payload: utf8('TOP-SECRET-PAYLOAD'), ...bad })] }))
      } catch (error) {
        shown.push(error)
      }
    }
    const text = inspect(shown, { depth: 9, showHidden: true }) + JSON.stringify(shown)
    expect(shown).toHaveLength(8)
    expect(text).not.toContain('TOP-SECRET')
    expect(text).not.toContain(secret)
  })
})

describe('15. the random generator fails', () => {
  it.each<[string, (size: number) => Uint8Array]>([
    [
      'throws',
      () => {
        throw new Error('no entropy')
      },
    ],
    ['gives zeros', size => new Uint8Array(size)],
    ['gives too little', size => randomBytes(size - 1)],
  ])('and %s: nothing is sealed', (_, random) => {
    const { alice, bob } = world()
    expect(() => alice.sealer({ random }).seal(request(bob))).toThrow(
      expect.objectContaining({ code: 'random-failed' }),
    )
  })
})

describe('an identity that is renewed while the process runs', () => {
  it('signs with the new certificate from then on', () => {
    const authority = newAuthority()
    const [old, renewed, bob] = ['vpp-0001', 'vpp-0001', 'heh-0001'].map(name =>
      newParticipant(authority, name),
    )
    if (!old || !renewed || !bob) throw new Error('three participants expected')
    introduce(old, bob)
    let current: Identity = old.identity
    const identity: Identity = {
      get certificate() {
        return current.certificate
      },
      get card() {
        return current.card
      },
      sign: data => current.sign(data),
      sealingKey: id => current.sealingKey(id),
      destroyed: id => current.destroyed(id),
    }
    const sealer = old.sealer({ identity })
    sealer.seal(request(bob))
    current = renewed.identity
    const result = bob.opener().open(sealer.seal(request(bob, { introduce: true })).body)
    expect(result).toMatchObject({
      ok: true,
      from: { fingerprint: renewed.identity.certificate.fingerprint },
    })
    expect(sealer.self.fingerprint).toBe(renewed.identity.certificate.fingerprint)
  })
})
