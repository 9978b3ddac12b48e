/**
 * The files of the outbox: `NUMBER.log`, each written at its end only, the oldest deleted as a whole. What is written
 * is safe once `sync` has resolved. A new file counts only when its folder is synced too.
 */
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SealbusError } from '../errors.js'
import { frameAt, HEADER_BYTES } from './log-frames.js'
import { type OutboxEntry, parseEntry, parseSegment } from './outbox-frames.js'
import type { OutboxLane } from './outbox-lanes.js'

const NAME = /^(\d{10})\.log$/

/** How files are opened; another one stands in for it where a disk is to fail. */
export type OpenFile = (path: string, flags: string, mode?: number) => Promise<FileHandle>

/** What a segment keeps alive. */
export interface Tenant {
  readonly lane: OutboxLane
  segment: Segment
  at: number
  readonly frameBytes: number
  /** Its place in {@link Segment.tenants}. */
  slot: number
}

export class Segment {
  readonly no: number
  readonly path: string
  readonly file: FileHandle
  length = 0
  /** Where the last fsync ended. */
  synced = 0
  /** Bytes of frames that are still needed. */
  liveBytes = 0
  tenants: (Tenant | undefined)[] = []
  /** Reads under way. */
  readers = 0

  constructor(no: number, path: string, file: FileHandle) {
    this.no = no
    this.path = path
    this.file = file
  }

  settle(tenant: Tenant, at: number): void {
    tenant.segment = this
    tenant.at = at
    tenant.slot = this.tenants.push(tenant) - 1
    this.liveBytes += tenant.frameBytes
  }

  leave(tenant: Tenant): void {
    this.tenants[tenant.slot] = undefined
    this.liveBytes -= tenant.frameBytes
    tenant.slot = -1
  }
}

/** A frame as it was found. */
export interface Found {
  readonly segment: Segment
  readonly at: number
  readonly frameBytes: number
  readonly entry: OutboxEntry
}

export class Segments {
  readonly #directory: string
  readonly #open: OpenFile
  readonly #segments: Segment[] = []

  constructor(directory: string, openFile: OpenFile = open) {
    this.#directory = directory
    this.#open = openFile
  }

  /**
   * Opens what is there, cuts a torn tail off, begins a new segment.
   * @returns bytes that were cut off
   * @throws SealbusError `corrupt-store`
   */
  async start(found: (frame: Found) => void): Promise<number> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const numbers = await this.#numbers()
    let torn = 0
    for (const no of numbers) torn += await this.#load(no, no === numbers.at(-1), found)
    await this.#begin((numbers.at(-1) ?? 0) + 1)
    return torn
  }

  get current(): Segment {
    return this.#segments[this.#segments.length - 1] as Segment
  }

  /** The oldest, unless it is the current one. */
  get oldest(): Segment | undefined {
    return this.#segments.length > 1 ? this.#segments[0] : undefined
  }

  get length(): number {
    return this.#segments.reduce((sum, { length }) => sum + length, 0)
  }

  get liveBytes(): number {
    return this.#segments.reduce((sum, { liveBytes }) => sum + liveBytes, 0)
  }

  /** Appends to the current segment; returns where it begins there. */
  async append(bytes: Uint8Array): Promise<number> {
    const segment = this.current
    const at = segment.length
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await segment.file.write(bytes, done, bytes.length - done, at + done)
      if (bytesWritten === 0) throw new Error('the disk takes no more bytes')
      done += bytesWritten
    }
    segment.length += bytes.length
    return at
  }

  async sync(): Promise<void> {
    const segment = this.current
    const { length } = segment
    await segment.file.datasync()
    segment.synced = length
  }

  /** Ends the current segment, synced, and begins the next. */
  async rotate(): Promise<void> {
    if (this.current.synced < this.current.length) await this.sync()
    await this.#begin(this.current.no + 1)
  }

  /** Deletes the oldest segment. n.b. in this order always: what ends a record never goes before the record. */
  async deleteOldest(): Promise<void> {
    const [segment] = this.#segments.splice(0, 1)
    if (segment === undefined) return
    await rm(segment.path)
    await this.#syncDirectory()
    if (segment.readers === 0) await segment.file.close()
  }

  /** The payload of a tenant's frame, checked again. @throws SealbusError `corrupt-store` */
  async read({ segment, at, frameBytes }: Tenant): Promise<Uint8Array> {
    const bytes = Buffer.alloc(frameBytes)
    segment.readers++
    try {
      for (let done = 0; done < frameBytes; ) {
        const { bytesRead } = await segment.file.read(bytes, done, frameBytes - done, at + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
    } finally {
      segment.readers--
      if (segment.readers === 0 && !this.#segments.includes(segment)) await segment.file.close()
    }
    const payload = frameAt(bytes, 0)
    if (payload === undefined) throw corrupt(segment.path, `byte ${at}: what was stored there is another now`)
    return payload
  }

  async close(): Promise<void> {
    for (const { file } of this.#segments.splice(0)) await file.close().catch(() => undefined)
  }

  async #numbers(): Promise<number[]> {
    const names = await readdir(this.#directory)
    const matches = names.flatMap(name => NAME.exec(name)?.[1] ?? [])
    const numbers = matches.map(Number).sort((a, b) => a - b)
    const gap = numbers.find((no, i) => i > 0 && no !== (numbers[i - 1] ?? 0) + 1)
    if (gap !== undefined) throw corrupt(this.#path(gap - 1), 'it is missing between its neighbours')
    return numbers
  }

  async #load(no: number, isLast: boolean, found: (frame: Found) => void): Promise<number> {
    const path = this.#path(no)
    const segment = new Segment(no, path, await this.#open(path, 'r+'))
    this.#segments.push(segment)
    const bytes = await segment.file.readFile()
    const { frames, length, damagedAt } = parseSegment(bytes)
    if (damagedAt !== undefined)
      throw corrupt(path, `byte ${damagedAt} and after are no frame, and more follows`)
    if (length < bytes.length && !isLast)
      throw corrupt(path, `it ends with ${bytes.length - length} bytes that are no frame`)
    for (const { at, payload } of frames)
      found({ segment, at, frameBytes: HEADER_BYTES + payload.length, entry: parsed(path, at, payload) })
    if (length < bytes.length) await segment.file.truncate(length)
    if (isLast) await segment.file.sync() // n.b. what was read may be nowhere but in memory; the next one follows now
    segment.length = length
    segment.synced = length
    return bytes.length - length
  }

  async #begin(no: number): Promise<void> {
    const path = this.#path(no)
    this.#segments.push(new Segment(no, path, await this.#open(path, 'wx+', 0o600)))
    await this.#syncDirectory()
  }

  #path(no: number): string {
    return join(this.#directory, `${String(no).padStart(10, '0')}.log`)
  }

  async #syncDirectory(): Promise<void> {
    const handle = await this.#open(this.#directory, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

function parsed(path: string, at: number, payload: Uint8Array): OutboxEntry {
  try {
    return parseEntry(payload)
  } catch (error) {
    throw corrupt(path, `byte ${at}: ${error instanceof Error ? error.message : 'unknown'}`)
  }
}

/** n.b. says what is lost by moving it away: nobody should delete an outbox without knowing. */
export function corrupt(path: string, detail: string): SealbusError {
  return new SealbusError(
    'corrupt-store',
    `${path}: damaged (${detail}); copy the folder for examination, then move it away to go on: what was stored in it is not sent`,
  )
}
