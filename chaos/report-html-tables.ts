/** The numbers of a run as tables: promises, the messages that broke them, gaps, faults, the series, the configuration. */
import { gapMs, type LaneGap } from './gap.js'
import { originOf } from './report-html-panels.js'
import { awayOf, STATE_WORDS } from './report-html-states.js'
import { clock, count, duration, html, type Markup, mebibytes, plural } from './report-html-text.js'
import type {
  GapMeasure,
  InvariantVerdict,
  Latency,
  NamedMessages,
  RunModel,
  Timeline,
} from './report-model.js'
import { percentile } from './timeline-series.js'

const MOST_ROWS = 40
const GAPS_SHOWN = 8
const MEASURED: Readonly<Record<string, string>> = {
  gap: 'Gap',
  publish: 'Gap of confirms',
  delivery: 'Gap of deliveries',
  'after heal': 'Gap after healing',
}
const WORDS = { held: '✓ held', broken: '✗ broken', 'not judged': '– not judged' } as const

/** I1 to I6. */
export function invariantTable({ invariants }: RunModel): Markup {
  return html`<table class="invariants"><caption>Promises</caption>
<thead><tr><th scope="col"></th><th scope="col">asks</th><th scope="col">verdict</th></tr></thead>
<tbody>${invariants.map(
    ({ invariant, asks, verdict, violations }) => html`<tr class="${classOf(verdict)}">
<th scope="row">${invariant}</th><td>${asks}${violations.length > 0 && list(violations)}</td><td class="verdict">${WORDS[verdict]}</td></tr>
`,
  )}</tbody></table>
`
}

/** Each message that broke a promise: lost, duplicated, reordered, left pending, rejected. */
export function messageTable(run: RunModel): Markup {
  const messages = run.invariants.filter(isBroken).flatMap(invariant => invariant.messages)
  return messages.length === 0 ? html`` : named(run, 'Messages that broke a promise', messages)
}

/** What happened to messages and is allowed by the scenario. */
export function allowedTable(run: RunModel): Markup {
  const messages = run.invariants.filter(each => !isBroken(each)).flatMap(invariant => invariant.messages)
  if (messages.length === 0) return html``
  const caption = 'What the scenario allows'
  return html`<details><summary>${caption}</summary>${named(run, caption, messages)}</details>
`
}

function isBroken({ verdict }: InvariantVerdict): boolean {
  return verdict === 'broken'
}

function named(run: RunModel, caption: string, messages: readonly NamedMessages[]): Markup {
  return html`<div class="scroll" tabindex="0"><table><caption>${caption}</caption>
<thead><tr><th scope="col">what</th><th scope="col">lane</th><th scope="col" class="number">message</th><th scope="col">epoch</th><th scope="col" class="number">number</th><th scope="col" class="number">at</th></tr></thead>
<tbody>${messages.map(
    each => html`<tr><td>${each.what}${each.code !== undefined && html` (${each.code})`}</td><td><code>${each.lane}</code></td>
<td class="number">${span(each.fromN, each.toN)}</td><td>${each.epoch !== undefined && html`<code>${each.epoch}</code>`}</td>
<td class="number">${each.fromSeq !== undefined && span(each.fromSeq, each.toSeq ?? each.fromSeq)}</td><td class="number">${clock(each.atMs - originOf(run))}</td></tr>
`,
  )}</tbody></table></div>
`
}

/** Every lane's gap against its bound, for each measure; the worst in sight, the others folded. */
export function gapTables({ measures }: RunModel): Markup {
  return html`${measures.map(gapTable)}`
}

function gapTable({ name, gaps, boundMs }: GapMeasure): Markup {
  if (gaps.length === 0) return html``
  const most = Math.max(boundMs ?? 0, ...gaps.map(gapMs))
  const rows = gaps.map(gap => gapRow(gap, boundMs, most))
  const bound = boundMs === undefined ? '' : `, bound ${duration(boundMs)}`
  const table = (caption: string, part: readonly Markup[]): Markup =>
    html`<div class="scroll" tabindex="0"><table class="gaps"><caption>${caption}</caption>
<thead><tr><th scope="col">lane</th><th scope="col" class="number">confirms</th><th scope="col" class="number">deliveries</th><th scope="col" class="gauge-column"><span class="unseen">of the bound</span></th></tr></thead>
<tbody>${part}</tbody></table></div>
`
  const rest = rows.slice(GAPS_SHOWN)
  return html`${table(`${MEASURED[name] ?? name} of each lane${bound}`, rows.slice(0, GAPS_SHOWN))}${
    rest.length > 0 &&
    html`<details><summary>${plural(rest.length, 'more lane')}</summary>${table('The other lanes', rest)}</details>
`
  }`
}

