/** The panels of a run's timeline: throughput, latency, silences, connections, memory. */
import {
  type Axis,
  areaPath,
  bar,
  faultBand,
  linePath,
  type Panel,
  PLOT_HEIGHT,
  panel,
  shape,
  timeAxis,
  xAt,
} from './report-html-chart.js'
import { niceStep, powerAbove, type Tick, ticks, timeStep } from './report-html-scale.js'
import { connectionPanel } from './report-html-states.js'
import { clock, count, duration, html, type Markup, mebibytes } from './report-html-text.js'
import type { FaultSpan, GapMeasure, RunModel, Silence, Timeline } from './report-model.js'

const SILENCE_ROW_PX = 18
const LINES = ['line-a', 'line-b', 'line-c', 'line-d', 'line-e']

/** The whole timeline; nothing for a run that never got so far. */
export function timelineChart(run: RunModel): Markup {
  const { timeline } = run
  if (run.durationMs <= 0) return html``
  const axis = axisOf(run)
  const panels = [
    throughput(run, axis),
    latency(timeline, axis),
    silences(run, axis),
    connectionPanel(timeline, axis),
    memory(timeline, axis),
  ]
  return html`<div class="timeline">
${faultBand(axis)}${panels.map(each => each && panel(axis, each))}${timeAxis(axis)}</div>
`
}

/** Time 0 is the injection; where there are several faults, the start. */
export function originOf({ faults }: RunModel): number {
  return faults.length === 1 ? (faults[0]?.injectedMs ?? 0) : 0
}

function axisOf(run: RunModel): Axis {
  const { durationMs } = run
  const originMs = originOf(run)
  const step = timeStep(durationMs, 8)
  const first = Math.ceil(-originMs / step)
  const times = Array.from({ length: 20 }, (_, i) => (first + i) * step).filter(
    t => t + originMs <= durationMs,
  )
  return {
    durationMs,
    originMs,
    ticks: times.map(t => ({ at: t + originMs, label: clock(t) })),
    faults: run.faults.map(({ name, injectedMs, healedMs }) => ({
      name,
      fromMs: injectedMs,
      toMs: healedMs ?? durationMs,
    })),
  }
}

function binCentres({ binMs, sent }: Timeline, axis: Axis): number[] {
  return sent.map((_, i) => xAt(axis, (i + 0.5) * binMs))
}

function throughput({ timeline, totals }: RunModel, axis: Axis): Panel {
  const { binMs, sent, resolved, handled } = timeline
  const rate = (counts: readonly number[]): number[] => counts.map(n => (n * 1_000) / binMs)
  const series = [rate(sent), rate(resolved), rate(handled)] as const
  const peak = Math.max(1, ...series.flat())
  const top = Math.ceil(peak / niceStep(peak / 4)) * niceStep(peak / 4)
  const ys = series.map(values => values.map(value => (1 - value / top) * PLOT_HEIGHT))
  const xs = binCentres(timeline, axis)
  const [ySent = [], yResolved = [], yHandled = []] = ys
  const floor = yHandled.map(() => PLOT_HEIGHT)
  return {
    title: 'Messages per second',
    legend: [
      { className: 'line-sent', label: 'sent' },
      { className: 'line-confirm', label: 'confirmed' },
      { className: 'line-handle', label: 'handled' },
    ],
    summary: `${count(totals.sent)} sent, ${count(totals.resolved)} confirmed, ${count(totals.handled)} handled; at most ${count(peak)} a second.`,
    height: 120,
    labels: labelsUp(ticks(0, top, 4, count), top),
    ruled: true,
    drawing: html`${shape('area-handle', areaPath(xs, yHandled, floor))}${shape('line-handle', linePath(xs, yHandled))}${shape('line-confirm', linePath(xs, yResolved))}${shape('line-sent', linePath(xs, ySent))}`,
  }
}

function latency(timeline: Timeline, axis: Axis): Panel {
  const { resolveLatency, handleLatency } = timeline
  const highest = Math.max(10, ...valuesOf(resolveLatency.p99), ...valuesOf(handleLatency.p99))
  const decades = Math.log10(powerAbove(highest))
  const y = (ms: number | null): number | null =>
    ms === null ? null : (1 - Math.log10(Math.max(ms, 1)) / decades) * PLOT_HEIGHT
  const xs = binCentres(timeline, axis)
  const band = (name: string, { p50, p99 }: typeof resolveLatency): Markup =>
    html`${shape(`area-${name}`, areaPath(xs, p99.map(y), p50.map(y)))}${shape(`line-${name}`, linePath(xs, p50.map(y)))}`
  const labels = Array.from({ length: decades + 1 }, (_, i) => ({
    at: 1 - i / decades,
    label: i < 3 ? `${10 ** i}\u00a0ms` : `${count(10 ** (i - 3))}\u00a0s`,
  }))
  return {
    title: 'Time from send, logarithmic',
    legend: [
      { className: 'line-confirm', label: 'to confirmed' },
      { className: 'line-handle', label: 'to handled' },
      { className: 'area-key', label: 'line p50, shade up to p99' },
    ],
    summary: `Highest 99th percentile of a bin: ${duration(Math.max(0, ...valuesOf(resolveLatency.p99)))} to confirmed, ${duration(Math.max(0, ...valuesOf(handleLatency.p99)))} to handled.`,
    height: 120,
    labels,
    ruled: true,
    drawing: html`${band('confirm', resolveLatency)}${band('handle', handleLatency)}`,
  }
}

