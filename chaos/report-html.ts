/**
 * The report as one page: no request to anywhere (a content security policy forbids them), no script needed to read it,
 * light and dark, any width, paper. The verdicts come first.
 */
import { createHash } from 'node:crypto'
import { gapMs } from './gap.js'
import { anchorOf, badge, brokenOf, runSection, worstMeasure } from './report-html-run.js'
import { STYLE } from './report-html-style.js'
import { count, duration, html, type Markup, verbatim } from './report-html-text.js'
import type { ReportModel, RunModel, RunVerdict } from './report-model.js'

const MOST_OPEN = 3
/** Unfolds everything for paper; without it only what is unfolded is printed. */
const SCRIPT =
  "addEventListener('beforeprint',()=>{for(const d of document.querySelectorAll('details:not([open])')){d.open=true;d.dataset.folded=''}});" +
  "addEventListener('afterprint',()=>{for(const d of document.querySelectorAll('details[data-folded]')){d.open=false;delete d.dataset.folded}})"

/** @returns the whole page */
export function renderHtml(model: ReportModel): string {
  const { runs } = model
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hashOf(SCRIPT)}'; base-uri 'none'; form-action 'none'`
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${`${headline(runs)} · ${model.title}`}</title>
<style>${verbatim(STYLE)}</style>
</head>
<body>
<header>
<p class="product">${model.title}</p>
<h1>${headline(runs)}</h1>
<dl><div><dt>made</dt><dd><time datetime="${model.madeAt}">${model.madeAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}</time></dd></div>
<div><dt>seed</dt><dd><code>${model.seed}</code></dd></div>
<div><dt>run again</dt><dd><code>${model.command}</code></dd></div></dl>
</header>
<main>
${summaryTable(runs)}${runs.map(run => runSection(run, run.verdict !== 'met' || runs.length <= MOST_OPEN))}</main>
<script>${verbatim(SCRIPT)}</script>
</body>
</html>
`
  return page.markup
}

function headline(runs: readonly RunModel[]): string {
  const of = (verdict: RunVerdict): number => runs.filter(run => run.verdict === verdict).length
  if (runs.length === 0) return 'Nothing was run'
  if (of('met') === runs.length)
    return runs.length === 1 ? 'All promises kept' : `All promises kept in ${count(runs.length)} runs`
  const parts = [
    of('not met') > 0 && `${count(of('not met'))} not met`,
    of('no result') > 0 && `${count(of('no result'))} without result`,
    `${count(of('met'))} met`,
  ].filter(part => part !== false)
  return `${parts.join(', ')} of ${count(runs.length)} runs`
}

/** n.b. on a narrow screen each row is a card (CSS), which would take the table's roles away: they are said outright. */
function summaryTable(runs: readonly RunModel[]): Markup {
  if (runs.length === 0) return html``
  const head = COLUMNS.map(
    ({ className, label }) => html`<th role="columnheader" scope="col" class="${className}">${label}</th>`,
  )
  return html`<table role="table" class="summary"><caption>All runs</caption>
<thead role="rowgroup"><tr role="row">${head}</tr></thead>
<tbody role="rowgroup">${runs.map(run => html`<tr role="row">${cellsOf(run).map(cell)}</tr>\n`)}</tbody></table>
`
}

const COLUMNS: readonly { readonly label: string; readonly className: string }[] = [
  { label: 'fault', className: 'title' },
  { label: 'run', className: 'number wide' },
  { label: 'verdict', className: '' },
  { label: 'gap', className: 'number' },
  { label: 'bound', className: 'number wide' },
  { label: 'lost', className: 'number' },
  { label: 'duplicated', className: 'number' },
  { label: 'reordered', className: 'number' },
  { label: 'confirmed', className: 'number wide' },
  { label: 'handled', className: 'number wide' },
]

interface Cell {
  readonly content: Markup | string
  readonly bad?: boolean
}

function cell({ content, bad = false }: Cell, i: number): Markup {
  const { className = '', label = '' } = COLUMNS[i] ?? {}
  return html`<td role="cell" class="${className}${bad && ' bad'}" data-label="${label}">${content}</td>`
}

/** In the order of {@link COLUMNS}. */
function cellsOf(run: RunModel): Cell[] {
  const { totals, verdict } = run
  const { boundMs, gaps = [] } = worstMeasure(run) ?? {}
  const worst = gaps[0]
  const over = worst !== undefined && (worst.dead || (boundMs !== undefined && gapMs(worst) > boundMs))
  const broken = brokenOf(run)
  const numbers = [broken.lost, broken.duplicated, broken.reordered]
  const known = verdict !== 'no result'
  return [
    { content: html`<a href="#${anchorOf(run)}">${`${run.id}: ${run.name}`}</a>` },
    { content: String(run.number) },
    { content: badge(verdict) },
    { content: gapText(run), bad: over && known },
    { content: boundMs === undefined ? '–' : duration(boundMs) },
    ...numbers.map(n => ({ content: known ? count(n) : '–', bad: n > 0 })),
    { content: count(totals.resolved) },
    { content: count(totals.handled) },
  ]
}

function gapText(run: RunModel): string {
  const worst = worstMeasure(run)?.gaps[0]
  if (worst === undefined || run.verdict === 'no result') return '–'
  return worst.dead ? 'for ever' : duration(gapMs(worst))
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