/** For runs with many faults, where names do not fit above a chart. */
export function faultTable(run: RunModel): Markup {
  const { faults, timeline } = run
  if (faults.length <= 1) return html``
  return html`<details><summary>${plural(faults.length, 'fault')}, one by one</summary><div class="scroll" tabindex="0"><table><caption>Faults</caption>
<thead><tr><th scope="col">fault</th><th scope="col" class="number">at</th><th scope="col" class="number">lasted</th><th scope="col" class="number">longest silence</th></tr></thead>
<tbody>${faults.map(({ name, injectedMs, healedMs }) => {
    const end = healedMs ?? run.durationMs
    const touching = timeline.silences.find(({ fromMs, toMs }) => fromMs <= end && toMs > injectedMs)
    return html`<tr><td>${name}</td><td class="number">${clock(injectedMs)}</td><td class="number">${duration(end - injectedMs)}${healedMs === undefined && ' (not healed)'}</td>
<td class="number">${touching === undefined ? '< 200\u00a0ms' : duration(touching.toMs - touching.fromMs)}</td></tr>
`
  })}</tbody></table></div></details>
`
}

/** The lines of the charts, as numbers. */
export function seriesTable(run: RunModel): Markup {
  const { timeline } = run
  const { sent, binMs } = timeline
  if (sent.length <= 1) return html``
  const every = Math.ceil(sent.length / MOST_ROWS)
  const rows = Array.from({ length: Math.ceil(sent.length / every) }, (_, i) => i * every)
  return html`<details><summary>The timeline in numbers</summary><div class="scroll" tabindex="0"><table><caption>Sums of ${duration(every * binMs)} each; p50 is the middle one of the bins of ${duration(binMs)}, p99 the highest</caption>
<thead><tr><th scope="col" class="number">from</th><th scope="col" class="number">sent</th><th scope="col" class="number">confirmed</th><th scope="col" class="number">handled</th><th scope="col" class="number">to confirmed p50</th><th scope="col" class="number">p99</th><th scope="col" class="number">to handled p50</th><th scope="col" class="number">p99</th></tr></thead>
<tbody>${rows.map(at => seriesRow(timeline, at, every, originOf(run)))}</tbody></table></div></details>
`
}

/** How long each party was in which state. */
export function connectionTable({ timeline }: RunModel): Markup {
  const bands = timeline.connections
  if (bands.length === 0) return html``
  return html`<details><summary>Connections in numbers</summary><div class="scroll" tabindex="0"><table><caption>Time in each state</caption>
<thead><tr><th scope="col">party</th><th scope="col" class="number">not ready</th><th scope="col" class="number">times lost</th><th scope="col">states</th></tr></thead>
<tbody>${bands.map(({ party, stretches }) => {
    const sums = new Map<keyof typeof STATE_WORDS, number>()
    for (const { state, fromMs, toMs } of stretches) sums.set(state, (sums.get(state) ?? 0) + toMs - fromMs)
    const states = [...sums].map(([state, ms]) => `${STATE_WORDS[state]} ${duration(ms)}`)
    const lost = stretches.filter(({ state }, i) => i > 0 && state === 'connecting').length
    return html`<tr><td>${party}</td><td class="number">${duration(awayOf(stretches))}</td><td class="number">${lost}</td><td>${states.join(', ')}</td></tr>
`
  })}</tbody></table></div></details>
`
}

