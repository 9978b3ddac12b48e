/**
 * The judge: I1–I5 of docs/DELIVERY.md over the ledgers of one run, after draining; measures.ts judges I6. Pure functions.
 *
 * | | holds when |
 * | --- | --- |
 * | I1 | every resolved message is handled, or in a place with a name |
 * | I2 | every message's effect happened once |
 * | I3 | each lane was handled in the order of sending |
 * | I4 | no crash, no unhandled rejection, no promise pending past its deadline, no rejection but a named final one |
 * | I5 | no process grew by more than its bound |
 * | I6 | confirms and deliveries were back within the fault's bound |
 */
import type { Entry, Handled, LaneName } from './ledger.js'

/** One broken promise. */
export interface Violation {
  readonly invariant: 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6'
  readonly message: string
}

/** What judging needs beside the entries. */
export interface Terms {
  /** When judging began, ms: promises with a later deadline may still pend. */
  readonly judgedAt: number
  /** A process may grow by this much over its first sample. */
  readonly growthLimitBytes: number
  /** Codes with which a send may end; every other one says that a fault reached the caller. */
  readonly allowedRejections: ReadonlySet<string>
  /** So many effects may have happened twice: a receiver died between effect and mark. Default 0. */
  readonly twice?: number
}

/** I1 to I5; measures.ts judges I6, expected.ts what a scenario expects beside them. */
export function judge(entries: readonly Entry[], terms: Terms): Violation[] {
  return [
    ...nothingLost(entries),
    ...onceEach(entries, terms.twice),
    ...inOrder(entries),
    ...nothingBroke(entries, terms),
    ...memoryBounded(entries, terms.growthLimitBytes),
  ]
}

/** I1. n.b. only for ledgers that end after draining. */
export function nothingLost(entries: readonly Entry[]): Violation[] {
  const handled = new Set<string>()
  const placed = new Set<string>()
  for (const entry of entries) {
    if (entry.kind === 'handled') handled.add(`${entry.lane}:${entry.n}`)
    if (entry.kind === 'placed') placed.add(`${entry.epoch}:${entry.seq}`)
  }
  const lost = entries.filter(
    entry =>
      entry.kind === 'resolved' &&
      !handled.has(`${entry.lane}:${entry.n}`) &&
      !placed.has(`${entry.epoch}:${entry.seq}`),
  )
  return grouped('I1', lost, 'resolved, but neither handled nor in a named place')
}

/** I2. @param twice - so many may be */
export function onceEach(entries: readonly Entry[], twice = 0): Violation[] {
  const seen = new Set<string>()
  const again = handledOf(entries).filter(({ lane, n }) => {
    const key = `${lane}:${n}`
    if (seen.has(key)) return true
    seen.add(key)
    return false
  })
  return again.length > twice ? grouped('I2', again, 'handled again') : []
}

/** I3: the first handlings of each lane have rising numbers. */
export function inOrder(entries: readonly Entry[]): Violation[] {
  const seen = new Set<string>()
  const highest = new Map<LaneName, number>()
  const late = handledOf(entries).filter(({ lane, n }) => {
    if (seen.has(`${lane}:${n}`)) return false
    seen.add(`${lane}:${n}`)
    const before = highest.get(lane) ?? -1
    highest.set(lane, Math.max(before, n))
    return n < before
  })
  return grouped('I3', late, 'handled after a later one')
}

/** I4. */
export function nothingBroke(
  entries: readonly Entry[],
  terms: Pick<Terms, 'judgedAt' | 'allowedRejections'>,
): Violation[] {
  const settled = new Set<string>()
  const ended = new Set(entries.flatMap(entry => (entry.kind === 'ended' ? entry.lanes : [])))
  for (const entry of entries)
    if (entry.kind === 'resolved' || entry.kind === 'rejected') settled.add(`${entry.lane}:${entry.n}`)
  const pending = entries.filter(
    entry =>
      entry.kind === 'sent' &&
      entry.deadline < terms.judgedAt &&
      !ended.has(entry.lane) &&
      !settled.has(`${entry.lane}:${entry.n}`),
  )
  const rejected = entries.filter(
    entry => entry.kind === 'rejected' && !terms.allowedRejections.has(entry.code),
  )
  const codes = [...new Set(rejected.map(entry => (entry.kind === 'rejected' ? entry.code : '')))].join(', ')
  return [
    ...entries.flatMap(entry =>
      entry.kind === 'fatal'
        ? [{ invariant: 'I4', message: `${entry.what}: ${entry.message}` } as const]
        : [],
    ),
    ...grouped('I4', pending, 'send() still pending past its deadline'),
    ...grouped('I4', rejected, `send() rejected with ${codes}`),
  ]
}

/** I5: growth over the process's first sample. */
export function memoryBounded(entries: readonly Entry[], growthLimitBytes: number): Violation[] {
  const first = new Map<string, number>()
  const peak = new Map<string, number>()
  for (const entry of entries) {
    if (entry.kind !== 'memory') continue
    if (!first.has(entry.process)) first.set(entry.process, entry.rssBytes)
    peak.set(entry.process, Math.max(entry.rssBytes, peak.get(entry.process) ?? 0))
  }
  return [...peak].flatMap(([name, bytes]) => {
    const grown = bytes - (first.get(name) ?? 0)
    if (grown <= growthLimitBytes) return []
    return [
      {
        invariant: 'I5',
        message: `${name} grew by ${mib(grown)} MiB, allowed are ${mib(growthLimitBytes)}`,
      } as const,
    ]
  })
}

function handledOf(entries: readonly Entry[]): Handled[] {
  return entries.filter(entry => entry.kind === 'handled')
}

/** One violation a lane: how many, and the first of them by number. */
function grouped(invariant: Violation['invariant'], found: readonly Entry[], what: string): Violation[] {
  const lanes = new Map<LaneName, number[]>()
  for (const entry of found) {
    if (!('lane' in entry)) continue
    const numbers = lanes.get(entry.lane)
    if (numbers === undefined) lanes.set(entry.lane, [entry.n])
    else numbers.push(entry.n)
  }
  return [...lanes].map(([lane, numbers]) => {
    const shown = numbers.slice(0, 5).join(', ')
    const more = numbers.length > 5 ? `, … (${numbers.length} of them)` : ''
    return { invariant, message: `${lane}: ${shown}${more} ${what}` }
  })
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}
