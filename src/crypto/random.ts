/** Random bytes for sealing: checked, because without randomness nothing may be sealed, and drawn in stock where that is safe. */
import { randomBytes } from 'node:crypto'
import { SealbusError } from '../errors.js'

/** Gives `size` random bytes. */
export type RandomSource = (size: number) => Uint8Array

const STOCK_BYTES = 4096
/** Larger requests are drawn for themselves: seeds of key agreements never lie in stock. */
const MAX_FROM_STOCK = 16

/**
 * The generator of node:crypto with a stock for what each envelope takes, 0.2 µs instead of 3 for 16 bytes.
 * n.b. for envelope ids, which mix the content in and so need no secret randomness. What is given out is overwritten in stock.
 */
export function createRandomStock(draw: RandomSource = randomBytes): RandomSource {
  let stock: Uint8Array = new Uint8Array(0)
  let at = 0
  return size => {
    if (size > MAX_FROM_STOCK) return draw(size)
    if (stock.length - at < size) {
      const { buffer, byteOffset, length } = draw(STOCK_BYTES)
      stock = new Uint8Array(buffer, byteOffset, length) // n.b. no Buffer, whose slice is no copy
      at = 0
    }
    const bytes = stock.slice(at, at + size)
    stock.fill(0, at, at + size)
    at += size
    return bytes
  }
}

/** A source that throws rather than give too little or zeros. @throws SealbusError `random-failed` at its use */
export function checkedRandom(random: RandomSource): RandomSource {
  return size => {
    let bytes: Uint8Array
    try {
      bytes = random(size)
    } catch (cause) {
      throw new SealbusError('random-failed', 'the random generator failed: nothing was sealed', { cause })
    }
    if (bytes.length !== size || bytes.every(byte => byte === 0)) {
      throw new SealbusError(
        'random-failed',
        `the random generator gave no ${size} random bytes: nothing was sealed`,
      )
    }
    return bytes
  }
}
