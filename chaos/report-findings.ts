/**
 * Names each message that broke a promise: lost, duplicated, reordered, pending, rejected, as the judge of invariants.ts
 * counts them, from entries one by one. Numbers that are over are kept as ranges, so a long run needs no more memory than
 * a short one as long as little is broken. A test holds both to the same verdict.
 */
import type { Terms } from './invariants.js'
import type { Entry, LaneName, Rejected, Resolved } from './ledger.js'
import type { NamedMessages, Totals } from './report-model.js'
import { NumberSet } from './report-numbers.js'

/** One message that broke a promise, at an instant. */
interface Finding {
  readonly what: NamedMessages['what']
  readonly n: number
  readonly t: number
  readonly code?: string
}

/** `send()` told their epoch and number; for the others it never resolved. */
const TOLD: ReadonlySet<NamedMessages['what']> = new Set(['lost', 'duplicated', 'reordered'])

/** The messages `n` ≥ `fromN` of a lane went out as numbers `n + shift` of this epoch. */
interface EpochRun {
  readonly fromN: number
  readonly epoch: string
  readonly shift: number
}

interface LaneState {
  readonly handled: NumberSet
  readonly settled: NumberSet
  /** Confirmed and not handled yet, with the time of the confirm. */
  readonly awaited: Map<number, number>
  /** Sent and not settled yet. */
  readonly pending: Map<number, { readonly t: number; readonly deadline: number }>
  readonly epochs: EpochRun[]
  readonly findings: Finding[]
  highest: number
}

export class FindingsMaker {
  readonly #lanes = new Map<LaneName, LaneState>()
  readonly #placed = new Set<string>()
  /** Lanes of processes that were ended on purpose: what they had not settled is nobody's promise. */
  readonly #ended = new Set<LaneName>()
  readonly #totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, handledAgain: 0, placed: 0, nacked: 0 }

  take(entry: Entry): void {
    switch (entry.kind) {
      case 'sent':
        this.#totals.sent++
        if (!this.#lane(entry.lane).settled.has(entry.n)) this.#lane(entry.lane).pending.set(entry.n, entry)
        break
      case 'resolved':
        this.#resolved(entry)
        break
      case 'rejected':
        this.#rejected(entry)
        break
      case 'handled':
        this.#handled(entry.lane, entry.n, entry.t)
        break
      case 'placed':
        this.#totals.placed++
        this.#placed.add(`${entry.epoch}:${entry.seq}`)
        break
      case 'ended':
        for (const lane of entry.lanes) this.#ended.add(lane)
        break
      case 'event':
        if (entry.name === 'lane-stopped') this.#totals.nacked++
    }
  }

  get totals(): Totals {
    return { ...this.#totals }
  }

  /** @param from - time 0 of the result, ms since the epoch */
  finish(from: number, terms: Pick<Terms, 'judgedAt' | 'allowedRejections'>): NamedMessages[] {
    return [...this.#lanes].flatMap(([lane, state]) => {
      const lost = [...state.awaited]
        .filter(([n]) => !this.#placed.has(placeOf(state, n)))
        .map(([n, t]): Finding => ({ what: 'lost', n, t }))
      const pending = [...state.pending]
        .filter(([, { deadline }]) => deadline < terms.judgedAt && !this.#ended.has(lane))
        .map(([n, { t }]): Finding => ({ what: 'pending', n, t }))
      const others = state.findings.filter(
        ({ code }) => code === undefined || !terms.allowedRejections.has(code),
      )
      return inRanges(lane, state, from, [...lost, ...others, ...pending])
    })
  }

  #resolved({ lane: name, n, t, epoch, seq }: Resolved): void {
    this.#totals.resolved++
    const lane = this.#settle(name, n)
    const last = lane.epochs.at(-1)
    if (last?.epoch !== epoch || last.shift !== seq - n) lane.epochs.push({ fromN: n, epoch, shift: seq - n })
    if (!lane.handled.has(n)) lane.awaited.set(n, t)
  }

  #rejected({ lane: name, n, t, code }: Rejected): void {
    this.#totals.rejected++
    this.#settle(name, n).findings.push({ what: 'rejected', n, t, code })
  }

  #handled(name: LaneName, n: number, t: number): void {
    const lane = this.#lane(name)
    if (!lane.handled.add(n)) {
      this.#totals.handledAgain++
      lane.findings.push({ what: 'duplicated', n, t })
      return
    }
    this.#totals.handled++
    lane.awaited.delete(n)
    if (n < lane.highest) lane.findings.push({ what: 'reordered', n, t })
    lane.highest = Math.max(lane.highest, n)
  }

  #settle(name: LaneName, n: number): LaneState {
    const lane = this.#lane(name)
    lane.settled.add(n)
    lane.pending.delete(n)
    return lane
  }

  #lane(name: LaneName): LaneState {
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const fresh: LaneState = {
      handled: new NumberSet(),
      settled: new NumberSet(),
      awaited: new Map(),
      pending: new Map(),
      epochs: [],
      findings: [],
      highest: -1,
    }
    this.#lanes.set(name, fresh)
    return fresh
  }
}

/** The epoch and number under which a message went out; nothing for one whose `send()` never told. */
function sealedAs({ epochs }: LaneState, n: number): { epoch: string; seq: number } | undefined {
  const run = epochs.findLast(({ fromN }) => fromN <= n)
  return run && { epoch: run.epoch, seq: n + run.shift }
}

function placeOf(lane: LaneState, n: number): string {
  const sealed = sealedAs(lane, n)
  return sealed === undefined ? '' : `${sealed.epoch}:${sealed.seq}`
}

/** Neighbours that broke the same promise become one. */
function inRanges(
  lane: LaneName,
  state: LaneState,
  from: number,
  findings: readonly Finding[],
): NamedMessages[] {
  const ranges: NamedMessages[] = []
  const sorted = findings.toSorted((a, b) => a.what.localeCompare(b.what) || a.n - b.n)
  for (const { what, n, t, code } of sorted) {
    const sealed = TOLD.has(what) ? sealedAs(state, n) : undefined
    const last = ranges.at(-1)
    const follows =
      last?.what === what &&
      last.toN === n - 1 &&
      last.code === code &&
      last.epoch === sealed?.epoch &&
      last.toSeq === (sealed && sealed.seq - 1)
    if (last !== undefined && follows) {
      ranges[ranges.length - 1] = { ...last, toN: n, ...(sealed && { toSeq: sealed.seq }) }
      continue
    }
    const where = sealed && { epoch: sealed.epoch, fromSeq: sealed.seq, toSeq: sealed.seq }
    ranges.push({
      what,
      lane,
      fromN: n,
      toN: n,
      ...where,
      atMs: t - from,
      ...(code !== undefined && { code }),
    })
  }
  return ranges
}
