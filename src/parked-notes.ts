/**
 * What is remembered of parked bodies beside the bodies themselves: why, when and of whom, as the receiver knew it. Lines
 * of JSON in the state folder, two files of at most 1 MiB, of which the older one goes. Nothing in it was ever sealed.
 * n.b. one process writes it; others may read at any time.
 */
import { appendFile, mkdir, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { asError } from './errors.js'
import type { Emit, Events } from './events.js'

const FILE = 'parked.log'
const OLDER = 'parked.log.1'
const MAX_BYTES: number = 1024 * 1024 // 1 MiB

/** One line. */
export interface ParkedNote {
  readonly event: 'parked' | 'replayed'
  /** Milliseconds since 1970. */
  readonly atMs: number
  /** Under which it was parked; of a replay, its id. */
  readonly id: string
  /** Why it was parked, or how its replay ended: a word of docs/PROTOCOL.md. */
  readonly reason: string
  /** Of a message that was parked alone. */
  readonly index?: number
  /** `domain/address`; absent where nobody is known for certain. */
  readonly from?: string
  readonly epoch?: string
  readonly seq?: number
}

/** Notes what the bus tells about parking, one after the other. */
export class ParkedNotes {
  readonly #dir: string
  readonly #now: () => number
  readonly #emit: Emit
  readonly #maxBytes: number
  readonly #stop: (() => void)[]
  #writing: Promise<void> = Promise.resolve()
  #bytes: number | undefined
  #failed = false

  constructor(dir: string, events: Events, now: () => number, maxBytes: number = MAX_BYTES) {
    this.#dir = dir
    this.#now = now
    this.#emit = events.emit
    this.#maxBytes = maxBytes
    this.#stop = (['parked', 'replayed'] as const).map(event =>
      events.on(event, detail => this.#note(event, detail as Record<string, unknown>)),
    )
  }

  /** Resolves when everything that was heard is written. */
  async close(): Promise<void> {
    for (const stop of this.#stop) stop()
    await this.#writing
  }

  #note(event: ParkedNote['event'], detail: Record<string, unknown>): void {
    const { messageId, id = messageId, reason, outcome = reason, index, from, epoch, seq } = detail
    const note = { event, atMs: this.#now(), id, reason: outcome, index, from, epoch, seq }
    this.#writing = this.#writing
      .then(() => this.#append(`${JSON.stringify(note)}\n`))
      .catch((error: unknown) => this.#tellOnce(asError(error)))
  }

  /** n.b. not flushed: what is lost with the machine is a reason, never a message. */
  async #append(line: string): Promise<void> {
    const path = join(this.#dir, FILE)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    this.#bytes ??= await sizeOf(path)
    if (this.#bytes + line.length > this.#maxBytes) {
      await rename(path, join(this.#dir, OLDER))
      this.#bytes = 0
    }
    await appendFile(path, line, { mode: 0o600 })
    this.#bytes += line.length
  }

  #tellOnce({ message }: Error): void {
    if (!this.#failed) this.#emit('reasons-not-kept', { reason: message, alarm: true })
    this.#failed = true
  }
}

/** Every note that is still kept, oldest first. A line that was torn by a crash is left out. */
export async function readParkedNotes(dir: string): Promise<ParkedNote[]> {
  const texts = await Promise.all(
    [OLDER, FILE].map(name => readFile(join(dir, name), 'utf8').catch(() => '')),
  )
  return texts.flatMap(text => text.split('\n')).flatMap(line => parse(line) ?? [])
}

function parse(line: string): ParkedNote | undefined {
  try {
    const note = JSON.parse(line) as Partial<ParkedNote> | null
    if (note?.event !== 'parked' && note?.event !== 'replayed') return undefined
    return typeof note.id === 'string' && typeof note.reason === 'string' ? (note as ParkedNote) : undefined
  } catch {
    return undefined
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
