/**
 * The parts of a chart. A plot is an SVG of 1000 × 100 units that is stretched over whatever room there is (lines keep their
 * width), and everything to be read stands beside or over it as HTML: so it is sharp and legible at any width.
 */

import { place, type Tick } from './report-html-scale.js'
import { duration, escapeHtml, html, type Markup, verbatim } from './report-html-text.js'

export const PLOT_WIDTH = 1_000
export const PLOT_HEIGHT = 100

/** The time that all panels of a run share. */
export interface Axis {
  readonly durationMs: number
  /** Shown as time 0. */
  readonly originMs: number
  readonly ticks: readonly Tick[]
  readonly faults: readonly { readonly fromMs: number; readonly toMs: number; readonly name: string }[]
}

/** One chart among those that stand above each other. */
export interface Panel {
  readonly title: string
  /** Beside the title: what the lines are. */
  readonly legend: readonly LegendItem[]
  /** The chart in words, for those who do not see it. */
  readonly summary: string
  /** Room in CSS pixels. */
  readonly height: number
  /** Labels at the left: share of the height from the top, 0..1. */
  readonly labels: readonly Tick[]
  /** Lines across at the labels. */
  readonly ruled: boolean
  readonly drawing: Markup
}

export interface LegendItem {
  readonly className: string
  readonly label: string
}

/** @returns 0..1000 */
export function xAt(axis: Axis, ms: number): number {
  return (Math.min(Math.max(ms, 0), axis.durationMs) / Math.max(axis.durationMs, 1)) * PLOT_WIDTH
}

/** The panel: title with legend, labels, plot. */
export function panel(axis: Axis, { title, legend, summary, height, labels, ruled, drawing }: Panel): Markup {
  const ruler = labels.map(({ at }) => `M0 ${place(at * PLOT_HEIGHT)}H${PLOT_WIDTH}`).join('')
  return html`<figure class="panel">
<figcaption><b>${title}</b>${legend.map(legendItem)}</figcaption>
<div class="plot" style="height:${height}px">
<div class="labels" aria-hidden="true">${labels.map(({ at, label }) => html`<span style="top:${place(at * 100)}%">${label}</span>`)}</div>
<svg role="img" aria-label="${`${title}. ${summary}`}" viewBox="0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}" preserveAspectRatio="none">
${shading(axis)}<path class="grid" d="${gridPath(axis)}${ruled && ruler}"/>${drawing}</svg>
</div>
</figure>
`
}

/** The names of the faults above the panels, each over its span. */
export function faultBand(axis: Axis): Markup {
  if (axis.faults.length === 0) return html``
  const few = axis.faults.length <= 3
  return html`<div class="fault-band" aria-hidden="true">${axis.faults.map(({ fromMs, toMs, name }) => {
    const [left, right] = [xAt(axis, fromMs) / 10, xAt(axis, toMs) / 10]
    const text = `${name}: ${duration(toMs - fromMs)}`
    return html`<span style="left:${place(left)}%;width:${place(Math.max(right - left, 0.2))}%" title="${text}">${few && text}</span>`
  })}</div>
`
}

/** Times below the panels. */
export function timeAxis(axis: Axis): Markup {
  return html`<div class="time-axis" aria-hidden="true">${axis.ticks.map(
    ({ at, label }) => html`<span style="left:${place(xAt(axis, at) / 10)}%">${label}</span>`,
  )}</div>
`
}

/** A line through points; a hole where there is no value, a dot where a value stands alone. @param ys - 0..100 from the top */
export function linePath(xs: readonly number[], ys: readonly (number | null)[]): string {
  let path = ''
  for (const [i, y] of ys.entries()) {
    if (y === null) continue
    const follows = i > 0 && ys[i - 1] !== null
    const alone = !follows && (ys[i + 1] ?? null) === null
    path += `${follows ? 'L' : 'M'}${place(xs[i] ?? 0)} ${place(y)}${alone ? 'h0' : ''}`
  }
  return path
}

/** The space between two lines, where both have values. */
export function areaPath(
  xs: readonly number[],
  upper: readonly (number | null)[],
  lower: readonly (number | null)[],
): string {
  let path = ''
  for (let begin = 0; begin < upper.length; begin++) {
    if (upper[begin] === null || lower[begin] === null) continue
    let end = begin
    while (end + 1 < upper.length && upper[end + 1] !== null && lower[end + 1] !== null) end++
    const there = upper.slice(begin, end + 1).map((y, i) => `${place(xs[begin + i] ?? 0)} ${place(y ?? 0)}`)
    const back = lower.slice(begin, end + 1).map((y, i) => `${place(xs[begin + i] ?? 0)} ${place(y ?? 0)}`)
    path += `M${[...there, ...back.reverse()].join('L')}Z`
    begin = end
  }
  return path
}

/** A line or an area of a class. */
export function shape(className: string, d: string): Markup {
  return d === '' ? html`` : html`<path class="${className}" d="${d}"/>`
}

/** A bar from one time to another; its text shows when one points at it. @param top - 0..100 */
export function bar(axis: Axis, { className, fromMs, toMs, top, height, text }: Bar): Markup {
  const x = xAt(axis, fromMs)
  const width = Math.max(xAt(axis, toMs) - x, 0.8)
  return verbatim(
    `<rect class="${className}" x="${place(x)}" y="${place(top)}" width="${place(width)}" height="${place(height)}"><title>${escapeHtml(text)}</title></rect>`,
  )
}

export interface Bar {
  readonly className: string
  readonly fromMs: number
  readonly toMs: number
  readonly top: number
  readonly height: number
  readonly text: string
}

function legendItem({ className, label }: LegendItem): Markup {
  return html` <span class="key"><i class="${className}"></i>${label}</span>`
}

function shading(axis: Axis): Markup {
  const spans = axis.faults.map(({ fromMs, toMs }) => {
    const x = xAt(axis, fromMs)
    return `<rect class="fault" x="${place(x)}" y="0" width="${place(Math.max(xAt(axis, toMs) - x, 0.8))}" height="${PLOT_HEIGHT}"/>`
  })
  return verbatim(spans.join(''))
}

function gridPath(axis: Axis): string {
  return axis.ticks.map(({ at }) => `M${place(xAt(axis, at))} 0V${PLOT_HEIGHT}`).join('')
}