function silences({ timeline, measures, faults }: RunModel, axis: Axis): Panel {
  const rows = ['confirms', 'deliveries'] as const
  const bars = timeline.silences.map(silence =>
    bar(axis, {
      className: silence.series === 'confirms' ? 'bar-confirm' : 'bar-handle',
      ...silence,
      top: rows.indexOf(silence.series) * 50 + 12,
      height: 26,
      text: `${silence.lane}: no ${silence.series} for ${duration(silence.toMs - silence.fromMs)}`,
    }),
  )
  const bounds = measures.flatMap(measure => faults.flatMap(fault => boundBars(axis, measure, fault)))
  const bounded = measures.flatMap(({ boundMs }) => (boundMs === undefined ? [] : [duration(boundMs)]))
  const longest = rows.map(series => longestOf(timeline.silences, series))
  return {
    title: 'Silences of a lane, from 200 ms',
    legend: [
      ...rows.map((series, i) => ({
        className: i === 0 ? 'bar-confirm' : 'bar-handle',
        label: longest[i] === undefined ? `${series}: none` : `${series}: longest ${spanText(longest[i])}`,
      })),
      ...(bounded.length === 0 ? [] : [{ className: 'bar-bound', label: `bound ${bounded.join(', ')}` }]),
    ],
    summary: longest
      .map(silence =>
        silence === undefined ? '' : `No ${silence.series} in ${silence.lane} for ${spanText(silence)}.`,
      )
      .join(' '),
    height: 2 * SILENCE_ROW_PX,
    labels: [
      { at: 0.25, label: 'confirms' },
      { at: 0.75, label: 'deliveries' },
    ],
    ruled: false,
    drawing: html`${bounds}${bars}`,
  }
}

/** From where a measure counts to where its bound ends: over the confirms, the deliveries or both. */
function boundBars(axis: Axis, { name, boundMs }: GapMeasure, { injectedMs, healedMs }: FaultSpan): Markup[] {
  const fromMs = name === 'after heal' ? healedMs : injectedMs
  if (boundMs === undefined || fromMs === undefined) return []
  const rows = name === 'publish' ? [0] : name === 'delivery' ? [1] : [0, 1]
  const span = { fromMs, toMs: fromMs + boundMs, text: `${name}: bound ${duration(boundMs)}` }
  return rows.map(row => bar(axis, { className: 'bar-bound', ...span, top: row * 50 + 4, height: 42 }))
}

function memory({ memory: curves }: Timeline, axis: Axis): Panel | undefined {
  const peak =
    Math.max(0, ...curves.flatMap(({ points }) => points.map(({ rssBytes }) => rssBytes))) / 2 ** 20
  if (peak === 0) return undefined
  const top = Math.ceil(peak / niceStep(peak / 3)) * niceStep(peak / 3)
  const drawing = curves.map(({ points }, i) => {
    const xs = points.map(({ atMs }) => xAt(axis, atMs))
    const ys = points.map(({ rssBytes }) => (1 - rssBytes / 2 ** 20 / top) * PLOT_HEIGHT)
    return shape(LINES[i % LINES.length] ?? '', linePath(xs, ys))
  })
  const ends = curves.map(({ process, points }) => {
    const [first, last] = [points[0], points.at(-1)]
    return `${process} from ${mebibytes(first?.rssBytes ?? 0)} to ${mebibytes(last?.rssBytes ?? 0)}`
  })
  return {
    title: 'Resident memory, MiB',
    legend: curves.map(({ process }, i) => ({ className: LINES[i % LINES.length] ?? '', label: process })),
    summary: `${ends.join('; ')}.`,
    height: 90,
    labels: labelsUp(ticks(0, top, 3, count), top),
    ruled: true,
    drawing: html`${drawing}`,
  }
}

function labelsUp(values: readonly Tick[], top: number): Tick[] {
  return values.map(({ at, label }) => ({ at: 1 - at / top, label }))
}

function valuesOf(series: readonly (number | null)[]): number[] {
  return series.filter(value => value !== null)
}

function longestOf(all: readonly Silence[], series: Silence['series']): Silence | undefined {
  return all.find(silence => silence.series === series)
}

function spanText(silence: Silence | undefined): string {
  return duration((silence?.toMs ?? 0) - (silence?.fromMs ?? 0))
}
