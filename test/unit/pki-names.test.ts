import { describe, expect, it } from 'vitest'
import { checkAddress, checkDomain, numberedFleet, parseFleetCsv } from '../../pki/index.js'

describe('names', () => {
  it('are padded to four digits, and to more where a fleet needs them', () => {
    expect(numberedFleet('heh-', 2, 'heh')).toEqual([
      { name: 'heh-0001', role: 'heh' },
      { name: 'heh-0002', role: 'heh' },
    ])
    expect(numberedFleet('h', 12_345, 'heh').at(0)?.name).toBe('h00001')
  })

  it.each(['', 'a b', 'ä', '../x', 'a.b', 'x'.repeat(65)])('%j is no address', name => {
    expect(() => checkAddress(name)).toThrow(/name: expected 1 to 64/)
  })

  it.each(['', '.', '..', 'a/b', 'x'.repeat(65)])('%j is no domain', domain => {
    expect(() => checkDomain(domain)).toThrow(/domain: expected/)
  })

  it.each([0, -1, 1.5, Number.NaN, 1_000_001])('a fleet of %d is refused', count => {
    expect(() => numberedFleet('heh-', count, 'heh')).toThrow(/count: expected a whole number/)
  })

  it('a prefix that makes a bad name is refused before anything is made', () => {
    expect(() => numberedFleet('heh.', 3, 'heh')).toThrow(/heh\.0003/)
  })
})

describe("a fleet's CSV", () => {
  it('has columns in any order, quotes, comments, empty lines and Windows line ends', () => {
    const text = '\uFEFFRole,Name,place\r\nheh,"heh-0001",Graz\r\n\r\n# a comment\r\nvpp,vpp-0001,Wien\r\n'
    expect(parseFleetCsv(text)).toEqual([
      { name: 'heh-0001', role: 'heh' },
      { name: 'vpp-0001', role: 'vpp' },
    ])
  })

  it('without its header is refused', () => {
    expect(() => parseFleetCsv('heh-0001,heh\n')).toThrow(/columns name,role/)
  })

  it('names the line with a bad name', () => {
    expect(() => parseFleetCsv('name,role\nok,heh\nnot ok,heh\n')).toThrow(/CSV line 3: name: expected/)
  })

  it('may name a device once only', () => {
    expect(() => parseFleetCsv('name,role\nx,heh\nx,vpp\n')).toThrow(/x: is in the list twice \(heh, vpp\)/)
  })
})
