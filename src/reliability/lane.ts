/**
 * One epoch of one sender at the receiver: which messages have come, which is next, and where a gap is. Messages are
 * handed out in order of number; a gap holds back what lies behind it until it fills, the floor passes it, or it is skipped.
 *
 * n.b. `cursor` is the next number to be handed out, `reach` the first that has not come: between them lie messages
 * that merely wait for the handler. Only what lies beyond `reach` is held by a gap.
 */
import type { Predecessor } from '../wire.js'
import type { EpochMemory } from './epoch.js'
import { mergeRecords } from './epoch-merge.js'
import type { EpochRecord } from './seen.js'
import type { Arrival, Slot } from './slots.js'

/** Numbers that were given up: up to (not including) `to`. */
export interface Gap {
  readonly from: number
  readonly to: number
}

export class Lane {
  readonly memory: EpochMemory
  readonly slots: Map<number, Slot> = new Map()
  /** Bodies not acknowledged yet. */
  arrivals = 0
  /** A handler runs, or a failed message is being parked. */
  busy = false
  /** Nothing is handed out any more: a hung handler, or parking that is full. */
  halted = false
  /** The epoch that comes first, and since when (active ms) it has shown no sign of life. */
  waitsFor: (Predecessor & { sinceMs: number }) | undefined
  /** Something of it was handed out: it is too late to wait for a predecessor. */
  begun: boolean
  /** Held beyond `reach`. */
  ahead = 0
  aheadBytes = 0
  /** Of those ahead, the ones that only wait for being parked or remembered. */
  readonly #decided: Set<Slot> = new Set()
  #cursor: number
  #reach: number
  /** Unseen numbers below the cursor, rising: a receiver new to the epoch started above them. */
  readonly #lower: number[] = []

  constructor(memory: EpochMemory) {
    this.memory = memory
    this.#cursor = memory.next
    this.#reach = memory.next
    this.begun = memory.next > memory.start
  }

  /** The first number that has not come. */
  get reach(): number {
    return this.#reach
  }

