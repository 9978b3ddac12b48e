/**
 * The outbox on disk: an append-only log of sealed envelopes in segments, fsynced in groups. What was put is there after
 * any crash; what is settled is forgotten by deleting whole segments, whose last living records are moved on first. An
 * error of write or fsync is final: after it nobody knows what the disk has.
 */
import { join } from 'node:path'
import type { Priority } from '../bus.js'
import { asError, SealbusError } from '../errors.js'
import type { Predecessor } from '../wire.js'
import { Grouping } from './grouping.js'
import { acquireLock, type Lock } from './lock.js'
import type { LaneOfLife, LeftLane, Outbox, OutboxRecord, OutboxUsage, Stored } from './outbox.js'
import { checkBounds, type OutboxBounds } from './outbox-bounds.js'
import { parseEntry, RECORD_OVERHEAD } from './outbox-frames.js'
import { OutboxIndex, Ref } from './outbox-index.js'
import { corrupt, type OpenFile, Segments } from './outbox-segments.js'
import { type Item, OutboxWriter } from './outbox-writer.js'

const LOCK_FILE = 'outbox.lock'
/** A group that has grown to this is written at once. */
const GROUP_BYTES: number = 64 * 1024
/** What ended is written down within this, without an fsync of its own: losing it costs a duplicate. */
const ENDS_WITHIN_MS = 50
const ENDED_BYTES = 23
const SEGMENT_BYTES: number = 8 * 1024 * 1024

export interface FileOutboxOptions extends OutboxBounds {
  /** Its own folder; created with mode 0700. */
  readonly directory: string
  /** Wall clock, ms. */
  readonly now: () => number
  /** For operators: `outbox-torn`, `store-failed`. */
  readonly emit: (event: string, detail: object) => void
  /** How long records are collected before one fsync, ms, 0..5. Default 2. */
  readonly lingerMs?: number
  /** A new file is begun when one has so many bytes. Default 8 MiB. */
  readonly segmentBytes?: number
  readonly openFile?: OpenFile
}

/** @throws RangeError for bounds out of range */
export function createFileOutbox(options: FileOutboxOptions): Outbox {
  const { lingerMs = 2 } = options
  if (!(lingerMs >= 0 && lingerMs <= 5)) throw new RangeError(`lingerMs: expected 0..5, got ${lingerMs}`)
  return new FileOutbox(options, checkBounds(options), lingerMs)
}

class FileOutbox implements Outbox {
  readonly durable = true
  readonly #options: FileOutboxOptions
  readonly #bounds: Required<OutboxBounds>
  readonly #lingerMs: number
  readonly #segments: Segments
  readonly #index: OutboxIndex = new OutboxIndex()
  readonly #writer: OutboxWriter
  readonly #group: Grouping<Item>
  #lock: Lock | undefined
  #failed: SealbusError | undefined
  #closing: Promise<void> | undefined

  constructor(options: FileOutboxOptions, bounds: Required<OutboxBounds>, lingerMs: number) {
    const { directory, segmentBytes = SEGMENT_BYTES, now } = options
    this.#options = options
    this.#bounds = bounds
    this.#lingerMs = lingerMs
    this.#segments = new Segments(directory, options.openFile)
    this.#writer = new OutboxWriter({ segments: this.#segments, lanes: this.#index.lanes, segmentBytes, now })
    this.#group = new Grouping({ groupBytes: GROUP_BYTES, write: items => this.#write(items) })
  }

  get whenFull(): Outbox['whenFull'] {
    return this.#bounds.whenFull
  }

  get ageMs(): number {
    return this.#bounds.ageMs
  }

  async start(): Promise<readonly LeftLane[]> {
    const { directory, emit } = this.#options
    try {
      this.#lock = acquireLock(join(directory, LOCK_FILE))
      const torn = await this.#segments.start(frame => this.#index.found(frame))
      if (torn > 0) emit('outbox-torn', { directory, bytes: torn })
      const left = this.#index.left()
      await this.#writer.clean()
      return left
    } catch (error) {
      await this.#segments.close()
      this.#lock?.release()
      throw error instanceof SealbusError ? error : storeFailed(directory, error)
    }
  }

  room(): number {
    const { records, bytes } = this.#index
    if (records === 0) return Number.POSITIVE_INFINITY
    return records >= this.#bounds.records ? 0 : Math.max(0, this.#bounds.bytes - bytes)
  }

