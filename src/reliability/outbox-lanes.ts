/** The lanes that an outbox on disk knows: their numbers as they stand in its log. docs/DELIVERY.md, "Numbers". */
import type { Party } from '../bus.js'
import { type Predecessor, partyKey } from '../wire.js'
import type { EnvelopeFacts, LaneOfLife } from './outbox.js'
import type { EndHow, LaneEntry } from './outbox-frames.js'

/** A recipient forgets an epoch some time after its last message: 7 days and the skew at most. Then nobody waits for it. */
const FORGET_AFTER_MS: number = 8 * 24 * 3600 * 1000

/** n.b. holds what is on disk: a number that was given out and never got there is no number of this lane. */
export class OutboxLane implements LaneOfLife {
  readonly no: number
  readonly to: Party
  readonly priority: LaneOfLife['priority']
  readonly epoch: string
  next = 0
  floor = 0
  announced = 0
  overEnds: readonly number[] = []
  /** When the last of its messages expires, ms. */
  lastExpiryMs = 0
  /** Records of it that are kept. */
  records = 0
  /** The newest segment that says what lane this is. */
  writtenIn = -1

  constructor(no: number, { to, priority, epoch }: LaneOfLife) {
    this.no = no
    this.to = to
    this.priority = priority
    this.epoch = epoch
  }

  get key(): string {
    return laneKey(this.to, this.priority)
  }

  /** The recipient does not know yet how far the floor has risen. */
  get owesFloor(): boolean {
    return this.floor > this.announced
  }

  entry(): LaneEntry {
    const { to, priority, epoch, next, floor, announced, overEnds, lastExpiryMs } = this
    return {
      ...{ domain: to.domain, address: to.address },
      priority,
      epoch,
      next,
      floor,
      announced,
      overEnds,
      lastExpiryMs,
    }
  }

  /** What a lane frame says. n.b. numbers only rise, so that older frames change nothing. */
  restore(entry: LaneEntry): void {
    this.next = Math.max(this.next, entry.next)
    this.lastExpiryMs = Math.max(this.lastExpiryMs, entry.lastExpiryMs)
    this.announced = Math.max(this.announced, entry.announced)
    this.overEnds = [...new Set([...this.overEnds, ...entry.overEnds])]
    this.#raise(entry.floor)
  }

  /** A record is written. */
  wrote(record: Pick<EnvelopeFacts, 'seq' | 'count' | 'floor' | 'expiresAtMs'>): void {
    this.next = Math.max(this.next, record.seq + record.count)
    this.lastExpiryMs = Math.max(this.lastExpiryMs, record.expiresAtMs)
    this.#raise(record.floor)
  }

  /** One of its records ended, or its floor was announced. */
  ended(
    how: EndHow,
    record: { readonly seq: number; readonly count: number; readonly floor: number },
    floor: number,
  ): void {
    if (how === 'over') this.overEnds = [...this.overEnds, record.seq + record.count]
    if (how === 'announced') this.announced = Math.max(this.announced, floor)
    if (how === 'settled') this.announced = Math.max(this.announced, record.floor)
    this.#raise(floor)
  }

  #raise(floor: number): void {
    this.floor = Math.max(this.floor, floor)
    if (this.overEnds.length > 0) this.overEnds = this.overEnds.filter(end => end > this.floor)
  }
}

export class OutboxLanes {
  readonly #byEpoch = new Map<string, OutboxLane>()
  readonly #byNo = new Map<number, OutboxLane>()
  /** The newest lane of each recipient and priority. */
  readonly #latest = new Map<string, OutboxLane>()
  readonly #former = new Map<string, Predecessor>()
  #nextNo = 1

  /** The lane, new or known. */
  of(lane: LaneOfLife): OutboxLane {
    const known = this.#byEpoch.get(lane.epoch)
    return known ?? this.#add(new OutboxLane(this.#nextNo, lane))
  }

  byNo(no: number): OutboxLane | undefined {
    return this.#byNo.get(no)
  }

  /** A lane frame was read. */
  read(no: number, entry: LaneEntry): OutboxLane {
    const { domain, address, priority, epoch } = entry
    const lane =
      this.#byNo.get(no) ?? this.#add(new OutboxLane(no, { to: { domain, address }, priority, epoch }))
    lane.restore(entry)
    if (lane.next > 0) this.used(lane)
    return lane
  }

  /** Everything that was read is of former lives. */
  endOfReading(): void {
    for (const [key, { epoch, next }] of this.#latest) this.#former.set(key, { epoch, lastSeq: next - 1 })
  }

  predecessor(to: Party, priority: LaneOfLife['priority']): Predecessor | undefined {
    return this.#former.get(laneKey(to, priority))
  }

  /** In the order of their age. */
  all(): readonly OutboxLane[] {
    return [...this.#byNo.values()].sort((a, b) => a.no - b.no)
  }

  /** A record of it is in the log: a coming life follows this lane, unless there is a newer one. */
  used(lane: OutboxLane): void {
    const latest = this.#latest.get(lane.key)
    if (latest === undefined || latest.no < lane.no) this.#latest.set(lane.key, lane)
  }

  /** Lanes that no segment after this one names: those that are still needed. The others are forgotten. */
  takeLast(segment: number, nowMs: number): readonly OutboxLane[] {
    const needed: OutboxLane[] = []
    for (const lane of this.#byNo.values()) {
      if (lane.writtenIn > segment) continue
      if (this.#isNeeded(lane, nowMs)) needed.push(lane)
      else this.#forget(lane)
    }
    return needed
  }

  #isNeeded(lane: OutboxLane, nowMs: number): boolean {
    if (lane.records > 0) return true
    const isAlive = lane.lastExpiryMs > nowMs - FORGET_AFTER_MS
    return isAlive && (lane.owesFloor || this.#latest.get(lane.key) === lane)
  }

  #add(lane: OutboxLane): OutboxLane {
    this.#byEpoch.set(lane.epoch, lane)
    this.#byNo.set(lane.no, lane)
    this.#nextNo = Math.max(this.#nextNo, lane.no + 1)
    return lane
  }

  #forget(lane: OutboxLane): void {
    this.#byEpoch.delete(lane.epoch)
    this.#byNo.delete(lane.no)
    if (this.#latest.get(lane.key) === lane) this.#latest.delete(lane.key)
  }
}

function laneKey(to: Party, priority: LaneOfLife['priority']): string {
  return `${partyKey(to)}/${priority}`
}
