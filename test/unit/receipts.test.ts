import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { Party } from '../../src/bus.js'
import { encodeCbor } from '../../src/codec/cbor.js'
import {
  encodeReceipts,
  parseReceipts,
  RECEIPT_OUTCOMES,
  type Receipt,
  ReceiptBatcher,
} from '../../src/reliability/receipts.js'
import { EPOCH, HEH, TSO } from '../support/receiving.js'

const receipt = (seq: number): Receipt => ({
  epoch: EPOCH,
  seq,
  contentHash: 'ab'.repeat(32),
  outcome: 'handled',
  atMs: 5,
})
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(b => Buffer.from(b).toString('hex'))

describe('receipts', () => {
  test('parse inverts encode', () => {
    const any = fc.record({
      epoch: hex(8),
      seq: fc.maxSafeNat(),
      contentHash: hex(32),
      outcome: fc.constantFrom(...RECEIPT_OUTCOMES),
      atMs: fc.maxSafeNat(),
    })
    fc.assert(
      fc.property(fc.array(any), receipts => {
        expect(parseReceipts(encodeReceipts(receipts))).toEqual(receipts)
      }),
    )
  })

  test('of another shape are refused', () => {
    const epoch = new Uint8Array(8)
    const hash = new Uint8Array(32)
    const bad = [
      5,
      [5],
      [[epoch, 1, hash, 0]],
      [[epoch, 1, hash, 4, 0]],
      [[epoch, -1, hash, 0, 0]],
      [[new Uint8Array(7), 1, hash, 0, 0]],
      [[epoch, 1, new Uint8Array(31), 0, 0]],
      [[epoch, 1, hash, 0, 0, 0]],
    ]
    for (const value of bad) expect(() => parseReceipts(encodeCbor(value))).toThrow(RangeError)
    expect(() => parseReceipts(Uint8Array.of(0xff))).toThrow()
  })

  test('for one party travel together: 64, or what comes within 5 ms', async () => {
    vi.useFakeTimers()
    const sent: [Party, number][] = []
    const batcher = new ReceiptBatcher((to, payload) => sent.push([to, parseReceipts(payload).length]))
    for (let seq = 0; seq < 70; seq++) batcher.add(HEH, receipt(seq))
    batcher.add(TSO, receipt(0))
    const heh = { domain: 'field', address: 'heh-0001' }
    expect(sent).toEqual([[heh, 64]])
    await vi.advanceTimersByTimeAsync(5)
    expect(sent).toEqual([
      [heh, 64],
      [heh, 6],
      [{ domain: 'field', address: 'tso' }, 1],
    ])
    batcher.flush()
    expect(sent).toHaveLength(3)
    vi.useRealTimers()
  })
})
