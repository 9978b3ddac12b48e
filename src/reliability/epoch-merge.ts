/**
 * Two memories of one epoch as one: what a worker knows itself, and what others have written. A number that either has
 * used up is used up; one that either has skipped, and the other has not used, is skipped. Pure.
 */
import { MAX_LISTED, WINDOW } from './epoch.js'
import type { EpochRecord } from './seen.js'

const MAX_HASHES = 64

/** @returns `ours` with all that `theirs` knows */
export function mergeRecords(ours: EpochRecord, theirs: EpochRecord): EpochRecord {
  const { start, next, beyond, floor } = joined(ours, theirs)
  const [usedByUs, usedByThem] = [usage(ours), usage(theirs)]
  const skipped = new Set([...theirs.skipped, ...ours.skipped])
  for (const seq of skipped) if (usedByUs(seq) || usedByThem(seq)) skipped.delete(seq)
  return {
    ...ours,
    ...{ start, next, floor, beyond },
    skipped: [...skipped].sort((a, b) => a - b).slice(-MAX_LISTED),
    parked: [...new Set([...theirs.parked, ...ours.parked])].slice(-MAX_LISTED),
    hashes: [...new Map([...theirs.hashes, ...ours.hashes])].slice(-MAX_HASHES),
    lastCreatedAtMs: Math.max(ours.lastCreatedAtMs, theirs.lastCreatedAtMs),
  }
}

/** Whether a number was used up by a message that came, not by being skipped. */
function usage(record: EpochRecord): (seq: number) => boolean {
  const [skipped, beyond] = [new Set(record.skipped), new Set(record.beyond)]
  return seq => !skipped.has(seq) && ((seq >= record.start && seq < record.next) || beyond.has(seq))
}

/**
 * One contiguous run and what lies apart from it. Where the two runs do not touch, the shorter one is listed; n.b. where it is too long for that the upper
 * one counts, and the floor rises over what lies between: late if it comes, never taken for seen.
 */
function joined(a: EpochRecord, b: EpochRecord): Pick<EpochRecord, 'start' | 'next' | 'beyond' | 'floor'> {
  const floor = Math.max(a.floor, b.floor)
  const beyond = new Set([...a.beyond, ...b.beyond])
  const [lower, upper] = a.start <= b.start ? [a, b] : [b, a]
  if (isEmpty(upper)) return run(lower.start, lower.next, beyond, floor)
  if (isEmpty(lower)) return run(upper.start, upper.next, beyond, floor)
  if (lower.next >= upper.start) return run(lower.start, Math.max(lower.next, upper.next), beyond, floor)
  const shorter = lower.next - lower.start < upper.next - upper.start ? lower : upper
  const longer = shorter === lower ? upper : lower
  if (shorter.next - shorter.start > WINDOW)
    return run(upper.start, upper.next, beyond, Math.max(floor, upper.start))
  for (let seq = shorter.start; seq < shorter.next; seq++) beyond.add(seq)
  return run(longer.start, longer.next, beyond, floor)
}

function isEmpty(record: EpochRecord): boolean {
  return record.start === record.next
}

/** Takes up what touches the run; what lies below the floor needs no list. */
function run(
  start: number,
  next: number,
  beyond: Set<number>,
  floor: number,
): Pick<EpochRecord, 'start' | 'next' | 'beyond' | 'floor'> {
  let [first, end] = [start, next]
  while (beyond.has(end)) end += 1
  while (beyond.has(first - 1)) first -= 1
  return { start: first, next: end, floor, beyond: [...beyond].filter(seq => seq < first || seq > end) }
}
