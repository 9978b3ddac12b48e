/**
 * A run's gaps, each held against its own bound.
 *
 * | measure | series | from |
 * | --- | --- | --- |
 * | `publish` | confirms | the injection |
 * | `delivery` | first deliveries | the injection |
 * | `gap` | both, where they have the same bound | the injection |
 * | `after heal` | both | the end of healing |
 *
 * A scenario without a bound has its gap measured all the same, and is held to nothing but the other invariants.
 */
import { gapMs, type LaneGap, laneGaps } from './gap.js'
import type { Violation } from './invariants.js'
import type { Entry, LaneName } from './ledger.js'
import type { Bound } from './script.js'

/** One of them, in one run. */
export interface Measure {
  readonly name: 'gap' | 'publish' | 'delivery' | 'after heal'
  /** Worst lane, ms. */
  readonly gapMs: number
  /** Undefined: held to nothing. */
  readonly boundMs: number | undefined
  /** Worst first. */
  readonly gaps: readonly LaneGap[]
}

/** The instants of a run that gaps count from, ms since the epoch. */
export interface Instants {
  readonly injectedAt: number
  /** Stretches that begin later do not count. */
  readonly observedUntil: number
  /** The end of healing. */
  readonly healedAt: number
  /** When senders stopped. */
  readonly loadEnd: number
}

/** @param counts - whether a lane is held to the bound */
export function measuresOf(
  entries: readonly Entry[],
  bound: Bound,
  at: Instants,
  counts: (lane: LaneName) => boolean,
): Measure[] {
  const held = (gaps: LaneGap[]): LaneGap[] => gaps.filter(({ lane }) => counts(lane))
  const { loadEnd } = at
  const early = held(laneGaps(entries, { from: at.injectedAt, until: at.observedUntil, loadEnd }))
  const late = held(laneGaps(entries, { from: at.healedAt, until: loadEnd, loadEnd }))
  const { publishMs, deliveryMs, afterHealMs } = bound
  const found = [
    ...(publishMs === deliveryMs && publishMs !== undefined
      ? [measure('gap', early, publishMs)]
      : [
          ...(publishMs === undefined ? [] : [measure('publish', early.map(confirmsOnly), publishMs)]),
          ...(deliveryMs === undefined ? [] : [measure('delivery', early.map(deliveriesOnly), deliveryMs)]),
        ]),
    ...(afterHealMs === undefined ? [] : [measure('after heal', late, afterHealMs)]),
  ]
  return found.length > 0 ? found : [measure('gap', early, undefined)]
}

/** The one that is nearest to its bound, or farthest beyond it. @throws RangeError for none */
export function tightest<T extends Pick<Measure, 'gapMs' | 'boundMs'>>(measures: readonly T[]): T {
  const share = ({ gapMs: ms, boundMs }: T): number => (boundMs === undefined ? 0 : ms / boundMs)
  const [worst] = measures.toSorted((a, b) => share(b) - share(a))
  if (worst === undefined) throw new RangeError('expected at least one measure')
  return worst
}

/** I6. A run without a lane proves nothing, and is a violation. */
export function backInTime(measures: readonly Measure[]): Violation[] {
  return measures.flatMap(({ name, gaps, boundMs }): Violation[] => {
    if (gaps.length === 0) return [{ invariant: 'I6', message: 'no lane sent anything' }]
    if (boundMs === undefined) return []
    return gaps
      .filter(gap => gap.dead || gapMs(gap) > boundMs)
      .map(gap => ({
        invariant: 'I6',
        message: gap.dead ? `${gap.lane}: never came back` : tooLong(name, gap, boundMs),
      }))
  })
}

function tooLong(name: Measure['name'], { lane, confirmMs, deliveryMs }: LaneGap, boundMs: number): string {
  const [confirms, deliveries] = [Math.round(confirmMs), Math.round(deliveryMs)]
  const since = name === 'after heal' ? ' after healing' : ''
  const away =
    name === 'publish'
      ? `confirms away for ${confirms} ms`
      : name === 'delivery'
        ? `deliveries away for ${deliveries} ms`
        : `confirms away for ${confirms} ms, deliveries for ${deliveries} ms`
  return `${lane}: ${away}${since}, bound ${boundMs} ms`
}

function measure(name: Measure['name'], gaps: readonly LaneGap[], boundMs: number | undefined): Measure {
  const sorted = gaps.toSorted((a, b) => gapMs(b) - gapMs(a))
  return { name, gapMs: Math.round(Math.max(0, ...sorted.map(gapMs))), boundMs, gaps: sorted }
}

function confirmsOnly(gap: LaneGap): LaneGap {
  return { ...gap, deliveryMs: 0, dead: gap.confirmsDead ?? gap.dead }
}

function deliveriesOnly(gap: LaneGap): LaneGap {
  return { ...gap, confirmMs: 0, dead: gap.deliveriesDead ?? gap.dead }
}