  /** Everything up to and including `seq` is over, or was never to come. */
  isPast(seq: number): boolean {
    this.#moveCursor()
    if (this.#cursor <= seq) return false
    for (const slot of this.slots.values()) if (slot.seq <= seq && slot.state !== 'settling') return false
    return true
  }

  /** The number cannot be used up now: too many lie apart already. */
  scatters(seq: number): boolean {
    return this.memory.scatters(seq, this.#decided.size)
  }

  /** Takes a message; what is decided already (`settling`) only uses up its number's place. */
  add(slot: Slot): void {
    this.slots.set(slot.seq, slot)
    if (slot.seq < this.#cursor) {
      if (slot.state === 'held') insert(this.#lower, slot.seq)
    } else if (slot.seq > this.#reach) {
      slot.ahead = true
      if (slot.state === 'settling') this.#decided.add(slot)
      this.ahead += 1
      this.aheadBytes += slot.bytes
    }
  }

  /** The number is used up: the slot has done its service. */
  remove(slot: Slot): void {
    this.slots.delete(slot.seq)
    this.#unhold(slot)
  }

  /** Moves `reach` over what has come and what the floor passes. Returns what the floor skipped. */
  advance(): readonly Gap[] {
    const skipped: Gap[] = []
    for (;;) {
      this.#pass()
      if (this.#reach >= this.memory.floor) return skipped
      const to = Math.min(this.memory.floor, this.#nextKnown() ?? this.memory.floor)
      const from = this.#reach
      if (!this.#skip(to)) return skipped
      skipped.push({ from, to })
    }
  }

  /** There is something beyond the first number that has not come. */
  get hasGap(): boolean {
    return this.ahead > 0 || this.memory.isUsedAbove(this.#reach)
  }

  /** Gives the oldest gap up. */
  skipGap(): Gap | undefined {
    const to = this.#nextKnown()
    const from = this.#reach
    if (to === undefined || !this.#skip(to)) return undefined
    this.#pass()
    return { from, to }
  }

  /** The message whose turn it is. */
  head(): Slot | undefined {
    if (this.busy || this.halted || this.waitsFor) return undefined
    const lower = this.#lower[0]
    if (lower !== undefined) return this.slots.get(lower)
    while (this.#cursor < this.#reach) {
      const slot = this.slots.get(this.#cursor)
      if (slot?.state === 'held') return slot
      this.#cursor = slot
        ? this.#cursor + 1
        : Math.max(this.#cursor + 1, Math.min(this.memory.next, this.#reach))
    }
    return undefined
  }

  /** The head is handed out, or decided without a handler. */
  take(slot: Slot, state: 'running' | 'settling'): void {
    slot.state = state
    this.begun = true
    if (this.#lower[0] === slot.seq) this.#lower.shift()
  }

  /** What is held of the newest bodies, so that at most `most` of the lane's stay unacknowledged. */
  surplus(most: number): readonly Slot[] {
    const bodies = new Set<Arrival>()
    const surplus: Slot[] = []
    const held = [...this.slots.values()].filter(slot => slot.state === 'held').sort((a, b) => b.seq - a.seq)
    for (const slot of held) {
      for (const arrival of slot.arrivals) bodies.add(arrival)
      if (bodies.size > this.arrivals - most) break
      surplus.push(slot)
    }
    return surplus
  }

  /** A held message is decided out of its turn. */
  decide(slot: Slot): void {
    slot.state = 'settling'
    if (slot.ahead) this.#decided.add(slot)
    const at = this.#lower.indexOf(slot.seq)
    if (at >= 0) this.#lower.splice(at, 1)
  }

  /** Puts a message back that was handed out and has no outcome. */
  giveBack(slot: Slot): void {
    slot.state = 'held'
    if (slot.seq < this.#cursor) insert(this.#lower, slot.seq)
  }

  /** Forgets what waits for its turn: another worker may have it. */
  dropHeld(): void {
    for (const slot of [...this.slots.values()]) if (slot.state === 'held') this.remove(slot)
    this.#rearrange()
  }

  /** Forgets one message that was handed out and has no outcome: another worker may have it. */
  withdraw(slot: Slot): void {
    this.remove(slot)
    this.#rearrange()
  }

  /** Adds what others have written of the epoch; what is held finds its place anew. */
  learn(record: EpochRecord): void {
    this.memory.become(mergeRecords(this.memory.record(), record))
    this.begun ||= this.memory.next > this.memory.start
    this.#rearrange()
  }

  #rearrange(): void {
    this.#lower.length = 0
    this.#cursor = this.memory.next
    this.#reach = this.memory.next
    for (const slot of this.slots.values()) {
      this.#unhold(slot)
      this.add(slot)
    }
    this.#pass()
  }

  #moveCursor(): Slot | undefined {
    while (this.#cursor < this.#reach) {
      const slot = this.slots.get(this.#cursor)
      if (slot?.state === 'held') return slot
      const used = slot ? 0 : Math.min(this.memory.next, this.#reach)
      this.#cursor = Math.max(this.#cursor + 1, used)
    }
    return undefined
  }

  #skip(to: number): boolean {
    if (!this.memory.skip(this.#reach, to)) return false
    this.#reach = to
    return true
  }

  /** The lowest number beyond the gap of which something is known. */
  #nextKnown(): number | undefined {
    let lowest = this.memory.isUsedAbove(this.#reach) ? this.memory.usedAbove(this.#reach) : undefined
    if (this.ahead === 0) return lowest
    for (const seq of this.slots.keys()) {
      if (seq > this.#reach && (lowest === undefined || seq < lowest)) lowest = seq
    }
    return lowest
  }

  #unhold(slot: Slot): void {
    if (!slot.ahead) return
    slot.ahead = false
    this.#decided.delete(slot)
    this.ahead -= 1
    this.aheadBytes -= slot.bytes
  }

  #pass(): void {
    for (;;) {
      const slot = this.slots.get(this.#reach)
      if (slot) {
        this.#unhold(slot)
        this.#reach += 1
      } else if (this.#reach < this.memory.next && this.#reach >= this.memory.start) {
        this.#reach = this.memory.next
      } else if (this.memory.state(this.#reach) !== 'unseen') {
        this.#reach += 1
      } else return
    }
  }
}

function insert(sorted: number[], seq: number): void {
  const at = sorted.findIndex(other => other >= seq)
  if (at < 0) sorted.push(seq)
  else if (sorted[at] !== seq) sorted.splice(at, 0, seq)
}
