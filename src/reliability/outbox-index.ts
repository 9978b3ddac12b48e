/** What an outbox on disk keeps in memory: where each record lies, and the numbers of its lanes. */
import type { EnvelopeFacts, LeftLane, Stored } from './outbox.js'
import type { End, LaneEntry, RecordEntry } from './outbox-frames.js'
import { type OutboxLane, OutboxLanes } from './outbox-lanes.js'
import { corrupt, type Found, type Segment, type Tenant } from './outbox-segments.js'

/** One record: its facts, and where its frame lies. n.b. `slot` is −1 while it is not on disk, or not any more. */
export class Ref implements Stored, Tenant {
  readonly id: string
  readonly seq: number
  readonly count: number
  readonly floor: number
  readonly expiresAtMs: number
  readonly untilHandled: boolean
  readonly droppable: boolean
  readonly bytes: number
  readonly frameBytes: number
  readonly lane: OutboxLane
  segment: Segment
  at = 0
  slot = -1

  constructor(facts: EnvelopeFacts, bytes: number, frameBytes: number, lane: OutboxLane, segment: Segment) {
    this.id = facts.id
    this.seq = facts.seq
    this.count = facts.count
    this.floor = facts.floor
    this.expiresAtMs = facts.expiresAtMs
    this.untilHandled = facts.untilHandled
    this.droppable = facts.droppable
    this.bytes = bytes
    this.frameBytes = frameBytes
    this.lane = lane
    this.segment = segment
  }
}

export class OutboxIndex {
  readonly lanes: OutboxLanes = new OutboxLanes()
  /** While the log is read: what a later frame may end or repeat. */
  #reading = new Map<OutboxLane, Map<number, Ref>>()
  /** What may make way, the oldest first. */
  readonly droppable: Set<Ref> = new Set()
  #records = 0
  #bytes = 0

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** A frame of a former life. @throws SealbusError `corrupt-store` */
  found(frame: Found): void {
    const { entry, segment } = frame
    if (entry.kind === 'lane') this.#foundLane(segment, entry.lane, entry.entry)
    else if (entry.kind === 'record') this.#foundRecord(frame, entry.record)
    else for (const end of entry.ends) this.#foundEnd(frame, end)
  }

  /** What former lives left, the oldest lane first. */
  left(): readonly LeftLane[] {
    this.lanes.endOfReading()
    const reading = this.#reading
    this.#reading = new Map()
    return this.lanes.all().flatMap(lane => {
      const stored = [...(reading.get(lane)?.values() ?? [])].sort((a, b) => a.seq - b.seq)
      return stored.length > 0 || lane.owesFloor ? [leftLane(lane, stored)] : []
    })
  }

  count(ref: Ref): void {
    ref.lane.records++
    this.#records++
    this.#bytes += ref.bytes
    if (ref.droppable) this.droppable.add(ref)
  }

  uncount(ref: Ref): void {
    ref.lane.records--
    this.#records--
    this.#bytes -= ref.bytes
    if (ref.droppable) this.droppable.delete(ref)
  }

  #foundLane(segment: Segment, no: number, entry: LaneEntry): void {
    this.lanes.read(no, entry).writtenIn = segment.no
  }

  #foundRecord({ segment, at, frameBytes }: Found, record: RecordEntry): void {
    const lane = this.#laneOf(segment, at, record.lane)
    const ref = new Ref(record, record.body.length, frameBytes, lane, segment)
    const records = this.#reading.get(lane) ?? new Map<number, Ref>()
    this.#reading.set(lane, records)
    this.#gone(records.get(ref.seq)) // it was moved here, and the crash came before the old place was deleted
    records.set(ref.seq, ref)
    lane.wrote(record)
    this.lanes.used(lane)
    segment.settle(ref, at)
    this.count(ref)
  }

  #foundEnd({ segment, at }: Found, end: End): void {
    const lane = this.#laneOf(segment, at, end.lane)
    const records = this.#reading.get(lane)
    const ref = end.how === 'announced' ? undefined : records?.get(end.seq)
    lane.ended(end.how, { ...end, floor: ref?.floor ?? 0 }, end.floor)
    this.#gone(ref)
    if (ref) records?.delete(end.seq)
  }

  #gone(ref: Ref | undefined): void {
    if (ref === undefined) return
    ref.segment.leave(ref)
    this.uncount(ref)
  }

  #laneOf(segment: Segment, at: number, no: number): OutboxLane {
    const lane = this.lanes.byNo(no)
    if (lane === undefined) throw corrupt(segment.path, `byte ${at}: lane ${no} was never named`)
    return lane
  }
}

function leftLane(lane: OutboxLane, stored: readonly Ref[]): LeftLane {
  const { to, priority, epoch, floor, announced, overEnds, next } = lane
  return { to, priority, epoch, floor, announcedFloor: announced, overEnds, next, stored }
}
