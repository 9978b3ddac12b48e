import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type LaneGap, laneGaps, longestStall } from '../../chaos/gap.js'
import {
  inOrder,
  judge,
  memoryBounded,
  nothingBroke,
  nothingLost,
  onceEach,
  type Terms,
} from '../../chaos/invariants.js'
import type { Entry } from '../../chaos/ledger.js'
import { backInTime, type Measure, measuresOf, tightest } from '../../chaos/measures.js'

const TERMS: Terms = { judgedAt: 1e6, growthLimitBytes: 100, allowedRejections: new Set() }
const BOUND = { publishMs: 500, deliveryMs: 500 }

const sent = (n: number, t: number, lane = 'a>b'): Entry => ({
  kind: 'sent',
  t,
  lane,
  n,
  deadline: t + 1_000,
})
const resolved = (n: number, t: number, lane = 'a>b'): Entry => ({
  ...{ kind: 'resolved', t, lane, n, epoch: 'e1', seq: n + 100 },
})
const handled = (n: number, t: number, lane = 'a>b'): Entry => ({ kind: 'handled', t, lane, n, from: 'a' })
const rejected = (n: number, code: string): Entry => ({ kind: 'rejected', t: 0, lane: 'a>b', n, code })

/** A run in which all went well: every 10 ms a message, confirmed after 3 ms, handled after 5. */
function flawless(count: number): Entry[] {
  return Array.from({ length: count }, (_, n) => n).flatMap(n => [
    sent(n, n * 10),
    resolved(n, n * 10 + 3),
    handled(n, n * 10 + 5),
  ])
}

const words = (violations: readonly { invariant: string; message: string }[]): string[] =>
  violations.map(({ invariant, message }) => `${invariant} ${message}`)

