/** HPKE against RFC 9180's vectors and an independent library. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CipherSuite, DhkemX25519HkdfSha256, ExportOnly, HkdfSha256 } from '@hpke/core'
import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex, utf8 } from '../../src/bytes.js'
import { sessionInfo } from '../../src/crypto/envelope.js'
import { exportSecret, setupBaseReceiver, setupBaseSender } from '../../src/crypto/hpke.js'
import { sodiumReady, x25519, x25519PublicKey } from '../../src/crypto/sodium.js'
import { suiteOf } from '../../src/crypto/suites.js'

interface Vectors {
  info: string
  cases: {
    section: string
    aeadId: number
    skEm: string
    pkRm: string
    skRm: string
    enc: string
    /** Not published here for A.2.1: its exports follow from it. */
    exporterSecret?: string
    exports: { context: string; length: number; value: string }[]
  }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/rfc9180-suite1.json', import.meta.url), 'utf8'),
) as Vectors
const info = fromHex(vectors.info)
const EMPTY = new Uint8Array(0)

beforeAll(sodiumReady)

describe.each(vectors.cases)('RFC 9180 $section, mode Base', vector => {
  const ids = { kemId: 0x0020, kdfId: 0x0001, aeadId: vector.aeadId }
  const sent = () => setupBaseSender(ids, fromHex(vector.pkRm), info, fromHex(vector.skEm))
  const received = () =>
    setupBaseReceiver(ids, fromHex(vector.enc), fromHex(vector.skRm), fromHex(vector.pkRm), info)

  it('gives the sender the published enc', () => {
    expect(toHex(sent()?.enc ?? EMPTY)).toBe(vector.enc)
  })

  it('gives both sides one exporter secret, the published one', () => {
    const secret = toHex(received() ?? EMPTY)
    expect(secret).toBe(toHex(sent()?.exporterSecret ?? EMPTY))
    expect(secret).toBe(vector.exporterSecret ?? secret)
  })

  it.each(vector.exports)(
    'exports the published value for context "$context"',
    ({ context, length, value }) => {
      expect(toHex(exportSecret(ids, received() ?? EMPTY, fromHex(context), length))).toBe(value)
    },
  )
})

describe('the session secret of suite 1', () => {
  const other = new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new ExportOnly(),
  })
  const sessInfo = sessionInfo(1, { domain: 'field', address: 'heh-0001' })
  const context = utf8('sealbus-v1 envelope').buffer as ArrayBuffer
  const buffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer

  it('is what an independent library derives as the recipient of our enc', async () => {
    const privateKey = randomBytes(32)
    const publicKey = x25519PublicKey(privateKey)
    const ours = suiteOf(1)?.encapsulate(publicKey, sessInfo, randomBytes(32))
    if (ours === undefined) throw new Error('no session')
    const recipientKey = await other.kem.importKey('raw', buffer(privateKey), false)
    const recipient = await other.createRecipientContext({
      recipientKey,
      enc: buffer(ours.enc),
      info: buffer(sessInfo),
    })
    expect(toHex(new Uint8Array(await recipient.export(context, 32)))).toBe(toHex(ours.secret))
  })

  it('is derived by us from an enc that an independent library made', async () => {
    const privateKey = randomBytes(32)
    const publicKey = x25519PublicKey(privateKey)
    const recipientPublicKey = await other.kem.importKey('raw', buffer(publicKey), true)
    const sender = await other.createSenderContext({ recipientPublicKey, info: buffer(sessInfo) })
    const theirs = toHex(new Uint8Array(await sender.export(context, 32)))
    const ours = suiteOf(1)?.decapsulate(new Uint8Array(sender.enc), privateKey, publicKey, sessInfo)
    expect(ours && toHex(ours)).toBe(theirs)
  })
})

describe('X25519', () => {
  it('matches RFC 7748 §5.2, its first vector', () => {
    const scalar = fromHex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    const point = fromHex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
    const shared = x25519(scalar, point)
    expect(shared && toHex(shared)).toBe('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552')
  })

  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])('refuses the low-order point %s, whose secret is all zero', point => {
    expect(x25519(randomBytes(32), fromHex(point))).toBeUndefined()
    expect(
      suiteOf(1)?.encapsulate(fromHex(point), sessionInfo(1, { domain: 'd', address: 'a' }), randomBytes(32)),
    ).toBeUndefined()
  })

  it('accepts a non-canonical point as the point it stands for', () => {
    const scalar = randomBytes(32)
    const canonical = fromHex('0900000000000000000000000000000000000000000000000000000000000000')
    const plusP = fromHex('f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f') // 9 + p
    expect(x25519(scalar, plusP)).toEqual(x25519(scalar, canonical))
  })
})
