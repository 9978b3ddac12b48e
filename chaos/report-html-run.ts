/** One run on the page: its verdict in a sentence first, then the chart, then everything in numbers. */
import { gapMs } from './gap.js'
import { timelineChart } from './report-html-panels.js'
import {
  allowedTable,
  configurationList,
  connectionTable,
  countOf,
  faultTable,
  gapTables,
  invariantTable,
  memoryTable,
  messageTable,
  seriesTable,
} from './report-html-tables.js'
import { count, duration, html, type Markup } from './report-html-text.js'
import type { GapMeasure, NamedMessages, RunModel, RunVerdict } from './report-model.js'

const MARKS: Readonly<Record<RunVerdict, string>> = { met: '✓', 'not met': '✗', 'no result': '?' }
const CLASSES: Readonly<Record<RunVerdict, string>> = { met: 'good', 'not met': 'bad', 'no result': 'open' }

/** @param open - in sight without a click */
export function runSection(run: RunModel, open: boolean): Markup {
  return html`<details class="run"${open && html` open`}>
<summary><h2>${badge(run.verdict)} ${titleOf(run)}</h2></summary>
<article id="${anchorOf(run)}">
${run.description !== '' && html`<p class="description">${run.description}</p>`}<p class="sentence ${CLASSES[run.verdict]}">${sentenceOf(run)}</p>
${run.error !== undefined && html`<p class="error"><b>No result:</b> ${run.error}</p>`}${messageTable(run)}${timelineChart(run)}
<div class="columns"><div>${invariantTable(run)}</div><div>${gapTables(run)}</div></div>
${faultTable(run)}${allowedTable(run)}${seriesTable(run)}${connectionTable(run)}${memoryTable(run)}${configurationList(run)}${
  run.notes.length > 0 && html`<ul class="notes">${run.notes.map(note => html`<li>${note}</li>`)}</ul>`
}</article>
</details>
`
}

/** Where links to the run lead. n.b. inside what is folded: a browser unfolds it on the way. */
export function anchorOf({ id, number }: RunModel): string {
  return `run-${id.replace(/[^A-Za-z0-9-]/g, '_')}-${number}`
}

export function titleOf({ id, name, number }: RunModel): string {
  return `${id}: ${name}, run ${number}`
}

/** Mark and word: colour alone says nothing. */
export function badge(verdict: RunVerdict): Markup {
  return html`<span class="badge ${CLASSES[verdict]}"><span aria-hidden="true">${MARKS[verdict]}</span> ${verdict}</span>`
}

/** Lost, duplicated, reordered, pending and rejected messages, but for those that the scenario allows. */
export function brokenOf({ invariants }: RunModel): Readonly<Record<NamedMessages['what'], number>> {
  const messages = invariants
    .filter(({ verdict }) => verdict === 'broken')
    .flatMap(invariant => invariant.messages)
  const of = (what: NamedMessages['what']): number => countOf(messages, what)
  return {
    lost: of('lost'),
    duplicated: of('duplicated'),
    reordered: of('reordered'),
    pending: of('pending'),
    rejected: of('rejected'),
  }
}

/** What a reader must know if they read only one sentence. */
function sentenceOf(run: RunModel): string {
  const { totals, verdict } = run
  if (verdict === 'no result')
    return 'This run proves nothing: the fault could not be injected, or not be judged.'
  const broken = Object.entries(brokenOf(run)).filter(([, n]) => n > 0)
  const messages =
    broken.length === 0
      ? `Of ${count(totals.resolved)} confirmed messages none was lost, duplicated or reordered.`
      : `${broken.map(([what, n]) => `${count(n)} ${what}`).join(', ')} of ${count(totals.sent)} messages.`
  const which = run.invariants.filter(each => each.verdict === 'broken')
  const only = which.length === 1 ? ` (${which[0]?.asks ?? ''})` : ''
  const open = run.invariants.filter(each => each.verdict === 'not judged').map(({ invariant }) => invariant)
  const unjudged = open.length > 0 && `Not judged: ${open.join(', ')}.`
  const said = [
    which.length > 0 && `Broken: ${which.map(({ invariant }) => invariant).join(', ')}${only}.`,
    messages,
    gapSentence(run),
    unjudged,
  ]
  return said.filter(part => part !== false && part !== '').join(' ')
}

function gapSentence(run: RunModel): string {
  const measure = worstMeasure(run)
  const worst = measure?.gaps[0]
  if (measure === undefined || worst === undefined) return ''
  if (worst.dead) return `${worst.lane} never came back.`
  const bound = measure.boundMs === undefined ? '' : ` of ${duration(measure.boundMs)} allowed`
  return `Longest gap ${duration(gapMs(worst))}${bound} (${worst.lane}).`
}

/** The measure that came closest to its bound, or passed it by most. */
export function worstMeasure({ measures }: RunModel): GapMeasure | undefined {
  const share = ({ gapMs: ms, boundMs }: GapMeasure): number => (boundMs === undefined ? 0 : ms / boundMs)
  return measures.toSorted((a, b) => share(b) - share(a))[0]
}
