import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MemorySample } from '../../chaos/ledger.js'
import { type Growth, GrowthMaker, growthLine, type Measure } from '../../chaos/soak-growth.js'
import { trendOf } from '../../chaos/soak-trend.js'
import { vitals } from '../../chaos/soak-vitals.js'

const MIB = 2 ** 20
const HOUR_MS = 3_600_000
const noise = (i: number): number => ((i * 7_919) % 101) / 101 // the same in every run

function sample(t: number, changes: Partial<MemorySample> = {}): MemorySample {
  return {
    ...{ kind: 'memory', t, process: 'hubs', rssBytes: 100 * MIB, heapBytes: 20 * MIB },
    ...{ resources: { Timeout: 5, TLSSocketWrap: 16 }, listeners: 200 },
    ...changes,
  }
}

/** A sample every second for so long. */
function grown(minutes: number, at: (hours: number, i: number) => Partial<MemorySample>): Growth[] {
  const maker = new GrowthMaker({ from: 60_000, to: minutes * 60_000 })
  for (let i = 0; i < minutes * 60; i++) maker.take(sample(i * 1_000, at((i * 1_000) / HOUR_MS, i)))
  return maker.finish()
}

const verdicts = (growth: readonly Growth[]): Partial<Record<Measure, Growth['verdict']>> =>
  Object.fromEntries(growth.map(({ measure, verdict }) => [measure, verdict]))

describe('a trend', () => {
  it('is the slope of a straight line, whatever a third of the points do', () => {
    const points = Array.from({ length: 30 }, (_, i) => [i, i % 3 === 1 ? 1_000 : 4 * i] as const)
    expect(trendOf(points).slope).toBe(4)
  })

  it('lies within its interval, and the interval of a line is a point', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 30 }), ys => {
        const { slope, low, high } = trendOf(ys.map((y, x) => [x, y]))
        expect(low).toBeLessThanOrEqual(slope)
        expect(high).toBeGreaterThanOrEqual(slope)
      }),
    )
    expect(trendOf([1, 2, 3, 4, 5, 6, 7, 8].map(x => [x, 3 * x]))).toEqual({ slope: 3, low: 3, high: 3 })
  })

  it('needs two points of different x', () => {
    expect(() => trendOf([[1, 1]])).toThrow(RangeError)
  })
})

describe('growth', () => {
  it('is none where a heap rises and is collected again and again', () => {
    const sawtooth = grown(30, (_, i) => ({ heapBytes: (20 + (i % 8) * 4 + noise(i)) * MIB }))
    expect(verdicts(sawtooth)).toEqual({
      ...{ 'resident memory': 'flat', heap: 'flat', 'open resources': 'flat' },
      ...{ timers: 'flat', listeners: 'flat' },
    })
  })

  it('is seen under the sawtooth when the floor rises by more than the limit', () => {
    const leak = grown(30, (hours, i) => ({ heapBytes: (20 + (i % 8) * 4 + noise(i) + 12 * hours) * MIB }))
    expect(verdicts(leak)).toMatchObject({ heap: 'grows', 'resident memory': 'flat' })
    const line = leak.map(growthLine).find(text => text.startsWith('hubs, heap')) ?? ''
    expect(line).toMatch(/^hubs, heap: grows, .* MiB an hour .*limit 8 MiB\)$/)
  })

  it.each([
    ['listeners', (hours: number) => ({ listeners: 200 + Math.floor(360 * hours) })],
    ['timers', (hours: number) => ({ resources: { Timeout: 5 + Math.floor(60 * hours) } })],
    ['open resources', (hours: number) => ({ resources: { TCPSocketWrap: 16 + Math.floor(60 * hours) } })],
    ['resident memory', (hours: number) => ({ rssBytes: (100 + 50 * hours) * MIB })],
  ] as const)('of %s is seen, and of nothing else', (measure, at) => {
    const found = grown(30, at)
    expect(found.filter(({ verdict }) => verdict === 'grows').map(each => each.measure)).toEqual([measure])
  })

  it('cannot be told from a few windows, and what warms up does not count', () => {
    expect(new Set(Object.values(verdicts(grown(2, () => ({})))))).toEqual(new Set(['too short to tell']))
    const warm = grown(30, hours => ({ rssBytes: Math.min(100, 20 + hours * 4_800) * MIB }))
    expect(verdicts(warm)['resident memory']).toBe('flat')
  })
})

describe('the vitals of a process', () => {
  it('count what is open by kind, and listeners', () => {
    const before = vitals()
    const timers = [setTimeout(() => undefined, 10_000), setTimeout(() => undefined, 10_000)]
    const listener = (): void => undefined
    process.on('exit', listener)
    const after = vitals()
    for (const timer of timers) clearTimeout(timer)
    process.off('exit', listener)
    expect((after.resources['Timeout'] ?? 0) - (before.resources['Timeout'] ?? 0)).toBe(2)
    expect(after.listeners - before.listeners).toBe(1)
  })
})