describe('the judge', () => {
  it('finds nothing in a flawless run, whatever its length and order of entries', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(), { minLength: 1 }), (count, keys) => {
        // the order across kinds is arbitrary: entries come from several files; handlings of a lane come from one
        const entries = flawless(count)
        const shuffled = entries
          .filter(({ kind }) => kind !== 'handled')
          .map((entry, i) => ({ entry, key: keys[i % keys.length] ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ entry }) => entry)
        const all = [...shuffled, ...entries.filter(({ kind }) => kind === 'handled')]
        const at = { injectedAt: 0, observedUntil: count * 10, healedAt: count * 10, loadEnd: count * 10 }
        expect(words(judge(all, TERMS))).toEqual([])
        expect(words(backInTime(measuresOf(all, BOUND, at, () => true)))).toEqual([])
      }),
    )
  })

  it('I1: sees every resolved message that was never handled, and no other', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(29), { minLength: 1 }), lost => {
        const entries = flawless(30).filter(entry => !(entry.kind === 'handled' && lost.includes(entry.n)))
        const [violation] = nothingLost(entries)
        const shown = lost.toSorted((a, b) => a - b).slice(0, 5)
        expect(violation?.message).toContain(`a>b: ${shown.join(', ')}`)
      }),
    )
  })

  it('I1: counts a message in a named place as not lost, and one that never resolved as not promised', () => {
    const entries = flawless(3).filter(entry => entry.kind !== 'handled')
    const placed = [100, 101, 102].map(
      (seq): Entry => ({ kind: 'placed', t: 0, place: 'parked', epoch: 'e1', seq }),
    )
    expect(nothingLost([...entries, ...placed])).toEqual([])
    expect(words(nothingLost([...entries, ...placed.slice(1)]))).toEqual([
      'I1 a>b: 0 resolved, but neither handled nor in a named place',
    ])
    expect(nothingLost([sent(0, 0)])).toEqual([])
  })

  it('I2: sees an effect that happened twice', () => {
    expect(words(onceEach([...flawless(5), handled(3, 99), handled(3, 100)]))).toEqual([
      'I2 a>b: 3, 3 handled again',
    ])
  })

  it('I3: sees a swap within a lane, and none across lanes', () => {
    expect(words(inOrder([handled(0, 0), handled(2, 1), handled(1, 2)]))).toEqual([
      'I3 a>b: 1 handled after a later one',
    ])
    expect(inOrder([handled(5, 0), handled(1, 1, 'b>a'), handled(6, 2)])).toEqual([])
    expect(inOrder([handled(0, 0), handled(1, 1), handled(0, 2)])).toEqual([]) // that is I2's
  })

  it('I4: sees crashes, unhandled rejections, hung processes, promises past their deadline, and rejections', () => {
    const fatal: Entry = { kind: 'fatal', t: 0, what: 'unhandled-rejection', message: 'boom' }
    expect(words(nothingBroke([...flawless(3), fatal], TERMS))).toEqual(['I4 unhandled-rejection: boom'])
    expect(words(nothingBroke([sent(7, 0)], TERMS))).toEqual([
      'I4 a>b: 7 send() still pending past its deadline',
    ])
    expect(nothingBroke([sent(7, 0)], { ...TERMS, judgedAt: 999 })).toEqual([])
    expect(words(nothingBroke([sent(0, 0), rejected(0, 'connection-lost')], TERMS))).toEqual([
      'I4 a>b: 0 send() rejected with connection-lost',
    ])
    const allowed = new Set(['message-expired'])
    expect(
      nothingBroke([sent(0, 0), rejected(0, 'message-expired')], { ...TERMS, allowedRejections: allowed }),
    ).toEqual([])
  })

  it('I5: sees a process that grew past its bound', () => {
    const sample = (rssBytes: number): Entry => ({
      kind: 'memory',
      t: 0,
      process: 'hubs',
      rssBytes,
      heapBytes: 0,
    })
    expect(memoryBounded([sample(50), sample(150)], 100)).toEqual([])
    expect(memoryBounded([sample(50), sample(151), sample(60)], 100)).toHaveLength(1)
  })

  it('I6: sees a lane that came back too late, one that never did, and a run without lanes', () => {
    const gap = { lane: 'a>b', confirmMs: 0, deliveryMs: 0, dead: false }
    const measure = (...gaps: LaneGap[]): Measure[] => [{ name: 'gap', gapMs: 0, boundMs: 500, gaps }]
    expect(backInTime(measure({ ...gap, confirmMs: 500, deliveryMs: 500 }))).toEqual([])
    expect(backInTime(measure({ ...gap, deliveryMs: 501 }))).toHaveLength(1)
    expect(words(backInTime(measure({ ...gap, dead: true })))).toEqual(['I6 a>b: never came back'])
    expect(backInTime(measure())).toHaveLength(1)
  })

  it('I2 and I4: forgive what a process that was killed on purpose could not finish, and no more', () => {
    const ended: Entry = { kind: 'ended', t: 50, process: 'p', lanes: ['a>b'] }
    expect(nothingBroke([sent(7, 0), ended], TERMS)).toEqual([])
    expect(nothingBroke([sent(7, 0, 'c>d'), ended], TERMS)).toHaveLength(1)
    expect(onceEach([...flawless(5), handled(3, 99)], 1)).toEqual([])
    expect(onceEach([...flawless(5), handled(3, 99), handled(4, 99)], 1)).toHaveLength(1)
  })
})

