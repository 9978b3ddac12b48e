/**
 * What is remembered of one epoch: which numbers are used up, and how. Pure: no clock, no disk. The receiver and the
 * seen stores keep the same memory by the same rules; {@link EpochRecord} is its written form.
 */
import type { EpochKey, EpochRecord, Mark } from './seen.js'

/** Used-up numbers outside the contiguous run: as many below it, twice as many above. */
export const WINDOW = 4_096
const MAX_ABOVE = 2 * WINDOW
/** Skipped (and parked) numbers that are listed. */
export const MAX_LISTED = 1_024
const MAX_HASHES = 64

/**
 * | state | a message with it |
 * | --- | --- |
 * | `unseen` | goes on |
 * | `used` | is a duplicate |
 * | `parked` | is a duplicate of one that was parked |
 * | `skipped` | comes too late; never taken for seen |
 * | `below` | lies below what may still come, and nothing is known of it |
 */
export type NumberState = 'unseen' | 'used' | 'parked' | 'skipped' | 'below'

export class EpochMemory {
  readonly key: EpochKey
  #start = 0
  #next = 0
  #floor = 0
  #lastCreatedAtMs = 0
  /** Used up, and lower than the contiguous run. */
  #below: Set<number> = new Set()
  /** Used up, and higher than it. */
  #above: Set<number> = new Set()
  /** Of those above; counts for nothing while there are none. */
  #highest = -1
  #skipped: Set<number> = new Set()
  #parked: Set<number> = new Set()
  #hashes: Map<number, string> = new Map()

  /** A receiver new to an epoch starts at `open`, and still takes lower numbers down to `floor`. */
  static first(key: EpochKey, open: number, floor: number): EpochMemory {
    const lists = { beyond: [], skipped: [], parked: [], hashes: [] }
    return new EpochMemory({ ...key, start: open, next: open, floor, ...lists, lastCreatedAtMs: 0 })
  }

  constructor(record: EpochRecord) {
    const { domain, address, epoch } = record
    this.key = { domain, address, epoch }
    this.become(record)
  }

  /** Forgets what it knew for what the record says of this epoch. */
  become(record: EpochRecord): void {
    this.#start = record.start
    this.#next = record.next
    this.#floor = record.floor
    this.#lastCreatedAtMs = record.lastCreatedAtMs
    this.#below = new Set(record.beyond.filter(seq => seq < record.start))
    this.#above = new Set(record.beyond.filter(seq => seq >= record.start))
    this.#highest = Math.max(-1, ...this.#above)
    this.#skipped = new Set(record.skipped)
    this.#parked = new Set(record.parked)
    this.#hashes = new Map(record.hashes)
  }

  /** The next number in order that is not used up. */
  get next(): number {
    return this.#next
  }

  get start(): number {
    return this.#start
  }

  get floor(): number {
    return this.#floor
  }

  get lastCreatedAtMs(): number {
    return this.#lastCreatedAtMs
  }

  /** How many used-up numbers lie above the contiguous run. */
  get scattered(): number {
    return this.#above.size
  }

  /** The number would lie apart from the others where already too many do, `more` among them: it cannot be used up now. */
  scatters(seq: number, more: number): boolean {
    return seq > this.#next && this.#above.size + more >= MAX_ABOVE && !this.#above.has(seq)
  }

