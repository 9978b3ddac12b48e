/** The bounds on what gaps hold back: of one sender, and of all. */
import { describe, expect, it } from 'vitest'
import { EpochMemory } from '../../src/reliability/epoch.js'
import { Gaps } from '../../src/reliability/gaps.js'
import { Lane } from '../../src/reliability/lane.js'
import type { Slot } from '../../src/reliability/slots.js'

const MAX = 800

/** A lane of a sender of its own that holds so many bytes behind a gap. */
function holding(sender: number, bytes: number): Lane {
  const key = { domain: 'field', address: `heh-${sender}`, epoch: '00112233445566aa' }
  const lane = new Lane(EpochMemory.first(key, 0, 0))
  lane.add({ seq: 1, bytes, state: 'held', ahead: false } as Slot)
  return lane
}

describe('what gaps hold back', () => {
  it('is bounded over all senders, though none of them holds more than its eighth', () => {
    const gaps = new Gaps(MAX)
    const lanes = Array.from({ length: 9 }, (_, i) => holding(i, MAX / 8))
    lanes.slice(0, 8).forEach((lane, i) => {
      gaps.watch(lane, i)
      expect(gaps.overfull(lane)).toBeUndefined()
    })
    const [oldest, last] = [lanes[0], lanes[8]]
    if (last === undefined) throw new Error('nine lanes expected')
    gaps.watch(last, 8)
    expect(gaps.bytes).toBeGreaterThan(MAX)
    expect(gaps.overfull(last)).toBe(oldest)
  })
})
