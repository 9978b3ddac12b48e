/**
 * The report as one page: no request to anywhere (a content security policy forbids them), no script needed to read it,
 * light and dark, any width, paper. The verdicts come first.
 */
import { createHash } from 'node:crypto'
import { gapMs } from './gap.js'
import { anchorOf, badge, brokenOf, runSection } from './report-html-run.js'
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

function summaryTable(runs: readonly RunModel[]): Markup {
  if (runs.length === 0) return html``
  return html`<table class="summary"><caption>All runs</caption>
<thead><tr><th scope="col">fault</th><th scope="col" class="number wide">run</th><th scope="col">verdict</th><th scope="col" class="number">gap</th><th scope="col" class="number wide">bound</th><th scope="col" class="number">lost</th><th scope="col" class="number"><abbr title="duplicated">dupl.</abbr></th><th scope="col" class="number"><abbr title="reordered">reord.</abbr></th><th scope="col" class="number wide">confirmed</th><th scope="col" class="number wide">handled</th></tr></thead>
<tbody>${runs.map(summaryRow)}</tbody></table>
`
}

function summaryRow(run: RunModel): Markup {
  const { boundMs, totals, verdict, gaps } = run
  const broken = brokenOf(run)
  const worst = gaps[0]
  const numbers = [broken.lost, broken.duplicated, broken.reordered]
  const judged = verdict !== 'no result'
  const over = worst !== undefined && (worst.dead || (boundMs !== undefined && gapMs(worst) > boundMs))
  return html`<tr><td><a href="#${anchorOf(run)}">${`${run.id}: ${run.name}`}</a></td><td class="number wide">${run.number}</td><td>${badge(verdict)}</td>
<td class="number ${over && 'bad'}">${gapText(run)}</td><td class="number wide">${boundMs === undefined ? '–' : duration(boundMs)}</td>${numbers.map(n => html`<td class="number ${n > 0 && 'bad'}">${judged ? count(n) : '–'}</td>`)}<td class="number wide">${count(totals.resolved)}</td><td class="number wide">${count(totals.handled)}</td></tr>
`
}

function gapText({ gaps, verdict }: RunModel): string {
  const worst = gaps[0]
  if (worst === undefined || verdict === 'no result') return '–'
  return worst.dead ? 'for ever' : duration(gapMs(worst))
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
