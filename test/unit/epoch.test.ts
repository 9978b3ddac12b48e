import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EpochMemory } from '../../src/reliability/epoch.js'
import { Epochs, MAX_EPOCHS } from '../../src/reliability/epochs.js'
import type { EpochKey, SeenMemory } from '../../src/reliability/seen.js'

const key = { domain: 'field', address: 'heh-0001', epoch: '00112233445566aa' }
const HASH = '0123456789abcdef'
const fresh = (open = 0, floor = 0): EpochMemory => EpochMemory.first(key, open, floor)

describe('the memory of an epoch', () => {
  test('starts at open, knows nothing of lower numbers down to the floor, and refuses what lies below', () => {
    const epoch = fresh(100, 90)
    expect([89, 90, 99, 100, 5_000].map(seq => epoch.state(seq))).toEqual([
      'below',
      'unseen',
      'unseen',
      'unseen',
      'unseen',
    ])
    epoch.use(99, 'handled', HASH, 1)
    expect(epoch.state(99)).toBe('used')
    expect([epoch.start, epoch.next]).toEqual([99, 100])
  })

  test('every outcome uses the number up; parked ones are named', () => {
    const epoch = fresh()
    epoch.use(0, 'handled', HASH, 5)
    epoch.use(1, 'expired', HASH, 9)
    epoch.use(2, 'parked', HASH, 7)
    epoch.use(3, 'rejected', HASH, 7)
    expect([0, 1, 2, 3, 4].map(seq => epoch.state(seq))).toEqual(['used', 'used', 'parked', 'used', 'unseen'])
    expect([epoch.next, epoch.lastCreatedAtMs]).toEqual([4, 9])
    expect([epoch.knows(2, HASH), epoch.knows(3, HASH)]).toEqual([true, false])
  })

  test('a skipped number is never taken for seen', () => {
    const epoch = fresh()
    expect(epoch.skip(0, 10)).toBe(true)
    epoch.use(10, 'handled', HASH, 1)
    expect(epoch.state(5)).toBe('skipped')
    epoch.use(5, 'parked', HASH, 1)
    expect(epoch.state(5)).toBe('parked')
  })

  test('of a long gap the last 1 024 are listed, and the rest lies below the floor', () => {
    const epoch = fresh()
    expect(epoch.skip(0, 2 ** 50)).toBe(true)
    expect(epoch.state(2 ** 50 - 1)).toBe('skipped')
    expect(epoch.state(2 ** 50 - 1_025)).toBe('below')
    expect(epoch.record().skipped).toHaveLength(1_024)
  })

  test('a long gap ahead of unfinished numbers has to wait', () => {
    expect(fresh().skip(10, 10_000)).toBe(false)
    expect(fresh().skip(10, 20)).toBe(true)
  })

  test('skipped numbers that leave the list are below the floor, not seen', () => {
    const epoch = fresh()
    for (let seq = 0; seq < 3_000; seq += 2) {
      epoch.skip(seq, seq + 1)
      epoch.use(seq + 1, 'handled', HASH, 1)
    }
    const { skipped } = epoch.record()
    expect(skipped).toHaveLength(1_024)
    expect(epoch.state(0)).toBe('below')
    expect(epoch.state(2_998)).toBe('skipped')
    expect(epoch.state(2_999)).toBe('used')
  })

  test('what is used up far below its start is bounded; what is forgotten of it lies below the floor', () => {
    const epoch = fresh(2 ** 40)
    for (let i = 0; i < 20_000; i++) epoch.use(2 * i, 'handled', HASH, 1)
    expect(epoch.record().beyond.length).toBeLessThanOrEqual(4_096)
    expect(epoch.state(0)).toBe('below')
    expect(epoch.state(2 * 19_999)).toBe('used')
    expect(epoch.state(2 * 19_999 + 1)).toBe('unseen')
  })

  test('of what is used up apart above, a number beyond the bound is refused, and gaps ahead make it grow little', () => {
    const epoch = fresh()
    for (let seq = 2; !epoch.scatters(seq, 0); seq += 2) epoch.use(seq, 'expired', HASH, 1)
    expect(epoch.scattered).toBe(8_192)
    for (let seq = 100_000; epoch.skip(seq, seq + 512); seq += 1_024);
    expect(epoch.scattered).toBeLessThanOrEqual(9_216)
    expect(epoch.scatters(0, 0)).toBe(false)
  })

  test('hashes of the last 64 tell a duplicate from a conflict', () => {
    const epoch = fresh()
    for (let seq = 0; seq < 100; seq++) epoch.use(seq, 'handled', HASH, 1)
    expect(epoch.conflicts(99, 'other')).toBe(true)
    expect(epoch.conflicts(99, HASH)).toBe(false)
    expect(epoch.conflicts(35, 'other')).toBe(false)
    expect([epoch.knows(99, HASH), epoch.knows(99, 'other'), epoch.knows(35, HASH)]).toEqual([
      true,
      false,
      false,
    ])
    expect(epoch.conflicts(36, 'other')).toBe(true)
  })

  test('its record makes the same memory again', () => {
    const step = fc.record({
      seq: fc.integer({ min: 0, max: 60 }),
      mark: fc.constantFrom('handled', 'parked', 'expired'),
    })
    fc.assert(
      fc.property(fc.array(step), fc.integer({ min: 0, max: 30 }), (steps, open) => {
        const epoch = fresh(open, 0)
        for (const { seq, mark } of steps) epoch.use(seq, mark, HASH, seq)
        const used = new Set(steps.map(({ seq }) => seq))
        const again = new EpochMemory(epoch.record())
        for (let seq = 0; seq <= 62; seq++) {
          expect(again.state(seq)).toBe(epoch.state(seq))
          expect(epoch.state(seq) !== 'unseen').toBe(used.has(seq))
        }
        expect(again.record()).toEqual(epoch.record())
      }),
    )
  })
})