describe('the gap', () => {
  const window = { from: 100, until: 400, loadEnd: 600 }
  const lane = (confirms: readonly number[], deliveries: readonly number[]): Entry[] => [
    sent(0, 0),
    ...confirms.map((t, n) => resolved(n, t)),
    ...deliveries.map((t, n) => handled(n, t)),
  ]
  const measured = (
    confirms: readonly number[],
    deliveries: readonly number[] = [110, 590],
  ): object | undefined => laneGaps(lane(confirms, deliveries), { ...window })[0]

  it('counts from the injection, not from the last confirm before it', () => {
    expect(measured([50, 130, 590], [50, 130, 590])).toMatchObject({ confirmMs: 460, deliveryMs: 460 })
    expect(measured([90, 250, 420, 590], [101, 150, 590])).toMatchObject({ confirmMs: 170, deliveryMs: 440 })
  })

  it('does not let confirms that were under way at the injection hide the silence after them', () => {
    expect(measured([95, 101, 102, 380, 500, 595])).toMatchObject({ confirmMs: 278 })
  })

  it('leaves out stretches that begin after the observation', () => {
    expect(measured([150, 410, 599])).toMatchObject({ confirmMs: 260 })
  })

  it('counts a silence until the end of the load, and calls a lane dead that never came back', () => {
    expect(measured([150, 200])).toMatchObject({ confirmMs: 400, dead: false })
    expect(measured([50])).toMatchObject({ confirmMs: 500, dead: true })
  })

  it('counts a lane that sent nothing before from its first send', () => {
    const entries = [sent(0, 200), resolved(0, 350), handled(0, 360), resolved(1, 595), handled(1, 596)]
    expect(laneGaps(entries, window)[0]).toMatchObject({ confirmMs: 245, deliveryMs: 236 })
  })

  it('takes the first handling of a message only: repeating an old one is no sign of life', () => {
    const entries = [
      sent(0, 0),
      resolved(0, 110),
      resolved(1, 590),
      handled(0, 90),
      handled(0, 300),
      handled(1, 595),
    ]
    expect(laneGaps(entries, window)[0]).toMatchObject({ deliveryMs: 495 })
  })

  it('tells how long the load itself stood still, whatever the bus did', () => {
    const entries = [0, 90, 150, 360, 590].map((t, n) => sent(n, t))
    expect(longestStall(entries, window)).toBe(230)
    expect(longestStall([...entries, ...[0, 595].map((t, n) => sent(n, t, 'b>a'))], window)).toBe(495)
    expect(longestStall([], window)).toBe(0)
  })

  it('ends with a sender that was killed on purpose, which is no silence of the bus', () => {
    const ended: Entry = { kind: 'ended', t: 250, process: 'p', lanes: ['a>b'] }
    const entries = [...lane([50, 120, 240], [55, 125, 245]), ended]
    expect(laneGaps(entries, window)).toMatchObject([{ confirmMs: 120, deliveryMs: 120, dead: false }])
    expect(laneGaps([...lane([50], [55]), { ...ended, t: 90 }], window)).toEqual([])
  })

  it('puts the worst lane first', () => {
    const good = flawless(60).map(entry => ({ ...entry, lane: 'good' }) as Entry)
    const gaps = laneGaps([...good, ...lane([50, 300], [50, 300])], window)
    expect(gaps.map(gap => gap.lane)).toEqual(['a>b', 'good'])
  })
})

describe('the measures of a run', () => {
  const at = { injectedAt: 100, observedUntil: 1_000, healedAt: 600, loadEnd: 1_000 }
  const entries: Entry[] = [
    sent(0, 0),
    ...[90, 300, 700, 950].map((t, n) => resolved(n, t)),
    ...[95, 650, 800, 990].map((t, n) => handled(n, t)),
  ]
  const all = (): boolean => true

  it('hold confirms, deliveries and the time after healing each against its own bound', () => {
    const measures = measuresOf(entries, { publishMs: 500, deliveryMs: 500, afterHealMs: 100 }, at, all)
    expect(measures.map(({ name, gapMs }) => [name, gapMs])).toEqual([
      ['gap', 550],
      ['after heal', 250],
    ])
    const apart = measuresOf(entries, { publishMs: 400, deliveryMs: 600 }, at, all)
    expect(apart.map(({ name, gapMs, boundMs }) => [name, gapMs, boundMs])).toEqual([
      ['publish', 400, 400],
      ['delivery', 550, 600],
    ])
    expect(backInTime(apart)).toEqual([])
    expect(words(backInTime(measuresOf(entries, { deliveryMs: 500 }, at, all)))).toEqual([
      'I6 a>b: deliveries away for 550 ms, bound 500 ms',
    ])
  })

  it('measure the gap where no bound is asked for, and hold it to nothing', () => {
    const measures = measuresOf(entries, {}, at, all)
    expect(measures).toMatchObject([{ name: 'gap', gapMs: 550, boundMs: undefined }])
    expect(backInTime(measures)).toEqual([])
  })

  it('leave out lanes that the fault is meant for', () => {
    expect(measuresOf(entries, { publishMs: 1 }, at, () => false)[0]?.gaps).toEqual([])
  })

  it('are summed up by the one that is nearest to its bound', () => {
    const near = { gapMs: 90, boundMs: 100 }
    expect(tightest([{ gapMs: 1_000, boundMs: 5_000 }, near, { gapMs: 9_999, boundMs: undefined }])).toBe(
      near,
    )
  })
})
