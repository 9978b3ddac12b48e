/**
 * The seen store in a file: an append-only log in the state folder, fsynced in groups, rewritten when it has grown. A
 * mark resolves when it would survive. An error of write or fsync is final: after it nobody knows what the disk has.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { asError, SealbusError } from '../errors.js'
import { acquireLock, type Lock } from './lock.js'
import { encodeFrame, parseFrames } from './log-frames.js'
import type { EpochKey, EpochRecord, SeenMark, SeenMemory, SeenStore } from './seen.js'
import { encodeEntries, parseEntries, SeenEntries, SeenState } from './seen-log.js'

const LOG_FILE = 'seen.log'
/** Says that there was a log: without it a new folder and a lost file look alike. */
const MARKER_FILE = 'seen.exists'
/** There while a process uses the folder: who finds it at start follows one that did not close in order. */
const RUNNING_FILE = 'seen.running'
const LOCK_FILE = 'seen.lock'

export interface FileSeenOptions {
  /** The state folder; created with mode 0700. */
  readonly directory: string
  /** How long marks are collected before one fsync, ms. Default 2; at most 5. */
  readonly lingerMs?: number
  /** The log is rewritten when it has grown by this many bytes. Default 8 MiB. */
  readonly compactBytes?: number
}

/** @throws RangeError for a linger beyond 0..5 ms */
export function createFileSeen(options: FileSeenOptions): SeenStore {
  const { lingerMs = 2 } = options
  if (!(lingerMs >= 0 && lingerMs <= 5)) throw new RangeError(`lingerMs: expected 0..5, got ${lingerMs}`)
  return new FileSeen({ compactBytes: 8 * 1024 * 1024, ...options, lingerMs })
}

class FileSeen implements SeenStore {
  readonly kind = 'file'
  readonly #options: Required<FileSeenOptions>
  readonly #state: SeenState = new SeenState()
  readonly #entries: SeenEntries = new SeenEntries()
  #lock: Lock | undefined
  #log: FileHandle | undefined
  #grownBytes = 0
  #group: Promise<void> | undefined
  #writing: Promise<void> = Promise.resolve()
  #failed: SealbusError | undefined
  #closing: Promise<void> | undefined

  constructor(options: Required<FileSeenOptions>) {
    this.#options = options
  }

  async start(): Promise<SeenMemory> {
    const { directory } = this.#options
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      this.#lock = acquireLock(join(directory, LOCK_FILE))
      const lost = await this.#read()
      const running = join(directory, RUNNING_FILE)
      const unclean = await exists(running)
      if (!unclean) this.#state.attempts.clear() // whoever was interrupted then killed nobody
      await writeSynced(running, new Uint8Array())
      await this.#compact() // n.b. makes the directory's entries durable too
      return this.#state.memory(lost, unclean)
    } catch (error) {
      this.#lock?.release()
      throw error instanceof SealbusError ? error : storeFailed(directory, error)
    }
  }

  check(): undefined {
    return undefined
  }

  transaction<R>(run: (tx: undefined) => Promise<R>): Promise<R> {
    return run(undefined)
  }

  mark(mark: SeenMark): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed)
    this.#entries.mark(mark)
    return this.#schedule()
  }

  async attempt(key: EpochKey, seq: number): Promise<number> {
    const attempts = this.#state.attempts.of(key, seq) + 1
    this.#entries.attempts(key, seq, attempts)
    await this.#schedule()
    return attempts
  }

  survived(key: EpochKey, seq: number): void {
    if (this.#state.attempts.of(key, seq) > 0) this.#entries.attempts(key, seq, 0) // goes with the next group
  }

  note(record: EpochRecord): void {
    this.#entries.note(record)
    this.#schedule().catch(() => undefined) // whoever marks next is told
  }

  forget(key: EpochKey, closedBefore?: number): void {
    this.#entries.forget(key, closedBefore)
    this.#schedule().catch(() => undefined)
  }

  time(highestMs: number): void {
    this.#entries.time(highestMs) // goes with the next group
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** One promise for all that is collected until the group is written. */
  #schedule(): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed)
    if (this.#closing) return Promise.reject(closedError(this.#options.directory))
    this.#group ??= this.#writeGroup()
    return this.#group
  }

  async #writeGroup(): Promise<void> {
    const before = this.#writing
    const linger = new Promise<void>(resolve => setTimeout(resolve, this.#options.lingerMs))
    await Promise.all([before, linger])
    this.#group = undefined
    this.#writing = this.#flush()
    await this.#writing
  }

  /** @throws SealbusError `store-failed` */
  async #flush(): Promise<void> {
    if (this.#failed) throw this.#failed
    if (this.#entries.isEmpty || !this.#log) return
    const entries = this.#entries.take()
    try {
      this.#state.apply(entries)
      const frame = encodeFrame(encodeEntries(entries))
      await this.#log.appendFile(frame)
      await this.#log.datasync()
      this.#grownBytes += frame.length
      if (this.#grownBytes > this.#options.compactBytes) await this.#compact()
    } catch (error) {
      this.#failed = storeFailed(this.#options.directory, error)
      throw this.#failed
    }
  }

  /** Reads what is there; true where a log was, and is gone. */
  async #read(): Promise<boolean> {
    const path = join(this.#options.directory, LOG_FILE)
    const log = await readIfThere(path)
    if (!log) return await exists(join(this.#options.directory, MARKER_FILE))
    const { payloads, damagedAt } = parseFrames(log)
    if (damagedAt !== undefined)
      throw corrupt(path, `bytes ${damagedAt} and after are no frame, and more follows`)
    try {
      for (const payload of payloads) this.#state.apply(parseEntries(payload))
    } catch (error) {
      throw corrupt(path, asError(error).name)
    }
    return false
  }

  /** Writes the state as a new log beside the old one, and puts it in its place. */
  async #compact(): Promise<void> {
    const { directory } = this.#options
    const path = join(directory, LOG_FILE)
    await writeSynced(`${path}.new`, encodeFrame(encodeEntries(this.#state.snapshot())))
    await this.#log?.close()
    await rename(`${path}.new`, path)
    await writeSynced(join(directory, MARKER_FILE), new Uint8Array())
    await syncDirectory(directory)
    this.#log = await open(path, 'a')
    this.#grownBytes = 0
  }

  async #close(): Promise<void> {
    try {
      await this.#group
      await this.#writing
      if (!this.#log || this.#failed) return
      await this.#flush()
      await rm(join(this.#options.directory, RUNNING_FILE), { force: true })
    } catch {
      // whoever marked was told
    } finally {
      await this.#log?.close().catch(() => undefined)
      this.#log = undefined
      this.#lock?.release()
    }
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

function storeFailed(directory: string, cause: unknown): SealbusError {
  const message = `${directory}: what was handled cannot be remembered (${asError(cause).message}); mend the disk, restart`
  return new SealbusError('store-failed', message, { cause })
}

function corrupt(path: string, detail: string): SealbusError {
  return new SealbusError(
    'corrupt-store',
    `${path}: damaged (${detail}); move it away to go on, at the price of possible duplicates`,
  )
}

function closedError(directory: string): SealbusError {
  return new SealbusError('closed', `${directory}: the seen store is closed`)
}
