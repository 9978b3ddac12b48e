/** The envelope as a whole: sealed by one, opened by another, refused when a single bit differs. */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { concat } from '../../src/bytes.js'
import type { Opened, OpenResult } from '../../src/crypto/sealing.js'
import { sodiumReady } from '../../src/crypto/sodium.js'
import type { WireMessage } from '../../src/wire.js'
import {
  EPOCH,
  flipped,
  introduce,
  message,
  NOW,
  newAuthority,
  newParticipant,
  type Participant,
  request,
} from '../support/fixtures-sealing.js'

let alice: Participant
let bob: Participant

beforeAll(async () => {
  await sodiumReady()
  const authority = newAuthority()
  alice = newParticipant(authority, 'vpp-0001', { role: 'vpp' })
  bob = newParticipant(authority, 'heh-0001')
  introduce(alice, bob)
})

function opened(result: OpenResult | Promise<OpenResult>): Opened {
  if (result instanceof Promise || !result.ok) throw new Error(`not opened: ${JSON.stringify(result)}`)
  return result
}

describe('an envelope', () => {
  it('opens to what was sealed, with its authenticated sender', () => {
    const sealed = alice.sealer().seal(request(bob))
    const { domain, address, role, fingerprint } = alice.identity.certificate
    expect(opened(bob.opener().open(sealed.body))).toEqual({
      ok: true,
      from: { domain, address, role, fingerprint },
      envelopeId: sealed.id,
      contentHash: sealed.contentHash,
      epoch: EPOCH,
      seq: 7,
      floor: 3,
      open: 5,
      createdAtMs: NOW,
      messages: [message()],
    })
  })

  it('opens after a restart of the receiver, in any order, by any worker that holds the key', () => {
    const sealer = alice.sealer()
    const bodies = [1, 2, 3].map(seq => sealer.seal(request(bob, { seq, floor: 0, open: 1 })).body)
    for (const body of bodies.toReversed()) expect(opened(bob.opener().open(body)).ok).toBe(true)
  })

  it('opens again: a crash between opening and acknowledging loses nothing', () => {
    const { body } = alice.sealer().seal(request(bob))
    const opener = bob.opener()
    expect(opened(opener.open(body))).toEqual(opened(opener.open(body)))
    expect(opened(bob.opener().open(body)).seq).toBe(7)
  })

  it('refuses every single flipped bit', () => {
    const { body } = alice
      .sealer()
      .seal(request(bob, { messages: [message({ payload: new Uint8Array(20) })] }))
    const opener = bob.opener()
    opened(opener.open(body)) // with the session cached, as an attacker would find it
    for (let bit = 0; bit < body.length * 8; bit++) {
      const result = opener.open(flipped(body, bit))
      expect(result, `bit ${bit}`).toMatchObject({ ok: false })
    }
    expect(opened(opener.open(body)).ok).toBe(true)
  })

  it('refuses every truncation and trailing bytes', () => {
    const { body } = alice.sealer().seal(request(bob))
    const opener = bob.opener()
    for (let length = 0; length < body.length; length++) {
      expect(opener.open(body.subarray(0, length)), `length ${length}`).toMatchObject({ ok: false })
    }
    expect(opener.open(concat(body, Uint8Array.of(0)))).toMatchObject({ ok: false, reason: 'bad-tag' })
  })

  it('refuses two envelopes in one body', () => {
    const sealer = alice.sealer()
    const [one, two] = [sealer.seal(request(bob)).body, sealer.seal(request(bob)).body]
    expect(bob.opener().open(concat(one, two))).toMatchObject({ ok: false, reason: 'bad-tag' })
  })

  it('carries no message at all as a floor notice', () => {
    const { body } = alice.sealer().seal(request(bob, { messages: [], seq: 90, floor: 90, open: 90 }))
    expect(opened(bob.opener().open(body))).toMatchObject({ messages: [], seq: 90, floor: 90, open: 90 })
  })

  it('carries 1 024 messages and not one more', () => {
    const messages = Array.from({ length: 1024 }, () => message({ payload: Uint8Array.of(1) }))
    const { body } = alice.sealer().seal(request(bob, { messages }))
    expect(opened(bob.opener().open(body)).messages).toHaveLength(1024)
    expect(() => alice.sealer().seal(request(bob, { messages: [...messages, message()] }))).toThrow(
      /at most 1024/,
    )
  })

  it('introduces its sender: chain, card and predecessor ride along until they are known', () => {
    const authority = newAuthority()
    const a = newParticipant(authority, 'vpp-0001', { role: 'vpp' })
    const b = newParticipant(authority, 'heh-0001')
    a.directory.offer(b.identity.card.bytes, NOW)
    const predecessor = { epoch: 'ffffffffffffffff', lastSeq: 41 }
    const opener = b.opener()
    expect(opener.open(a.sealer().seal(request(b)).body)).toMatchObject({
      ok: false,
      reason: 'unknown-certificate',
    })
    const { body } = a.sealer().seal(request(b, { introduce: true, predecessor }))
    expect(opened(opener.open(body)).predecessor).toEqual(predecessor)
    expect(b.directory.find(a.identity.certificate)?.bytes).toEqual(a.identity.card.bytes)
    expect(opened(opener.open(a.sealer().seal(request(b)).body)).ok).toBe(true)
  })

  it('opens although the card on it is broken', () => {
    const identity = {
      ...alice.identity,
      card: { ...alice.identity.card, bytes: Uint8Array.of(0x83, 1, 2, 3) },
    }
    const { body } = alice.sealer({ identity }).seal(request(bob, { introduce: true }))
    const outcomes: string[] = []
    expect(opened(bob.opener({ onCard: outcome => outcomes.push(outcome) }).open(body)).ok).toBe(true)
    expect(outcomes).toEqual(['refused'])
  })

  it('keeps what send() was given, whatever the caller does with its buffer afterwards', () => {
    const payload = new TextEncoder().encode('before')
    const sealed = alice.sealer().seal(request(bob, { messages: [message({ payload })] }))
    payload.fill(0)
    expect(Buffer.from(opened(bob.opener().open(sealed.body)).messages[0]?.payload ?? []).toString()).toBe(
      'before',
    )
  })

  it('shortens a lifetime beyond the recipient’s own limit to that limit', () => {
    const authority = newAuthority()
    const a = newParticipant(authority, 'vpp-0001')
    const b = newParticipant(authority, 'heh-0001', { lifetimeSeconds: 60 })
    introduce(a, b)
    const result = opened(b.opener().open(a.sealer().seal(request(b)).body))
    expect(result.messages[0]?.ttlSeconds).toBe(60)
  })
})

