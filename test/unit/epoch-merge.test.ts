import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EpochMemory } from '../../src/reliability/epoch.js'
import { mergeRecords } from '../../src/reliability/epoch-merge.js'
import type { EpochRecord } from '../../src/reliability/seen.js'

const KEY = { domain: 'field', address: 'heh-0001', epoch: '00112233445566aa' }

/** A memory that started somewhere and used some numbers, and skipped one. */
const memories = fc
  .record({
    start: fc.integer({ min: 0, max: 60 }),
    used: fc.array(fc.integer({ min: 0, max: 80 }), { maxLength: 40 }),
    skip: fc.boolean(),
    floor: fc.integer({ min: 0, max: 10 }),
  })
  .map(({ start, used, skip, floor }) => {
    const memory = EpochMemory.first(KEY, start, floor)
    for (const seq of used) if (memory.state(seq) === 'unseen') memory.use(seq, 'handled', `${seq}`, seq)
    if (skip && memory.state(memory.next + 1) === 'unseen') memory.skip(memory.next, memory.next + 1)
    return memory.record()
  })

const states = (record: EpochRecord): string[] => {
  const memory = new EpochMemory(record)
  return Array.from({ length: 90 }, (_, seq) => memory.state(seq))
}

describe('two memories of one epoch as one', () => {
  test('know of each number what either knows; what one has skipped and the other used is used', () => {
    fc.assert(
      fc.property(memories, memories, (a, b) => {
        const [ours, theirs, both] = [states(a), states(b), states(mergeRecords(a, b))]
        for (const [seq, state] of both.entries()) {
          const either = [ours[seq], theirs[seq]]
          if (either.includes('used')) expect(state, `${seq}`).toBe('used')
          else if (either.includes('skipped')) expect(state, `${seq}`).toBe('skipped')
          else expect(['unseen', 'below'], `${seq}`).toContain(state)
        }
      }),
    )
  })

  test('are the same whichever comes first, and with themselves', () => {
    fc.assert(
      fc.property(memories, memories, (a, b) => {
        expect(states(mergeRecords(a, b))).toEqual(states(mergeRecords(b, a)))
        expect(states(mergeRecords(a, a))).toEqual(states(a))
      }),
    )
  })

  test('keep the higher floor, the later time, the hashes of both', () => {
    const a = EpochMemory.first(KEY, 0, 3)
    a.use(0, 'handled', 'aa', 10)
    const b = EpochMemory.first(KEY, 0, 5)
    b.use(1, 'parked', 'bb', 20)
    const merged = mergeRecords(a.record(), b.record())
    expect(merged).toMatchObject({ floor: 5, lastCreatedAtMs: 20, parked: [1] })
    expect(new Map(merged.hashes)).toEqual(
      new Map([
        [0, 'aa'],
        [1, 'bb'],
      ]),
    )
  })

  test('with two long runs far apart count what lies between as late, never as seen', () => {
    const run = (start: number): EpochRecord => {
      const memory = EpochMemory.first(KEY, start, 0)
      return { ...memory.record(), next: start + 10_000 }
    }
    const merged = new EpochMemory(mergeRecords(run(0), run(50_000)))
    expect([merged.state(49_999), merged.state(50_000), merged.state(60_000)]).toEqual([
      'below',
      'used',
      'unseen',
    ])
  })
})
