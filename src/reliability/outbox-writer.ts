/**
 * Writes groups of puts and ends to the outbox's segments, and keeps the segments few: the oldest is deleted when nothing
 * in it is needed; when more than half of the log is not, what is left of the oldest is moved on, a piece with each group.
 */
import type { EnvelopeFacts, Stored } from './outbox.js'
import { type End, type EndHow, endsFrame, laneFrame, movedFrame, recordFrame } from './outbox-frames.js'
import type { Ref } from './outbox-index.js'
import type { OutboxLane, OutboxLanes } from './outbox-lanes.js'
import type { Segments, Tenant } from './outbox-segments.js'

/** Moved with one group at most. */
const MOVE_BYTES: number = 256 * 1024

/** A record that waits to be written. */
export interface Put {
  readonly kind: 'put'
  readonly ref: Ref
  readonly body: Uint8Array
  readonly resolve: (stored: Stored) => void
  readonly reject: (error: unknown) => void
}

/** Something that ended. */
export interface Ended {
  readonly kind: 'ended'
  readonly lane: OutboxLane
  readonly how: EndHow
  readonly record: { readonly seq: number; readonly count: number; readonly floor: number }
  readonly floor: number
}

export type Item = Put | Ended

export interface WriterOptions {
  readonly segments: Segments
  readonly lanes: OutboxLanes
  readonly segmentBytes: number
  readonly now: () => number
}

export class OutboxWriter {
  readonly #options: WriterOptions

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** When it resolves, every put of the group is safe. */
  async write(items: readonly Item[]): Promise<void> {
    const { segments, segmentBytes } = this.#options
    if (segments.current.length >= segmentBytes) await segments.rotate()
    const moved = await this.#toMove()
    const group = new Group(this.#options)
    for (const item of items) if (item.kind === 'put') group.put(item.ref, item.body)
    for (const { ref, payload } of moved) group.move(ref, payload)
    group.end(items.filter(item => item.kind === 'ended'))
    await this.#append(group, items.some(({ kind }) => kind === 'put') || moved.length > 0)
    group.settle()
  }

  /** Deletes what nobody needs. */
  async clean(): Promise<void> {
    const { segments } = this.#options
    for (let oldest = segments.oldest; oldest?.liveBytes === 0; oldest = segments.oldest) {
      await this.#nameLanesOf(oldest.no)
      await segments.deleteOldest()
    }
  }

  async #append(group: Group, sync: boolean): Promise<void> {
    const { segments } = this.#options
    group.at = await segments.append(group.bytes())
    if (sync) await segments.sync()
  }

  /** n.b. what only the segment that goes knows of lanes is written, and synced, before it goes. */
  async #nameLanesOf(segment: number): Promise<void> {
    const { lanes, now } = this.#options
    const needed = lanes.takeLast(segment, now())
    if (needed.length === 0) return
    const group = new Group(this.#options)
    for (const lane of needed) group.name(lane)
    await this.#append(group, true)
  }

  /** Living records of the oldest segment, where too much of the log is dead. */
  async #toMove(): Promise<{ ref: Tenant; payload: Uint8Array }[]> {
    const { segments, segmentBytes } = this.#options
    const { oldest } = segments
    if (oldest === undefined || segments.length <= 2 * segments.liveBytes + 2 * segmentBytes) return []
    const moved: { ref: Tenant; payload: Uint8Array }[] = []
    let bytes = 0
    for (const ref of oldest.tenants) {
      if (ref === undefined) continue
      if (bytes >= MOVE_BYTES) break
      moved.push({ ref, payload: await segments.read(ref) })
      bytes += ref.frameBytes
    }
    return moved
  }
}

/** One write: its frames, and where each record will lie. */
class Group {
  at = 0
  readonly #options: WriterOptions
  readonly #frames: Uint8Array[] = []
  readonly #places: { tenant: Tenant; at: number; moved: boolean }[] = []
  #length = 0

  constructor(options: WriterOptions) {
    this.#options = options
  }

  put(ref: Ref, body: Uint8Array): void {
    this.name(ref.lane)
    ref.lane.wrote(ref)
    this.#options.lanes.used(ref.lane)
    this.#place(ref, false)
    this.#add(recordFrame(this.#synced, { ...factsOf(ref), lane: ref.lane.no, body }))
  }

  move(tenant: Tenant, payload: Uint8Array): void {
    this.name(tenant.lane)
    this.#place(tenant, true)
    this.#add(movedFrame(this.#synced, payload))
  }

  end(items: readonly Ended[]): void {
    if (items.length === 0) return
    const ends: End[] = []
    for (const { lane, how, record, floor } of items) {
      this.name(lane)
      lane.ended(how, record, floor)
      ends.push({ lane: lane.no, how, seq: record.seq, count: record.count, floor })
    }
    this.#add(endsFrame(this.#synced, ends))
  }

  /** The first time that a segment mentions a lane, it says which one that is. */
  name(lane: OutboxLane): void {
    const { no } = this.#options.segments.current
    if (lane.writtenIn === no) return
    this.#add(laneFrame(this.#synced, lane.no, lane.entry()))
    lane.writtenIn = no
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#frames)
  }

  /** It is written. n.b. what was moved may have ended meanwhile. */
  settle(): void {
    const { current } = this.#options.segments
    for (const { tenant, at, moved } of this.#places) {
      if (moved && tenant.slot < 0) continue
      if (moved) tenant.segment.leave(tenant)
      current.settle(tenant, this.at + at)
    }
  }

  get #synced(): number {
    return this.#options.segments.current.synced
  }

  #place(tenant: Tenant, moved: boolean): void {
    this.#places.push({ tenant, at: this.#length, moved })
  }

  #add(frame: Uint8Array): void {
    this.#frames.push(frame)
    this.#length += frame.length
  }
}

function factsOf({ id, seq, count, floor, expiresAtMs, untilHandled, droppable }: Ref): EnvelopeFacts {
  return { id, seq, count, floor, expiresAtMs, untilHandled, droppable }
}