describe('the epochs of all senders', () => {
  const empty: SeenMemory = { epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: false }
  const numbers = { epoch: '', seq: 0, floor: 0, open: 0 }
  const keyOf = (n: number): EpochKey => ({ ...key, epoch: n.toString(16).padStart(16, '0') })
  const notes = (): {
    forgotten: [EpochKey, number | undefined][]
    note: () => void
    forget: (k: EpochKey, b?: number) => void
  } => {
    const forgotten: [EpochKey, number | undefined][] = []
    return { forgotten, note: () => undefined, forget: (k, before) => void forgotten.push([k, before]) }
  }

  test('a sender has at most 64; then its oldest closes, and what is as old is refused', () => {
    const store = notes()
    const epochs = new Epochs(empty, store, 1_000)
    for (let n = 0; n < MAX_EPOCHS; n++) {
      epochs.open(keyOf(n), numbers, 100 + n)?.memory.use(0, 'handled', HASH, 100 + n)
    }
    expect(epochs.open(keyOf(64), numbers, 200)).toBeDefined()
    expect(store.forgotten).toEqual([[keyOf(0), 100]])
    expect(epochs.open(keyOf(0), numbers, 100)).toBeUndefined()
    expect(epochs.open(keyOf(99), numbers, 100)).toBeUndefined()
    const restarted = new Epochs(
      { ...empty, closedBefore: new Map([['field/heh-0001', 100]]) },
      notes(),
      1_000,
    )
    expect(restarted.open(keyOf(0), numbers, 100)).toBeUndefined()
    expect(restarted.open(keyOf(1), numbers, 101)).toBeDefined()
  })

  test('an epoch is forgotten when its last message can no longer be alive', () => {
    const store = notes()
    const epochs = new Epochs(empty, store, 1_000)
    epochs.open(keyOf(1), numbers, 100)?.memory.use(0, 'handled', HASH, 100)
    epochs.sweep(100 + 1_000 + 120_000)
    expect(store.forgotten).toEqual([])
    epochs.sweep(100 + 1_000 + 120_001)
    expect(store.forgotten).toEqual([[keyOf(1), undefined]])
    expect(epochs.find(key, keyOf(1).epoch)).toBeUndefined()
  })
})
