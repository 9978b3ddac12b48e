import { describe, expect, it } from 'vitest'
import { backoff } from '../../src/reliability/backoff.js'

describe('backoff', () => {
  it('doubles its ceiling up to the maximum', () => {
    let pause = backoff({ firstMs: 50, maxMs: 300, jitter: 'full' })
    const ceilings = [pause.ceilingMs]
    for (let i = 0; i < 4; i++) {
      pause = pause.next()
      ceilings.push(pause.ceilingMs)
    }
    expect(ceilings).toEqual([50, 100, 200, 300, 300])
  })

  it('is a value: next() leaves it as it was', () => {
    const first = backoff({ firstMs: 50, maxMs: 300, jitter: 'full' })
    first.next().next()
    expect(first.ceilingMs).toBe(50)
  })

  it('draws from 0 to the ceiling with full jitter, from half of it with half', () => {
    const range = (jitter: 'full' | 'half'): number[] => {
      const pause = backoff({ firstMs: 100, maxMs: 100, jitter })
      return [pause.delayMs(() => 0), pause.delayMs(() => 1)]
    }
    expect(range('full')).toEqual([0, 100])
    expect(range('half')).toEqual([50, 100])
  })

  it('refuses bounds that make no sense', () => {
    expect(() => backoff({ firstMs: 0, maxMs: 1, jitter: 'full' })).toThrow(RangeError)
    expect(() => backoff({ firstMs: 2, maxMs: 1, jitter: 'full' })).toThrow(RangeError)
  })
})
