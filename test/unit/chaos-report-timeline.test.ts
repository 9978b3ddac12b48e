import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../../chaos/ledger.js'
import type { Timeline } from '../../chaos/report-model.js'
import { TimelineMaker } from '../../chaos/timeline.js'
import { mergedEntries } from '../../chaos/timeline-ledgers.js'
import { binsOf, rangeOf } from '../../chaos/timeline-range.js'
import { percentile } from '../../chaos/timeline-series.js'
import { flow, LANE } from '../support/chaos-entries.js'

function timelineOf(entries: readonly Entry[], to = 1_000): Timeline {
  const maker = new TimelineMaker(rangeOf(0, to))
  for (const entry of entries.toSorted((a, b) => a.t - b.t)) maker.take(entry)
  return maker.finish()
}

const told = (t: number, name: string, detail: object): Entry => ({
  kind: 'event',
  t,
  party: 'heh-1',
  name,
  detail,
})

describe('the range of a timeline', () => {
  it('is cut into bins of 100 ms, and into wider ones where there would be more than 400', () => {
    expect([rangeOf(0, 40_000).binMs, rangeOf(0, 40_001).binMs]).toEqual([100, 200])
    expect(binsOf(rangeOf(0, 3_600_000))).toBeLessThanOrEqual(401)
  })
})

describe('the series of a timeline', () => {
  it('count what was sent, confirmed and handled in each bin', () => {
    const { sent, resolved, handled } = timelineOf([...flow(10), ...flow(5, 'other>lane#report')])
    expect(sent).toEqual([2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0])
    expect(resolved).toEqual(sent)
    expect(handled).toEqual(sent)
  })

  it('have percentiles of the times from send, in the bin of their end, and null where nothing ended', () => {
    const entries = flow(10).filter(entry => !('n' in entry) || entry.n !== 4 || entry.kind === 'sent')
    const { resolveLatency, handleLatency } = timelineOf(entries)
    expect(resolveLatency.p50).toEqual([10, 10, 10, 10, null, 10, 10, 10, 10, 10, null])
    expect(handleLatency.p99[0]).toBe(20)
    expect(percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 100], 0.99)).toBe(100)
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2)
  })

  it('take the first handling of a message for its time', () => {
    const again: Entry = { kind: 'handled', t: 600, lane: LANE, n: 0, from: 'heh-1' }
    const { handleLatency } = timelineOf([...flow(1), again])
    expect(handleLatency.p99.filter(value => value !== null)).toEqual([20])
  })
})

describe('the silences of a timeline', () => {
  it('are the stretches of at least 200 ms without a confirm or a delivery, longest first', () => {
    const late = (entry: Entry): Entry =>
      entry.kind === 'handled' && entry.n >= 3 && entry.n < 8 ? { ...entry, t: 800 } : entry
    expect(timelineOf(flow(10).map(late)).silences).toEqual([
      { lane: LANE, series: 'deliveries', fromMs: 220, toMs: 800 },
    ])
  })

  it('reach to the last send of a lane that never came back', () => {
    const dead = flow(10).filter(entry => entry.kind === 'sent' || entry.t < 300)
    expect(timelineOf(dead).silences).toContainEqual({
      ...{ lane: LANE, series: 'confirms', fromMs: 210, toMs: 900 },
    })
  })
})

describe('many silences', () => {
  it('are all seen, however long and wide one of them was', () => {
    const lanes = Array.from({ length: 300 }, (_, i) => `hub-${i}>vpp-1#report`)
    const outage = lanes.flatMap((lane): Entry[] => [
      { kind: 'sent', t: 0, lane, n: 0, deadline: 1 },
      { kind: 'resolved', t: 30_000, lane, n: 0, epoch: '00', seq: 0 },
    ])
    const later = flow(100, LANE, 30_000).filter(
      entry => entry.kind !== 'resolved' || entry.n < 50 || entry.n > 56,
    )
    const { silences } = timelineOf([...outage, ...later], 60_000)
    expect(silences.length).toBeLessThan(100)
    expect(silences).toContainEqual(expect.objectContaining({ lane: LANE, series: 'confirms' }))
  })
})

describe('the connections of a timeline', () => {
  it('are a band without holes from the first event on', () => {
    const entries = [
      told(100, 'status', { state: 'connecting' }),
      told(200, 'status', { state: 'ready' }),
      told(400, 'disconnected', { connection: 'consuming' }),
      told(450, 'status', { state: 'blocked' }),
      told(500, 'status', { state: 'ready' }),
      told(600, 'connected', { connection: 'consuming' }),
    ]
    expect(timelineOf(entries).connections).toEqual([
      {
        party: 'heh-1',
        stretches: [
          { state: 'connecting', fromMs: 100, toMs: 200 },
          { state: 'ready', fromMs: 200, toMs: 400 },
          { state: 'partly', fromMs: 400, toMs: 450 },
          { state: 'blocked', fromMs: 450, toMs: 500 },
          { state: 'partly', fromMs: 500, toMs: 600 },
          { state: 'ready', fromMs: 600, toMs: 1_000 },
        ],
      },
    ])
  })
})

describe('the memory of a timeline', () => {
  it('is the highest of each bin, by process', () => {
    const sample = (t: number, rssBytes: number): Entry => ({
      ...{ kind: 'memory', t, process: 'hubs', rssBytes, heapBytes: rssBytes / 2 },
    })
    expect(timelineOf([sample(10, 4), sample(20, 6), sample(150, 2)]).memory).toEqual([
      {
        process: 'hubs',
        points: [
          { atMs: 10, rssBytes: 6, heapBytes: 3 },
          { atMs: 150, rssBytes: 2, heapBytes: 1 },
        ],
      },
    ])
  })
})

describe('ledgers as a stream', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealbus-stream-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const lines = (entries: readonly Entry[]): string =>
    entries.map(entry => `${JSON.stringify(entry)}\n`).join('')

  it('come in the order of time, from files longer than a chunk, without a torn last line', () => {
    const a = flow(3_000, 'ä>b#report')
    const b = flow(500, 'b>ä#report', 37)
    const files = [file('a', `${lines(a)}{"kind":"se`), file('b', lines(b)), file('c', '')]
    const merged = [...mergedEntries(files)]
    expect(merged).toEqual([...a, ...b].toSorted((x, y) => x.t - y.t))
  })

  it('are not read past damage', () => {
    const damaged = file('a', `${lines(flow(1))}nonsense\n${lines(flow(1))}`)
    expect(() => [...mergedEntries([damaged])]).toThrow(/a:4: expected one JSON object, got nonsense/)
  })
})
