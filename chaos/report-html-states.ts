/** The panel of connection states, and what states are called. */
import { type Axis, bar, type Panel } from './report-html-chart.js'
import { duration, html } from './report-html-text.js'
import type { ConnectionState, Timeline } from './report-model.js'

const MOST_PARTIES = 24
const ROW_PX = 13

/** A band for each party; where there are many, for those that were away for longest. */
export function connectionPanel({ connections: bands }: Timeline, axis: Axis): Panel | undefined {
  if (bands.length === 0) return undefined
  const shown = bands
    .map(band => ({ ...band, awayMs: awayOf(band.stretches) }))
    .sort((a, b) => b.awayMs - a.awayMs)
    .slice(0, MOST_PARTIES)
    .sort((a, b) => a.party.localeCompare(b.party))
  const row = 100 / shown.length
  const bars = shown.flatMap(({ party, stretches }, i) =>
    stretches.map(stretch => {
      const text = `${party}: ${stretch.state} for ${duration(stretch.toMs - stretch.fromMs)}`
      const className = `state-${stretch.state}`
      return bar(axis, { className, ...stretch, top: i * row + row * 0.1, height: row * 0.8, text })
    }),
  )
  const states = new Set(shown.flatMap(({ stretches }) => stretches.map(({ state }) => state)))
  const worst = shown.toSorted((a, b) => b.awayMs - a.awayMs)[0]
  const more =
    bands.length > shown.length ? ` (${shown.length} of ${bands.length}: those away for longest)` : ''
  return {
    title: `Connection state${more}`,
    legend: [...states].map(state => ({ className: `state-${state}`, label: STATE_WORDS[state] })),
    summary: `Parties: ${bands.length}; longest not ready: ${worst?.party ?? ''}, ${duration(worst?.awayMs ?? 0)} in all.`,
    height: Math.max(shown.length, 2) * ROW_PX,
    labels: shown.map(({ party }, i) => ({ at: (i + 0.5) / shown.length, label: party })),
    ruled: false,
    drawing: html`${bars}`,
  }
}

export const STATE_WORDS: Readonly<Record<ConnectionState, string>> = {
  connecting: 'connecting',
  ready: 'ready',
  partly: 'one connection away',
  blocked: 'blocked by an alarm',
  unauthorised: 'refused',
  paused: 'paused',
  draining: 'draining',
  closed: 'closed',
}

/** Ms in which a party was neither ready nor ending. */
export function awayOf(stretches: Timeline['connections'][number]['stretches']): number {
  const fine: ReadonlySet<ConnectionState> = new Set(['ready', 'draining', 'closed'])
  return stretches
    .filter(({ state }) => !fine.has(state))
    .reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
}
