/** The stock of random bytes. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { toHex } from '../../src/bytes.js'
import { checkedRandom, createRandomStock } from '../../src/crypto/random.js'

describe('the stock of random bytes', () => {
  it('gives every byte of its generator once, in order, over many refills', () => {
    const drawn: Uint8Array[] = []
    const random = createRandomStock(size => {
      const bytes = randomBytes(size)
      drawn.push(new Uint8Array(bytes))
      return bytes
    })
    const given = Array.from({ length: 600 }, () => toHex(random(16))).join('')
    expect(drawn.length).toBeGreaterThan(2)
    expect(drawn.map(toHex).join('').startsWith(given)).toBe(true)
    expect(new Set(given.match(/.{32}/g)).size).toBe(600)
  })

  it('overwrites in stock what it gave out', () => {
    let stock: Uint8Array = new Uint8Array(0)
    const random = createRandomStock(size => {
      stock = randomBytes(size)
      return stock
    })
    random(16)
    random(16)
    expect(stock.subarray(0, 32).every(byte => byte === 0)).toBe(true)
    expect(stock.subarray(32, 64).every(byte => byte === 0)).toBe(false)
  })

  it('draws seeds of key agreements for themselves', () => {
    const draw = vi.fn((size: number): Uint8Array => randomBytes(size))
    const random = createRandomStock(draw)
    random(32)
    expect(draw.mock.calls).toEqual([[32]])
  })

  it('gives nothing from a generator that fails, falls short or gives zeros', () => {
    const failing = checkedRandom(
      createRandomStock(() => {
        throw new Error('no entropy')
      }),
    )
    expect(() => failing(16)).toThrow('nothing was sealed')
    expect(() => checkedRandom(createRandomStock(() => new Uint8Array(8)))(16)).toThrow('nothing was sealed')
    expect(() => checkedRandom(createRandomStock(size => new Uint8Array(size)))(16)).toThrow(
      'nothing was sealed',
    )
  })
})
