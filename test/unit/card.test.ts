import { describe, expect, it } from 'vitest'
import { equal } from '../../src/bytes.js'
import { type CborValue, decodeCbor, encodeCbor } from '../../src/codec/cbor.js'
import { issueCard, parseCard, verifyCard } from '../../src/crypto/card.js'
import { DAY, makePki, malleate, NOW, newSealingKey, type Spec } from '../support/certificates.js'

const pki = makePki()
const leaf = pki.leaf()
const trust = pki.trust()
const keys: [number, Uint8Array][] = [[1, newSealingKey().key.publicKey]]
const request = { domain: 'field', chain: leaf.chain, signer: leaf.privateKey, keys, nowMs: NOW }

/** A card with its parts replaced, the signature as it was. */
function rebuilt(card: Uint8Array, change: (body: Map<number, CborValue>) => void): Uint8Array {
  const [body, signature, chain] = decodeCbor(card) as [Uint8Array, Uint8Array, Uint8Array[]]
  const map = new Map(decodeCbor(body) as ReadonlyMap<number, CborValue>)
  change(map)
  return encodeCbor([encodeCbor(map), signature, chain])
}

const ofLeaf = (spec: Partial<Spec>): Uint8Array => pki.card(pki.leaf(spec))

describe('card', () => {
  it('is verified as it was issued', () => {
    const bytes = issueCard({ ...request, lifetimeSeconds: 3600, inbox: 'classic' })
    const card = verifyCard(bytes, trust, NOW)
    expect(card).toMatchObject({
      domain: 'field',
      address: 'heh-0001',
      role: 'heh',
      counter: NOW,
      notBeforeMs: NOW,
      notAfterMs: NOW + 30 * DAY,
      lifetimeSeconds: 3600,
      inbox: 'classic',
      keys,
    })
    expect(equal(card.bytes, bytes)).toBe(true)
    expect(card.certificate.der).toEqual(leaf.der)
  })

  it('counts up from the last card even where the clock runs back, and ends no later than its certificate', () => {
    expect(parseCard(issueCard({ ...request, lastCounter: NOW + 5 })).counter).toBe(NOW + 6)
    expect(parseCard(issueCard({ ...request, lastCounter: 5 })).counter).toBe(NOW)
    expect(parseCard(issueCard({ ...request, cardLifetimeMs: 200 * DAY })).notAfterMs).toBe(NOW + 90 * DAY)
    expect(() => issueCard({ ...request, nowMs: NOW + 91 * DAY })).toThrow(/expired/)
    expect(() => issueCard({ ...request, lifetimeSeconds: 8 * 86_400 })).toThrow(RangeError)
  })

  it('cannot have been signed after its own end', () => {
    const [notAfterMs, later] = [NOW + DAY, NOW + 2 * DAY]
    expect(
      verifyCard(pki.card(leaf, { notAfterMs, counter: notAfterMs + 120_000 }), trust, later),
    ).toBeDefined()
    expect(() =>
      verifyCard(pki.card(leaf, { notAfterMs, counter: notAfterMs + 120_001 }), trust, later),
    ).toThrow(/its end/)
  })

  it('that has expired is still known, and known to be over', () => {
    const card = pki.card(leaf, { notAfterMs: NOW + DAY })
    expect(verifyCard(card, trust, NOW + 2 * DAY).notAfterMs).toBe(NOW + DAY)
    expect(verifyCard(card, trust, NOW + 200 * DAY).notAfterMs).toBe(NOW + DAY)
  })

  it.each<[string, () => Uint8Array, RegExp]>([
    [
      'that was forged',
      () => rebuilt(pki.card(leaf), body => body.set(6, [[1, new Uint8Array(32)]])),
      /signature is wrong/,
    ],
    [
      "that bears another's address",
      () => pki.card(leaf, { address: 'heh-0002' }),
      /card of field\/heh-0001, got one of/,
    ],
    ['of another domain', () => pki.card(leaf, { domain: 'town' }), /got one of town/],
    ['for another certificate', () => pki.card(leaf, { certHash: new Uint8Array(32) }), /field 8/],
    [
      'that outlives its certificate',
      () => pki.card(leaf, { notAfterMs: NOW + 91 * DAY }),
      /no later than its certificate/,
    ],
    ['that ends before it begins', () => pki.card(leaf, { notAfterMs: NOW - 1000 }), /before it begins/],
    [
      'with a counter from the far future',
      () => pki.card(leaf, { counter: NOW + 121_000 }),
      /counter lies in the future/,
    ],
    ['that is not valid yet', () => pki.card(leaf, { notBeforeMs: NOW + 122_000 }), /not valid yet/],
    ['of a certificate that is not yet valid', () => ofLeaf({ notBeforeMs: NOW + DAY }), /not valid before/],
    ['of a certificate that no CA may issue', () => ofLeaf({ cn: ['tso-1'] }), /may not issue/],
    ['of a stranger', () => makePki().card(makePki().leaf()), /signature|root/],
  ])('%s is refused', (_, make, message) => {
    expect(() => verifyCard(make(), trust, NOW)).toThrow(message)
    expect(() => verifyCard(make(), trust, NOW)).toThrow(
      expect.objectContaining({ code: 'untrusted' }) as Error,
    )
  })

  it('of M that carries the key of B speaks for M alone', () => {
    const [b, m] = [pki.leaf({ cn: ['heh-b'] }), pki.leaf({ cn: ['heh-m'] })]
    const keysOfB = verifyCard(pki.card(b), trust, NOW).keys
    expect(verifyCard(pki.card(m, { keys: keysOfB }), trust, NOW).address).toBe('heh-m')
    expect(() => verifyCard(pki.card(m, { keys: keysOfB, address: 'heh-b' }), trust, NOW)).toThrow(/heh-m/)
  })

  it('holds where somebody has rewritten the signature of its certificate: the hash is the same', () => {
    const [body, signature, [first, ...rest]] = decodeCbor(pki.card(leaf)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array[],
    ]
    const card = encodeCbor([body, signature, [malleate(first ?? new Uint8Array()), ...rest]])
    expect(verifyCard(card, trust, NOW).address).toBe('heh-0001')
  })

  it.each<[string, (body: Map<number, CborValue>) => void]>([
    ['an unknown key below 64', body => body.set(10, 1)],
    ['a text key', body => (body as Map<number | string, CborValue>).set('__proto__', 1)],
    ['no counter', body => body.delete(3)],
    ['a counter that is a text', body => body.set(3, '1')],
    ['no key', body => body.set(6, [])],
    [
      'nine keys',
      body =>
        body.set(
          6,
          Array.from({ length: 9 }, () => [3, new Uint8Array(1)]),
        ),
    ],
    ['a key of the wrong length', body => body.set(6, [[1, new Uint8Array(31)]])],
    ['a lifetime over 7 days', body => body.set(7, 604_801)],
    ['an unknown inbox kind', body => body.set(9, 3)],
    ['a date beyond dates', body => body.set(5, 2 ** 50)],
  ])('with %s is malformed', (_, change) => {
    expect(() => parseCard(rebuilt(pki.card(leaf), change))).toThrow(/^card /)
  })

  it('ignores keys above 63 and suites that it does not know', () => {
    const card = rebuilt(pki.card(leaf, { keys: [[200, new Uint8Array(9)], ...keys] }), body =>
      body.set(64, 'new'),
    )
    expect(parseCard(card).keys).toHaveLength(2)
  })

  it('with a bit flipped anywhere is refused', () => {
    const card = pki.card(leaf)
    const fresh = pki.trust()
    for (let bit = 0; bit < card.length * 8; bit += 5) {
      const flipped = card.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => verifyCard(flipped, fresh, NOW), `bit ${bit}`).toThrow(
        /^(card|chain|certificate|leaf|issuer|its issuer|")/,
      )
    }
    expect(() => verifyCard(new Uint8Array(8193), trust, NOW)).toThrow(/at most 8192/)
  })
})
