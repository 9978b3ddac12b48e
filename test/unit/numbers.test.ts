import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  carried,
  confirmed,
  over,
  resumeNumbers,
  startNumbers,
  taken,
} from '../../src/reliability/numbers.js'

const epoch = '00112233aabbccdd'

describe('numbers', () => {
  it('start at 0 and rise by exactly the messages taken', () => {
    const numbers = taken(taken(startNumbers(epoch), 3), 2)
    expect(carried(numbers)).toEqual({ epoch, seq: 5, floor: 0, open: 0 })
  })

  it('a confirmation raises open, never the floor', () => {
    const numbers = confirmed(taken(startNumbers(epoch), 3), undefined)
    expect(numbers).toMatchObject({ open: 3, floor: 0 })
  })

  it('what is over raises the floor at once when nothing below is unsettled', () => {
    expect(over(taken(startNumbers(epoch), 3), { seq: 0, count: 3 }, undefined)).toMatchObject({
      open: 3,
      floor: 3,
    })
  })

  it('what is over above something unsettled raises the floor only when that is settled', () => {
    const early = over(taken(startNumbers(epoch), 4), { seq: 2, count: 1 }, 0)
    expect(early).toMatchObject({ open: 0, floor: 0 })
    expect(confirmed(early, 3)).toMatchObject({ open: 3, floor: 3, overEnds: [] })
  })

  it('a notice that is over raises nothing', () => {
    expect(over(taken(startNumbers(epoch), 4), { seq: 4, count: 0 }, undefined).floor).toBe(0)
  })

  it('resume where a former life ended; its floor is never above what is open', () => {
    expect(carried(resumeNumbers({ epoch, floor: 9, next: 7, overEnds: [] }, 4))).toEqual({
      epoch,
      seq: 7,
      floor: 4,
      open: 4,
    })
  })

  it('resume with what was over above something unsettled: it raises the floor when that is settled', () => {
    const resumed = resumeNumbers({ epoch, floor: 0, next: 9, overEnds: [6] }, 4)
    expect(carried(resumed)).toEqual({ epoch, seq: 9, floor: 0, open: 4 })
    expect(carried(confirmed(resumed, 6))).toEqual({ epoch, seq: 9, floor: 6, open: 6 })
  })

  it('resume with nothing left: all that was over is passed', () => {
    expect(resumeNumbers({ epoch, floor: 2, next: 9, overEnds: [6] }, undefined).floor).toBe(6)
  })

  it('refuse to pass 2^53 - 1', () => {
    expect(() =>
      taken(resumeNumbers({ epoch, floor: 0, next: Number.MAX_SAFE_INTEGER, overEnds: [] }, 0), 1),
    ).toThrow(RangeError)
  })

  it('whatever order things settle in: floor <= open <= next, neither ever falls, and floor is the end of something over', () => {
    const steps = fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 60 })
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 30 }), steps, (counts, settle) => {
        let numbers = startNumbers(epoch)
        const unsettled: { seq: number; count: number }[] = []
        const ends = new Set([0])
        for (const count of counts) {
          unsettled.push({ seq: numbers.next, count })
          numbers = taken(numbers, count)
        }
        for (const [pick, isOver] of settle) {
          const [range] = unsettled.splice(pick % Math.max(1, unsettled.length), 1)
          if (range === undefined) break
          const before = numbers
          if (isOver) ends.add(range.seq + range.count)
          const lowest = unsettled[0]?.seq
          numbers = isOver ? over(numbers, range, lowest) : confirmed(numbers, lowest)
          expect(numbers.open).toBe(lowest ?? numbers.next)
          expect(numbers.floor).toBe(Math.max(...[...ends].filter(end => end <= numbers.open)))
          expect(numbers.floor).toBeGreaterThanOrEqual(before.floor)
        }
      }),
    )
  })
})