/** Each process's memory: first, highest, last. */
export function memoryTable({ timeline }: RunModel): Markup {
  if (timeline.memory.length === 0) return html``
  return html`<details><summary>Memory in numbers</summary><div class="scroll" tabindex="0"><table><caption>Resident memory and JavaScript heap</caption>
<thead><tr><th scope="col">process</th><th scope="col" class="number">resident: first</th><th scope="col" class="number">highest</th><th scope="col" class="number">last</th><th scope="col" class="number">heap: highest</th></tr></thead>
<tbody>${timeline.memory.map(({ process, points }) => {
    const [first, last] = [points[0], points.at(-1)]
    const highest = Math.max(...points.map(({ rssBytes }) => rssBytes))
    const heap = Math.max(...points.map(({ heapBytes }) => heapBytes))
    return html`<tr><td>${process}</td>${[first?.rssBytes ?? 0, highest, last?.rssBytes ?? 0, heap].map(bytes => html`<td class="number">${mebibytes(bytes)}</td>`)}</tr>
`
  })}</tbody></table></div></details>
`
}

/** How to have it again, and what it ran on. */
export function configurationList({ seed, command, configuration, startedAt, totals }: RunModel): Markup {
  const rows = [
    { name: 'seed', value: seed },
    { name: 'run again', value: command },
    { name: 'began', value: startedAt > 0 ? new Date(startedAt).toISOString() : 'not at all' },
    ...configuration,
    {
      name: 'messages',
      value: `${count(totals.sent)} sent, ${count(totals.resolved)} confirmed, ${count(totals.rejected)} rejected, ${count(totals.handled)} handled, ${count(totals.placed)} in a named place; lanes stopped by a nack ${count(totals.nacked)} times`,
    },
  ]
  return html`<dl>${rows.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${name === 'seed' || name === 'run again' ? html`<code>${value}</code>` : value}</dd></div>`)}</dl>
`
}

function gapRow(gap: LaneGap, boundMs: number | undefined, most: number): Markup {
  const over = gap.dead || (boundMs !== undefined && gapMs(gap) > boundMs)
  const share = most > 0 ? (gapMs(gap) / most) * 100 : 0
  const mark = boundMs !== undefined && most > 0 ? (boundMs / most) * 100 : undefined
  return html`<tr class="${over && 'bad'}"><td><code>${gap.lane}</code>${gap.dead && html` <b>never came back</b>`}</td><td class="number">${duration(gap.confirmMs)}</td><td class="number">${duration(gap.deliveryMs)}</td>
<td class="gauge-column"><span class="gauge"><i style="width:${share.toFixed(1)}%"></i>${mark !== undefined && html`<b style="left:${mark.toFixed(1)}%"></b>`}</span></td></tr>
`
}

function seriesRow(timeline: Timeline, at: number, every: number, originMs: number): Markup {
  const { sent, resolved, handled, binMs, resolveLatency, handleLatency } = timeline
  const sum = (values: readonly number[]): string =>
    count(values.slice(at, at + every).reduce((a, b) => a + b, 0))
  return html`<tr><td class="number">${clock(at * binMs - originMs)}</td><td class="number">${sum(sent)}</td><td class="number">${sum(resolved)}</td><td class="number">${sum(handled)}</td>${latencyCells(resolveLatency, at, every)}${latencyCells(handleLatency, at, every)}</tr>
`
}

function latencyCells({ p50, p99 }: Latency, at: number, every: number): Markup {
  const middle = p50.slice(at, at + every).filter(value => value !== null)
  const high = p99.slice(at, at + every).filter(value => value !== null)
  const cell = (values: readonly number[], share: number): Markup =>
    html`<td class="number">${
      values.length === 0
        ? '–'
        : duration(
            percentile(
              values.toSorted((a, b) => a - b),
              share,
            ),
          )
    }</td>`
  return html`${cell(middle, 0.5)}${cell(high, 1)}`
}

function span(from: number, to: number): string {
  return from === to ? String(from) : `${from}–${to}`
}

/** `3 lost` of what was named. */
export function countOf(messages: readonly NamedMessages[], what: NamedMessages['what']): number {
  return messages.filter(each => each.what === what).reduce((sum, { fromN, toN }) => sum + toN - fromN + 1, 0)
}

function classOf(verdict: InvariantVerdict['verdict']): string {
  return verdict === 'broken' ? 'bad' : verdict === 'held' ? 'good' : 'open'
}

function list(lines: readonly string[]): Markup {
  return html`<ul>${lines.map(line => html`<li>${line}</li>`)}</ul>`
}
