/**
 * How long the service was away after a fault (I6), from ledgers.
 *
 * For one lane and one series (confirms of the sender; first deliveries at the recipient) the gap is the longest stretch
 * without an entry of that series, of the stretches that touch the time from the injection to the end of the
 * observation; a stretch that began earlier counts from the injection, and for a lane that sent nothing before, from its
 * first send. The gap of a run is the worst over all lanes and both series.
 *
 * This is never shorter than "injection to the first confirm and delivery of a message sent after it", and it does not
 * depend on knowing the instant at which a fault takes effect: a drain begins seconds after its command, and confirms
 * that were already under way when a node died hide nothing. n.b. it needs a steady load: its resolution is the
 * interval between two messages.
 */
import type { Entry, LaneName } from './ledger.js'

/** The time in which gaps are looked for, ms. */
export interface Window {
  /** When the fault was injected. */
  readonly from: number
  /** Stretches that begin later do not count. */
  readonly until: number
  /** When senders stopped: a silence after it is none. */
  readonly loadEnd: number
}

/** The gap of one lane. */
export interface LaneGap {
  readonly lane: LaneName
  /** Longest stretch without a confirm, ms. */
  readonly confirmMs: number
  /** Longest stretch without a first delivery, ms. */
  readonly deliveryMs: number
  /** A series never came back: its gap is a lower bound. */
  readonly dead: boolean
  /** Which of the two. */
  readonly confirmsDead?: boolean
  readonly deliveriesDead?: boolean
}

/**
 * The gap of every lane that sent something before the load's end, worst first. n.b. a lane whose sender was ended on purpose
 * has its load's end there, and cannot come back.
 */
export function laneGaps(entries: readonly Entry[], window: Window): LaneGap[] {
  const firstSent = new Map<LaneName, number>()
  for (const entry of entries) if (entry.kind === 'sent') keepEarliest(firstSent, entry.lane, entry.t)
  const confirms = seriesOf(entries, 'resolved')
  const deliveries = seriesOf(entries, 'handled')
  const ended = endsOf(entries)
  const gaps = [...firstSent].flatMap(([lane, sentAt]) => {
    const end = ended.get(lane)
    if (end !== undefined && end <= window.from) return []
    const { until, loadEnd } = window
    const own = {
      from: Math.max(window.from, sentAt),
      until: Math.min(until, end ?? until),
      loadEnd: Math.min(loadEnd, end ?? loadEnd),
    }
    const confirm = longestSilence(confirms.get(lane) ?? [], own)
    const delivery = longestSilence(deliveries.get(lane) ?? [], own)
    const [confirmsDead, deliveriesDead] = [confirm, delivery].map(({ dead }) => dead && end === undefined)
    const dead = (confirmsDead ?? false) || (deliveriesDead ?? false)
    const which = dead ? { confirmsDead: confirmsDead ?? false, deliveriesDead: deliveriesDead ?? false } : {}
    return [{ lane, confirmMs: confirm.ms, deliveryMs: delivery.ms, dead, ...which }]
  })
  return gaps.sort((a, b) => gapMs(b) - gapMs(a))
}

/** When the sender of a lane was ended. */
function endsOf(entries: readonly Entry[]): Map<LaneName, number> {
  return new Map(
    entries.flatMap(entry =>
      entry.kind === 'ended' ? entry.lanes.map(lane => [lane, entry.t] as const) : [],
    ),
  )
}

/**
 * How long the load itself stood still, ms: the longest stretch in which a lane sent nothing, though its timer was due.
 * Sending waits for nothing, so this is the machine's doing, and gaps of the same size say nothing about the bus.
 */
export function longestStall(entries: readonly Entry[], window: Window): number {
  const sends = new Map<LaneName, number[]>()
  for (const entry of entries) {
    if (entry.kind !== 'sent') continue
    const times = sends.get(entry.lane)
    if (times === undefined) sends.set(entry.lane, [entry.t])
    else times.push(entry.t)
  }
  const ended = endsOf(entries)
  const stalls = [...sends].map(([lane, times]) => {
    if (ended.has(lane)) return 0
    const from = Math.max(window.from, times[0] ?? window.from)
    return longestSilence(times, { ...window, from }).ms
  })
  return Math.max(0, ...stalls)
}

/** The worse of a lane's two series, ms. */
export function gapMs(gap: LaneGap): number {
  return Math.max(gap.confirmMs, gap.deliveryMs)
}

function keepEarliest(times: Map<LaneName, number>, lane: LaneName, t: number): void {
  times.set(lane, Math.min(t, times.get(lane) ?? t))
}

/** Times of each lane's first confirm or first handling of every message, rising. */
function seriesOf(entries: readonly Entry[], kind: 'resolved' | 'handled'): Map<LaneName, number[]> {
  const first = new Map<LaneName, Map<number, number>>()
  for (const entry of entries) {
    if (entry.kind !== kind) continue
    const lane = first.get(entry.lane) ?? new Map<number, number>()
    lane.set(entry.n, Math.min(entry.t, lane.get(entry.n) ?? entry.t))
    first.set(entry.lane, lane)
  }
  return new Map([...first].map(([lane, times]) => [lane, [...times.values()].sort((a, b) => a - b)]))
}

/** @param times - rising, ms */
function longestSilence(times: readonly number[], window: Window): { ms: number; dead: boolean } {
  let worst = 0
  let begin = window.from
  for (const t of times) {
    if (t <= window.from) continue
    if (begin > window.until) return { ms: worst, dead: false }
    worst = Math.max(worst, t - begin)
    begin = t
  }
  // n.b. what was sent last is confirmed after the last send, so a living series reaches past the load's end or stops just before it
  const dead = begin === window.from
  const tail = begin <= window.until ? Math.max(0, window.loadEnd - begin) : 0
  return { ms: Math.max(worst, tail), dead }
}
