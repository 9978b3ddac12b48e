import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import * as asn1 from '../../src/crypto/asn1.js'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const show = (node: asn1.Asn1): string => Buffer.from(asn1.toDer(node)).toString('hex')

describe('asn1', () => {
  it('writes what X.690 says', () => {
    expect(show(asn1.integer(0))).toBe('020100')
    expect(show(asn1.integer(127))).toBe('02017f')
    expect(show(asn1.integer(128))).toBe('02020080')
    expect(show(asn1.integer(256))).toBe('02020100')
    expect(show(asn1.integer(hex('0000ff')))).toBe('020200ff')
    expect(show(asn1.boolean(true))).toBe('0101ff')
    expect(show(asn1.oid('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302')
    expect(show(asn1.bitString(hex('80'), 7))).toBe('03020780')
    expect(show(asn1.octetString(hex('0102')))).toBe('04020102')
    expect(show(asn1.utf8String('é'))).toBe('0c02c3a9')
    expect(show(asn1.context(0, true, [asn1.integer(2)]))).toBe('a003020102')
    expect(show(asn1.context(0, false, hex('aa')))).toBe('8001aa')
    expect(show(asn1.set(asn1.integer(2), asn1.integer(1)))).toBe('3106020101020102')
    expect(show(asn1.sequence(asn1.octetString(new Uint8Array(200)))).slice(0, 12)).toBe('3081cb0481c8')
  })

  it('writes dates as UTCTime up to 2049 and as GeneralizedTime after', () => {
    expect(Buffer.from(asn1.toDer(asn1.time(new Date('2049-12-31T23:59:59Z')))).toString('latin1')).toBe(
      '\x17\x0d491231235959Z',
    )
    expect(Buffer.from(asn1.toDer(asn1.time(new Date('2050-01-01T00:00:00Z')))).toString('latin1')).toBe(
      '\x18\x0f20500101000000Z',
    )
  })

  it('reads back what it wrote', () => {
    const date = new Date('2031-02-03T04:05:06Z')
    const node = asn1.parseDer(
      asn1.toDer(
        asn1.sequence(
          asn1.integer(300),
          asn1.oid('2.5.4.3'),
          asn1.utf8String('heh-1'),
          asn1.printableString('heh'),
          asn1.time(date),
          asn1.boolean(true),
          asn1.bitString(hex('a0'), 5),
          asn1.octetString(hex('00ff')),
          asn1.context(3, true, [asn1.boolean(false)]),
        ),
      ),
    )
    const [int, id, name, role, when, flag, bits, octets, tagged] = asn1.children(node, 'sequence')
    if (!int || !id || !name || !role || !when || !flag || !bits || !octets || !tagged)
      throw new Error('nine')
    expect(asn1.integerOf(int)).toEqual(hex('012c'))
    expect(asn1.oidOf(id)).toBe('2.5.4.3')
    expect([asn1.textOf(name), asn1.textOf(role)]).toEqual(['heh-1', 'heh'])
    expect(asn1.timeOf(when)).toEqual(date)
    expect(asn1.booleanOf(flag)).toBe(true)
    expect(asn1.bitsOf(bits)).toEqual({ bytes: hex('a0'), unusedBits: 5 })
    expect(asn1.bytesOf(octets)).toEqual(hex('00ff'))
    expect(asn1.contextTag(tagged)).toBe(3)
  })

  it('takes a public key of node:crypto byte for byte', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
    expect(asn1.toDer(asn1.raw(spki))).toEqual(spki)
  })

  it('is read by openssl', () => {
    const der = asn1.toDer(asn1.sequence(asn1.integer(7), asn1.oid('2.5.4.11'), asn1.utf8String('vpp')))
    const text = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: der, encoding: 'utf8' })
    expect(text).toMatch(/INTEGER\s+:07[\s\S]*OBJECT\s+:organizationalUnitName[\s\S]*UTF8STRING\s+:vpp/)
  })

  it.each([
    ['nothing', ''],
    ['trailing bytes', '02010100'],
    ['a truncated value', '0202 01'],
    ['a length that is longer than it must be', '02810101'],
    ['an indefinite length', '30800201010000'],
    ['an indefinite primitive', '0480010000'],
    ['an integer with a superfluous zero', '02020001'],
    ['2^31 in the length', '3084800000000101'],
    ['2^63 in the length', '30888000000000000000'],
    ['a length of 127 bytes', '30ff01'],
  ])('refuses %s', (_, text) => {
    expect(() => asn1.parseDer(hex(text.replaceAll(' ', '')))).toThrow(RangeError)
  })

  it('refuses nesting without end, and more than 64 KiB', () => {
    let node = asn1.integer(1)
    for (let depth = 0; depth < 40; depth++) node = asn1.sequence(node)
    expect(() => asn1.parseDer(asn1.toDer(node))).toThrow(RangeError)
    expect(() => asn1.parseDer(asn1.toDer(asn1.octetString(new Uint8Array(70_000))))).toThrow(/at most 65536/)
  })

  it('refuses a value of another kind than was asked for', () => {
    expect(() => asn1.oidOf(asn1.integer(1))).toThrow(/expected oid, got integer/)
    expect(() => asn1.textOf(asn1.octetString(hex('41')))).toThrow(RangeError)
    expect(() => asn1.children(asn1.integer(1))).toThrow(RangeError)
    expect(() => asn1.booleanOf(asn1.parseDer(hex('010101')))).toThrow(/BOOLEAN/)
    expect(() => asn1.integerOf(asn1.parseDer(hex('0201ff')))).toThrow(/non-negative/)
    expect(() =>
      asn1.timeOf(asn1.parseDer(hex(`170d${Buffer.from('260230000000Z').toString('hex')}`))),
    ).toThrow(/exists/)
    expect(() => asn1.context(0, true, hex('00'))).toThrow(TypeError)
  })
})
