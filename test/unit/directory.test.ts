import { describe, expect, it } from 'vitest'
import { decodeCbor, encodeCbor } from '../../src/codec/cbor.js'
import { createDirectory, type MemoryDirectory } from '../../src/crypto/directory.js'
import type { Card } from '../../src/crypto/peers.js'
import { DAY, makePki, NOW } from '../support/certificates.js'

const pki = makePki()
const leaf = pki.leaf()
const party = { domain: 'field', address: 'heh-0001' }

describe('directory', () => {
  it('knows a party by the newest card, whatever order a broker serves them in', () => {
    const directory = createDirectory(pki.trust())
    const [old, renewed] = [pki.card(leaf, { counter: NOW }), pki.card(leaf, { counter: NOW + 1 })]
    expect(directory.find(party)).toBeUndefined()
    expect(directory.offer(renewed, NOW)).toBe('new')
    expect(directory.offer(old, NOW)).toBe('older')
    expect(directory.offer(renewed, NOW)).toBe('known')
    expect(directory.find(party)?.counter).toBe(NOW + 1)
    expect(directory.cards()).toHaveLength(1)
  })

  it('keeps the first of two cards with the same counter, and says so', () => {
    const directory = createDirectory(pki.trust())
    const first = pki.card(leaf, { counter: NOW })
    expect(directory.offer(first, NOW)).toBe('new')
    expect(directory.offer(pki.card(leaf, { counter: NOW }), NOW)).toBe('conflict')
    expect(directory.find(party)?.bytes).toEqual(first)
  })

  it('takes the same body under another signature as known: signatures can be rewritten', () => {
    const directory = createDirectory(pki.trust())
    const card = pki.card(leaf)
    const [body, , chain] = decodeCbor(card) as [Uint8Array, Uint8Array, Uint8Array[]]
    const [, signature] = decodeCbor(card) as [Uint8Array, Uint8Array]
    expect(directory.offer(card, NOW)).toBe('new')
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
    const s = order - BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
    const other = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
    ])
    expect(directory.offer(encodeCbor([body, new Uint8Array(other), chain]), NOW)).toBe('known')
  })

  it('follows a device to its next certificate', () => {
    const directory = createDirectory(pki.trust())
    directory.offer(pki.card(leaf, { counter: NOW }), NOW)
    const next = pki.leaf({ notAfterMs: NOW + 180 * DAY })
    expect(directory.offer(pki.card(next, { counter: NOW + 2 }), NOW)).toBe('new')
    expect(directory.find(party)?.certificate.der).toEqual(next.der)
  })

  it('tells listeners of each new card, until they stop listening', () => {
    const directory = createDirectory(pki.trust())
    const seen: Card[] = []
    const stop = directory.onNew(card => seen.push(card))
    directory.offer(pki.card(leaf, { counter: NOW }), NOW)
    directory.offer(pki.card(leaf, { counter: NOW }), NOW) // a conflict is not new
    stop()
    directory.offer(pki.card(leaf, { counter: NOW + 1 }), NOW)
    expect(seen.map(card => card.counter)).toEqual([NOW])
  })

  it('refuses a card that does not hold, and keeps what it had', () => {
    const directory = createDirectory(pki.trust())
    directory.offer(pki.card(leaf), NOW)
    const stranger = makePki()
    expect(() => directory.offer(stranger.card(stranger.leaf()), NOW)).toThrow(
      expect.objectContaining({ code: 'untrusted' }) as Error,
    )
    expect(() => directory.offer(pki.card(leaf, { counter: NOW + DAY }), NOW)).toThrow(/future/)
    expect(directory.find(party)?.counter).toBe(NOW)
  })

  it('knows an expired card, so that the sender is told that it is over', () => {
    const directory = createDirectory(pki.trust())
    expect(directory.offer(pki.card(leaf, { notAfterMs: NOW + DAY }), NOW + 365 * DAY)).toBe('new')
    expect(directory.find(party)?.notAfterMs).toBe(NOW + DAY)
  })

  it('lets no card of an ended certificate displace one that holds, whatever counter it claims', () => {
    const directory = createDirectory(pki.trust())
    const [now, old] = [NOW + 60 * DAY, pki.leaf({ notAfterMs: NOW + 10 * DAY })]
    const genuine = pki.card(leaf, { counter: now - DAY, notAfterMs: now + DAY })
    const ended = pki.card(old, { counter: NOW + 9 * DAY + 100_000, notAfterMs: NOW + 9 * DAY })
    expect(directory.offer(pki.card(leaf, { counter: NOW, notAfterMs: now + DAY }), now)).toBe('new')
    expect(directory.offer(ended, now)).toBe('older')
    expect(directory.offer(genuine, now)).toBe('new')
    expect(directory.find(party)?.bytes).toEqual(genuine)
  })

  it('lets no card of a revoked certificate displace one that holds', () => {
    const { directory, genuine, stolen } = afterTheft()
    expect(directory.offer(genuine, NOW + 60_000)).toBe('new')
    expect(directory.offer(stolen, NOW + 60_000)).toBe('older')
    expect(directory.find(party)?.bytes).toEqual(genuine)
  })

  it('takes a card that holds in place of one of a revoked or ended certificate, whatever its counter', () => {
    const { directory, genuine, stolen } = afterTheft()
    expect(directory.offer(stolen, NOW + 60_000)).toBe('new') // a poisoned folder, read first
    expect(directory.offer(genuine, NOW + 60_000)).toBe('new')
    expect(directory.find(party)?.bytes).toEqual(genuine)
    const over = NOW + 31 * DAY
    const lasting = pki.card(leaf, { counter: NOW - 1, notAfterMs: NOW + 60 * DAY })
    expect(directory.offer(lasting, over)).toBe('new')
    expect(directory.offer(genuine, over)).toBe('older')
  })
})

/** One certificate of heh-0001 was stolen and revoked, the device has another; the thief claims the highest counter. */
function afterTheft(): { directory: MemoryDirectory; genuine: Uint8Array; stolen: Uint8Array } {
  const trust = pki.trust({ revocation: { signers: [pki.revocationSigner.spkiSha256] } })
  const addresses = [{ address: 'heh-0001', issuedBeforeMs: NOW - 100_000 }]
  trust.acceptRevocationList(pki.revocationList({ addresses, maxAgeSeconds: 100 * 86_400 }), NOW)
  const current = pki.leaf({ notBeforeMs: NOW - 100_000 })
  return {
    directory: createDirectory(trust),
    genuine: pki.card(current, { counter: NOW - 50_000 }),
    stolen: pki.card(leaf, { counter: NOW + 100_000 }),
  }
}
