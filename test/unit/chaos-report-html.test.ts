import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../chaos/ledger.js'
import { renderHtml } from '../../chaos/report-html.js'
import { linePath } from '../../chaos/report-html-chart.js'
import { ticks, timeStep } from '../../chaos/report-html-scale.js'
import { COLOURS } from '../../chaos/report-html-style.js'
import { clock, count, duration } from '../../chaos/report-html-text.js'
import type { GapMeasure } from '../../chaos/report-model.js'
import { runModel } from '../../chaos/report-run.js'
import { facts, flow, LANE, measureOf, report, threeRuns } from '../support/chaos-entries.js'

/** Relative luminance and contrast of WCAG 2.2. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, blue = 0] = [1, 3, 5].map(i => {
      const value = Number.parseInt(colour.slice(i, i + 2), 16) / 255
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue
  }
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

const page = renderHtml(report(...threeRuns()))

describe('the page', () => {
  it('begins with what was met, what was not, and what has no result', () => {
    expect(page).toContain('<h1>1 not met, 1 without result, 1 met of 3 runs</h1>')
    expect(renderHtml(report(...threeRuns().slice(0, 1)))).toContain('<h1>All promises kept</h1>')
    expect(renderHtml(report())).toContain('<h1>Nothing was run</h1>')
    expect(page.indexOf('<caption>All runs')).toBeLessThan(page.indexOf('<article'))
  })

  it('names each lost message with its lane, numbers and epoch', () => {
    expect(page).toContain(
      '3 lost of 30 messages. Longest gap 1\u202f150\u00a0ms of 3\u202f000\u00a0ms allowed',
    )
    expect(page).toMatch(
      /<td>lost<\/td><td><code>heh-1&gt;vpp-1#report<\/code><\/td>\s*<td class="number">7–9<\/td>/,
    )
    expect(page).toContain('<code>14b3c9043ce002ac</code>')
  })

  it('never calls a run without result a pass, and says why it has none', () => {
    expect(page).toContain('<b>No result:</b> not injected: no root')
    expect(page).toContain('This run proves nothing')
  })

  it('leads from each row to its run', () => {
    const targets = [...page.matchAll(/href="#([^"]+)"/g)].map(match => match[1])
    expect(targets).toHaveLength(3)
    for (const target of targets) expect(page).toContain(`id="${target ?? ''}"`)
  })

  it('holds the seed and the command of every run', () => {
    expect(page.match(/<code>abc\/2\/1<\/code>/g)).toHaveLength(3)
    expect(page).toContain('<code>sealbus chaos run --seed abc</code>')
  })

  it('asks nothing of any network, and lets only its own script run', () => {
    const script = /<script>([\s\S]*?)<\/script>/.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(script).digest('base64')
    expect(page).toContain(`script-src &#39;sha256-${hash}&#39;`)
    expect(page).toContain('default-src &#39;none&#39;')
    expect(page).not.toMatch(/\b(?:src|action)="|href="(?!#)|url\(|@import|https?:/)
  })

  it('makes no markup of anything that a ledger says', () => {
    const lane = `<script>alert(1)</script>"'&>vpp-1#report`
    const hostile = [
      ...flow(30, lane).filter(entry => entry.kind !== 'handled'),
      { kind: 'event', t: 50, party: lane, name: 'status', detail: { state: 'connecting' } },
    ] as Entry[]
    const text = renderHtml(
      report(
        runModel(
          facts({
            ...{
              id: lane,
              name: lane,
              seed: lane,
              command: lane,
              description: lane,
              error: lane,
              notes: [lane],
            },
            configuration: [{ name: lane, value: lane }],
            faults: [{ name: lane, injectedAt: 100 }],
            measures: [{ name: lane, gapMs: 1, gaps: [{ lane, confirmMs: 1, deliveryMs: 1, dead: true }] }],
            violations: [{ invariant: 'I1', message: lane }],
          }),
          hostile,
        ),
      ),
    )
    expect(text).not.toContain('<script>alert')
    expect(text).not.toContain(`"'&>`)
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;&gt;vpp-1#report')
    expect(text.match(/<script/g)).toHaveLength(1)
  })

  it('has a text for every chart, and its numbers as a table', () => {
    const charts = [...page.matchAll(/<svg role="img" aria-label="([^"]*)"/g)].map(match => match[1])
    expect(charts).toContain('Messages per second. 30 sent, 30 confirmed, 27 handled; at most 10 a second.')
    expect(charts.every(text => (text ?? '').length > 20)).toBe(true)
    expect(page).toContain('The timeline in numbers')
  })

  it('opens and closes its elements in pairs', () => {
    const open: string[] = []
    const single = new Set(['meta', 'path', '!doctype', 'rect'])
    for (const [, slash, name = ''] of page.matchAll(/<(\/?)([a-z!]+[0-9]?)[^>]*>/g)) {
      if (slash === '/') expect(name === 'rect' ? name : open.pop()).toBe(name)
      else if (!single.has(name)) open.push(name)
    }
    expect(open).toEqual([])
  })
})

describe('the colours of the page', () => {
  const words = ['text', 'quiet', 'link', 'good', 'bad', 'open', 'fault']
  const marks = ['sent', 'confirm', 'handle', 'lineC', 'lineD']
  it.each([
    ['light', 0],
    ['dark', 1],
  ] as const)('can be told from their ground, %s', (_, scheme) => {
    const grounds = ['ground', 'raised'].map(name => COLOURS[name]?.[scheme] ?? '')
    for (const ground of grounds) {
      for (const name of words)
        expect(contrast(COLOURS[name]?.[scheme] ?? '', ground), name).toBeGreaterThanOrEqual(4.5)
      for (const name of marks)
        expect(contrast(COLOURS[name]?.[scheme] ?? '', ground), name).toBeGreaterThanOrEqual(3)
    }
  })
})

describe('a chart', () => {
  it('leaves a hole where there is no value, and shows a value that stands alone', () => {
    expect(linePath([0, 1, 2, 3, 4], [5, 6, null, 7, null])).toBe('M0 5L1 6M3 7h0')
  })

  it('has round ticks', () => {
    expect(ticks(0, 137, 4, String).map(({ at }) => at)).toEqual([0, 50, 100])
    expect([timeStep(27_000, 8), timeStep(600_000, 8), timeStep(3_600_000, 8)]).toEqual([
      5_000, 120_000, 600_000,
    ])
  })

  it('writes numbers as people read them', () => {
    expect([count(1_234_567), duration(999), duration(12_345), duration(900_000)]).toEqual([
      '1\u202f234\u202f567',
      '999\u00a0ms',
      '12.3\u00a0s',
      '15.0\u00a0min',
    ])
    expect([clock(0), clock(-1_600), clock(754_000)]).toEqual(['0', '-1.6\u00a0s', '12:34'])
  })
})

describe('the gap of a run', () => {
  const gapOf = (...measures: GapMeasure[]): string => {
    const text = renderHtml(report(runModel(facts({ measures }), flow(10))))
    return (
      /Longest gap [^(]*/
        .exec(text)?.[0]
        .replaceAll(/[\u00a0\u202f]/g, ' ')
        .trim() ?? ''
    )
  }

  it('is that of the measure which came closest to its own bound', () => {
    const publish = { ...measureOf(8_000, 5_000, 0), name: 'publish' }
    const delivery = { ...measureOf(30_000, 0, 12_000), name: 'delivery' }
    expect(gapOf(publish, delivery)).toBe('Longest gap 5 000 ms of 8 000 ms allowed')
    expect(gapOf(publish, { ...delivery, gapMs: 29_000 })).toBe('Longest gap 12.0 s of 30.0 s allowed')
    expect(gapOf(measureOf(undefined, 7, 8))).toBe('Longest gap 8 ms')
  })

  it('stands in a table of its own for each measure', () => {
    const measures = ['gap', 'after heal'].map(name => ({ ...measureOf(3_000, 1, 2), name }))
    const text = renderHtml(report(runModel(facts({ measures }), flow(10))))
    expect(text).toContain('Gap of each lane, bound 3\u202f000\u00a0ms')
    expect(text).toContain('Gap after healing of each lane, bound 3\u202f000\u00a0ms')
  })
})

describe('a model of a run', () => {
  it('leaves the verdict to the judge: what a scenario allows is named and breaks nothing', () => {
    const again: Entry = { kind: 'handled', t: 5_000, lane: LANE, n: 2, from: 'heh-1' }
    const run = runModel(facts(), [...flow(10), again])
    expect(run.verdict).toBe('met')
    expect(run.invariants[1]).toMatchObject({ verdict: 'held', messages: [{ what: 'duplicated', fromN: 2 }] })
    expect(renderHtml(report(run))).toContain('What the scenario allows')
  })

  it('judges no bound where there is none, and nothing where there was no run', () => {
    const verdicts = (changes: Parameters<typeof facts>[0]): string[] =>
      runModel(facts(changes), flow(3)).invariants.map(({ verdict }) => verdict)
    expect(verdicts({ measures: [measureOf(1, 1, 1)] })).toEqual(Array(6).fill('held'))
    expect(verdicts({}).at(-1)).toBe('not judged')
    expect(verdicts({ error: 'not injected' })).toEqual(Array(6).fill('not judged'))
  })
})