  state(seq: number): NumberState {
    if (this.#skipped.has(seq)) return 'skipped'
    if (this.#parked.has(seq)) return 'parked'
    if (this.#isUsed(seq)) return 'used'
    return seq < this.#start && seq < this.#floor ? 'below' : 'unseen'
  }

  /** The number is known to have been used up by this very content. */
  knows(seq: number, hash: string): boolean {
    return this.#hashes.get(seq) === hash
  }

  /** The number was used up by other content, as far as hashes are still kept. */
  conflicts(seq: number, hash: string): boolean {
    const known = this.#hashes.get(seq)
    return known !== undefined && known !== hash
  }

  isUsedAbove(seq: number): boolean {
    return this.#above.size > 0 && this.#highest > seq
  }

  /** The lowest used-up number above `seq` outside the contiguous run. n.b. looks at all of them. */
  usedAbove(seq: number): number | undefined {
    let lowest: number | undefined
    for (const used of this.#above) if (used > seq && (lowest === undefined || used < lowest)) lowest = used
    return lowest
  }

  /** Uses one number up. */
  use(seq: number, mark: Mark, hash: string, createdAtMs: number): void {
    if (createdAtMs > this.#lastCreatedAtMs) this.#lastCreatedAtMs = createdAtMs
    this.#skipped.delete(seq)
    if (mark === 'parked') limit(this.#parked.add(seq))
    else this.#parked.delete(seq) // replayed
    this.#hashes.delete(seq)
    if (mark !== 'rejected') this.#hashes.set(seq, hash) // n.b. what is known by its hash may be answered with a receipt
    if (this.#hashes.size > MAX_HASHES) this.#hashes.delete(firstOf(this.#hashes.keys()))
    this.#place(seq)
  }

  /** Raises the floor; numbers that it passes are skipped by whoever knows what is still held. */
  raiseFloor(floor: number): boolean {
    if (floor <= this.#floor) return false
    this.#floor = floor
    return true
  }

  /**
   * Skips `from` up to (not including) `to`, none of which is used up. A long gap only from `next` on (else false: try
   * again later), and while not too many lie apart already: of it the last {@link MAX_LISTED} are listed, and what lies before counts as below the floor.
   */
  skip(from: number, to: number): boolean {
    const many = to - from > MAX_LISTED || this.#above.size + to - from > MAX_ABOVE + MAX_LISTED
    if (from !== this.#next && many) return false
    const listed = Math.max(from, to - MAX_LISTED)
    if (from === this.#next) {
      if (listed > from) this.#startAt(listed)
      this.#next = to
      this.#absorb()
    } else {
      for (let seq = from; seq < to; seq++) this.#place(seq)
    }
    for (let seq = listed; seq < to; seq++) this.#skipped.add(seq)
    this.#trimSkipped()
    return true
  }

  record(): EpochRecord {
    return {
      ...this.key,
      start: this.#start,
      next: this.#next,
      floor: this.#floor,
      beyond: [...this.#below, ...this.#above],
      skipped: [...this.#skipped],
      parked: [...this.#parked],
      hashes: [...this.#hashes],
      lastCreatedAtMs: this.#lastCreatedAtMs,
    }
  }

  #isUsed(seq: number): boolean {
    return (seq >= this.#start && seq < this.#next) || this.#above.has(seq) || this.#below.has(seq)
  }

  #place(seq: number): void {
    if (seq === this.#next) this.#next += 1
    else if (seq === this.#start - 1) this.#start -= 1
    else if (seq < this.#start) this.#placeBelow(seq)
    else if (seq > this.#next) {
      this.#above.add(seq)
      if (seq > this.#highest || this.#above.size === 1) this.#highest = seq
    }
    this.#absorb()
  }

  /** n.b. beyond the bound the lower half is forgotten by raising the floor over it: late if it comes again, never unseen. */
  #placeBelow(seq: number): void {
    this.#below.add(seq)
    if (this.#below.size <= WINDOW) return
    const forgotten = [...this.#below].sort((a, b) => a - b).slice(0, WINDOW / 2)
    for (const used of forgotten) this.#below.delete(used)
    this.#floor = Math.max(this.#floor, (forgotten.at(-1) ?? -1) + 1)
  }

  #absorb(): void {
    if (this.#above.size > 0) while (this.#above.delete(this.#next)) this.#next += 1
    if (this.#below.size > 0) while (this.#below.delete(this.#start - 1)) this.#start -= 1
  }

  /** Forgets what lies before: from now on it is below the floor, so that it is parked if it comes, not lost. */
  #startAt(start: number): void {
    this.#start = start
    if (start > this.#floor) this.#floor = start
    this.#below.clear()
    for (const seq of this.#above) if (seq < start) this.#above.delete(seq)
  }

  #trimSkipped(): void {
    let start = this.#start
    for (const oldest of this.#skipped) {
      if (this.#skipped.size <= MAX_LISTED || oldest >= this.#next) break
      this.#skipped.delete(oldest)
      if (oldest >= this.#start) start = Math.max(start, oldest + 1)
      else if (oldest >= this.#floor) this.#floor = oldest + 1
    }
    if (start > this.#start) this.#startAt(start)
  }
}

function limit(listed: Set<number>): void {
  if (listed.size > MAX_LISTED) listed.delete(firstOf(listed))
}

function firstOf(numbers: Iterable<number>): number {
  for (const number of numbers) return number
  return -1
}
