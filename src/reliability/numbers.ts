/**
 * The arithmetic of one lane's numbers: `next`, `open` and `floor` as docs/PROTOCOL.md and docs/DELIVERY.md define
 * them. Pure values: each operation returns the numbers that follow.
 *
 * - `open`: the lowest number that is neither confirmed nor over.
 * - `floor`: the lowest number that may still come. n.b. only what is over (expired, quarantined, …) raises it, and only
 *   once everything below is settled; a confirmation never does: a copy of it may still come.
 */
import type { LaneNumbers } from '../wire.js'

export interface Numbers {
  /** 16 hex digits. */
  readonly epoch: string
  /** The number that the next message gets. */
  readonly next: number
  readonly open: number
  readonly floor: number
  /** Ends (exclusive) of ranges that are over but have something unsettled below them. */
  readonly overEnds: readonly number[]
}

/** Messages that share an envelope: `seq .. seq + count - 1`. */
export interface NumberRange {
  readonly seq: number
  readonly count: number
}

export function startNumbers(epoch: string): Numbers {
  return { epoch, next: 0, open: 0, floor: 0, overEnds: [] }
}

/**
 * The numbers of a lane of a former life: everything from `lowest`, the lowest unsettled one, to `next` is unsettled or was
 * settled before.
 */
export function resumeNumbers(
  { epoch, next, floor, overEnds }: Pick<Numbers, 'epoch' | 'next' | 'floor' | 'overEnds'>,
  lowest: number | undefined,
): Numbers {
  const open = lowest ?? next
  return raise({ epoch, next, open, floor: Math.min(floor, open), overEnds: [] }, lowest, overEnds)
}

/** What an envelope that is sealed now carries; its messages get `next` and the following. */
export function carried(numbers: Numbers): LaneNumbers {
  return { epoch: numbers.epoch, seq: numbers.next, floor: numbers.floor, open: numbers.open }
}

/** `count` numbers are given out. @throws RangeError beyond 2^53 − 1 */
export function taken(numbers: Numbers, count: number): Numbers {
  const next = numbers.next + count
  if (!Number.isSafeInteger(next)) throw new RangeError(`numbers: expected at most 2^53 - 1, got ${next}`)
  return { ...numbers, next }
}

/**
 * A range was confirmed. `lowest` is the lowest number that is still unsettled, undefined when there is none.
 */
export function confirmed(numbers: Numbers, lowest: number | undefined): Numbers {
  return raise(numbers, lowest, numbers.overEnds)
}

/** A range is over: it will never come (again). `lowest` as for {@link confirmed}. */
export function over(numbers: Numbers, range: NumberRange, lowest: number | undefined): Numbers {
  if (range.count === 0) return raise(numbers, lowest, numbers.overEnds)
  return raise(numbers, lowest, [...numbers.overEnds, range.seq + range.count])
}

function raise(numbers: Numbers, lowest: number | undefined, overEnds: readonly number[]): Numbers {
  const open = lowest ?? numbers.next
  const passed = overEnds.filter(end => end <= open)
  return {
    ...numbers,
    open,
    floor: Math.max(numbers.floor, ...passed),
    overEnds: overEnds.filter(end => end > open),
  }
}