const headerValue = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array(),
  fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  fc.boolean(),
)
const wireMessage: fc.Arbitrary<WireMessage> = fc
  .record(
    {
      type: fc.stringMatching(/^[A-Za-z0-9._/-]{1,64}$/),
      payload: fc.uint8Array({ maxLength: 400 }),
      createdAtMs: fc.integer({ min: NOW - 1_000_000, max: NOW + 119_000 }),
      ttlSeconds: fc.integer({ min: 1, max: 86_400 }),
      contentType: fc.string({ unit: 'grapheme' }),
      receiptWanted: fc.boolean(),
      request: fc.boolean(),
      correlationId: fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array()),
      replyTo: fc.string({ unit: 'grapheme' }),
      inReplyTo: fc.record({ epoch: fc.stringMatching(/^[0-9a-f]{16}$/), seq: fc.maxSafeNat() }),
      headers: fc.dictionary(
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('__proto__')),
        headerValue,
        { minKeys: 1, maxKeys: 64 },
      ),
    },
    {
      requiredKeys: [
        'type',
        'payload',
        'createdAtMs',
        'ttlSeconds',
        'contentType',
        'receiptWanted',
        'request',
      ],
    },
  )
  .map(fields => fields as WireMessage)

const plain = (messages: readonly WireMessage[]): unknown[] =>
  messages.map(m => ({
    ...m,
    payload: [...m.payload],
    headers: m.headers && new Map(Object.entries(m.headers)),
  }))

describe('as a law', () => {
  it('open inverts seal, for any messages', () => {
    const sealer = alice.sealer()
    const opener = bob.opener()
    fc.assert(
      fc.property(
        fc.array(wireMessage, { maxLength: 5 }),
        fc.integer({ min: 0, max: 2 ** 40 }),
        (messages, seq) => {
          const { body } = sealer.seal(request(bob, { messages, seq, floor: Math.floor(seq / 2), open: seq }))
          const result = opened(opener.open(body))
          expect(plain(result.messages)).toEqual(plain(messages))
          expect(result).toMatchObject({ seq, floor: Math.floor(seq / 2), open: seq })
        },
      ),
      { numRuns: 200 },
    )
  })

  it('size and overhead never promise less than an envelope takes, and little more', () => {
    const sealer = alice.sealer()
    fc.assert(
      fc.property(
        fc.array(wireMessage, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (messages, introduce) => {
          const { body } = sealer.seal(request(bob, { messages, introduce }))
          const promised = messages.reduce((sum, m) => sum + sealer.size(m), sealer.overhead(introduce))
          expect(promised).toBeGreaterThanOrEqual(body.length)
          const headers = messages.reduce((sum, m) => sum + Object.keys(m.headers ?? {}).length, 0)
          expect(promised - body.length).toBeLessThan(100 + 60 * messages.length + 20 * headers)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('bytes that nobody sealed never open and never throw', () => {
    const opener = bob.opener()
    const start = fc.constantFrom(
      new Uint8Array(0),
      Uint8Array.of(1, 1),
      concat(Uint8Array.of(1, 1), bob.key.keyId),
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 400 }), (prefix, rest) => {
        expect(opener.open(concat(prefix, rest))).toMatchObject({ ok: false })
      }),
      { numRuns: 300 },
    )
  })
})