  put({ body, ...record }: OutboxRecord): Promise<Stored> {
    return new Promise((resolve, reject) => {
      this.#assertUsable()
      if (body.length > this.room()) throw this.#full()
      const lane = this.#index.lanes.of(record)
      const frameBytes = RECORD_OVERHEAD + body.length
      const ref = new Ref(record, body.length, frameBytes, lane, this.#segments.current)
      this.#index.count(ref)
      this.#group.add({ kind: 'put', ref, body, resolve, reject }, frameBytes, this.#lingerMs)
    })
  }

  async read(stored: readonly Stored[]): Promise<readonly Uint8Array[]> {
    if (this.#closing) throw closedError(this.#options.directory)
    try {
      return await Promise.all(stored.map(each => this.#body(refOf(each))))
    } catch (error) {
      throw this.#fail(error)
    }
  }

  remove(stored: Stored, outcome: 'settled' | 'over', floor: number): void {
    const ref = refOf(stored)
    if (ref.slot < 0) return
    ref.segment.leave(ref)
    this.#index.uncount(ref)
    this.#end({ kind: 'ended', lane: ref.lane, how: outcome, record: ref, floor })
  }

  *droppable(): IterableIterator<{ epoch: string; stored: Stored }> {
    for (const stored of this.#index.droppable) yield { epoch: stored.lane.epoch, stored }
  }

  announced(lane: LaneOfLife, floor: number): void {
    const record = { seq: 0, count: 0, floor }
    this.#end({ kind: 'ended', lane: this.#index.lanes.of(lane), how: 'announced', record, floor })
  }

  predecessor(to: LaneOfLife['to'], priority: Priority | 'receipt'): Predecessor | undefined {
    return this.#index.lanes.predecessor(to, priority)
  }

  usage(): OutboxUsage {
    return { records: this.#index.records, bytes: this.#index.bytes }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** n.b. what ended is forgotten on disk with the next group, at the latest soon. */
  #end(item: Item): void {
    if (this.#failed || this.#closing) return
    this.#group.add(item, ENDED_BYTES, ENDS_WITHIN_MS)
  }

  async #body(ref: Ref): Promise<Uint8Array> {
    const entry = parseEntry(await this.#segments.read(ref))
    if (entry.kind === 'record' && entry.record.id === ref.id) return entry.record.body
    throw corrupt(ref.segment.path, `byte ${ref.at}: expected record ${ref.id}`)
  }

  async #write(items: readonly Item[]): Promise<void> {
    try {
      if (this.#failed) throw this.#failed
      await this.#writer.write(items)
      for (const item of items) if (item.kind === 'put') item.resolve(item.ref)
      await this.#writer.clean()
    } catch (error) {
      const failure = this.#fail(error)
      for (const item of items) if (item.kind === 'put') item.reject(failure)
    }
  }

  /** Final: the first failure is the one that counts. */
  #fail(error: unknown): SealbusError {
    if (this.#failed) return this.#failed
    this.#failed = error instanceof SealbusError ? error : storeFailed(this.#options.directory, error)
    this.#options.emit('store-failed', { error: this.#failed, store: 'outbox', alarm: true })
    return this.#failed
  }

  #assertUsable(): void {
    if (this.#failed) throw this.#failed
    if (this.#closing) throw closedError(this.#options.directory)
  }

  #full(): SealbusError {
    const { records, bytes } = this.#index
    const message = `${this.#options.directory}: full (${records} envelopes of ${bytes} bytes wait for the broker); send later, or configure larger bounds`
    return new SealbusError('buffer-full', message)
  }

  async #close(): Promise<void> {
    await this.#group.flush()
    if (!this.#failed) await this.#segments.sync().catch(() => undefined)
    await this.#segments.close()
    this.#lock?.release()
  }
}

/** @throws TypeError for what another outbox keeps */
function refOf(stored: Stored): Ref {
  if (stored instanceof Ref) return stored
  throw new TypeError(`outbox: expected what put or start gave, got another object for number ${stored.seq}`)
}

function storeFailed(directory: string, cause: unknown): SealbusError {
  const message = `${directory}: nothing can be stored any more (${asError(cause).message}); mend the disk, then start again`
  return new SealbusError('store-failed', message, { cause })
}

function closedError(directory: string): SealbusError {
  return new SealbusError('closed', `${directory}: the outbox is closed`)
}
