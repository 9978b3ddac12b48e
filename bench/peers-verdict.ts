/** What became of a load's messages, from its ledgers: the columns of the comparison. */
import { gapMs, laneGaps, longestStall, type Window } from '../chaos/gap.js'
import type { Entry, LaneName } from '../chaos/ledger.js'

/** One library under one fault. */
export interface Verdict {
  readonly name: string
  readonly sent: number
  /** `send()` failed. */
  readonly rejected: number
  /** `send()` never settled. */
  readonly pending: number
  /** Confirmed, and never handled. */
  readonly lost: number
  /** Handler runs beyond the first of a message. */
  readonly duplicated: number
  /** Handled for the first time after a later one of the lane. */
  readonly reordered: number
  /** Longest silence of the worst lane, confirms or deliveries, ms. */
  readonly gapMs: number
  /** How long its load itself stood still, ms: below this a gap says nothing of the library. */
  readonly stallMs: number
  /** A lane never came back: the gap is a lower bound. */
  readonly dead: boolean
  /** A process of the load ended by itself. */
  readonly crashed: boolean
}

/** Judges one library's entries, in the order of writing. */
export function verdictOf(name: string, entries: readonly Entry[], window: Window): Verdict {
  const of = (kind: 'sent' | 'resolved' | 'rejected'): Set<string> => new Set(entries.flatMap(keyIf(kind)))
  const [sent, resolved, rejected] = [of('sent'), of('resolved'), of('rejected')]
  const handled = entries.flatMap(keyIf('handled'))
  const distinct = new Set(handled)
  const gaps = laneGaps(entries, window)
  return {
    name,
    sent: sent.size,
    rejected: rejected.size,
    pending: [...sent].filter(key => !resolved.has(key) && !rejected.has(key)).length,
    lost: [...resolved].filter(key => !distinct.has(key)).length,
    duplicated: handled.length - distinct.size,
    reordered: reordered(entries),
    gapMs: Math.round(Math.max(0, ...gaps.map(gapMs))),
    stallMs: Math.round(longestStall(entries, window)),
    dead: gaps.some(({ dead }) => dead),
    crashed: entries.some(entry => entry.kind === 'fatal' && entry.what !== 'hung'),
  }
}

function keyIf(kind: 'sent' | 'resolved' | 'rejected' | 'handled'): (entry: Entry) => string[] {
  return entry => (entry.kind === kind && 'n' in entry ? [`${entry.lane}:${entry.n}`] : [])
}

function reordered(entries: readonly Entry[]): number {
  const seen = new Set<string>()
  const highest = new Map<LaneName, number>()
  let count = 0
  for (const entry of entries) {
    if (entry.kind !== 'handled' || seen.has(`${entry.lane}:${entry.n}`)) continue
    seen.add(`${entry.lane}:${entry.n}`)
    const before = highest.get(entry.lane) ?? -1
    if (entry.n < before) count++
    highest.set(entry.lane, Math.max(before, entry.n))
  }
  return count
}

/** Nothing was lost, doubled, reordered or refused, and nobody was back sooner by more than this. */
const NOISE_MS = 100

/** Whether one of them did it without a loss and as soon as any. */
export function isBest(own: Verdict, others: readonly Verdict[]): boolean {
  const { rejected, pending, lost, duplicated, reordered, dead, crashed } = own
  const whole = rejected + pending + lost + duplicated + reordered === 0 && !dead && !crashed
  return whole && others.every(other => other.dead || own.gapMs <= other.gapMs + NOISE_MS)
}
