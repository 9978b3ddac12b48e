/**
 * What the seen file says, line by line, and the memory that follows from it. Each frame of the file holds one JSON array
 * of entries; marks of neighbouring numbers are written as one run.
 */
import { utf8 } from '../bytes.js'
import { partyKey } from '../wire.js'
import { Attempts, type AttemptsEntry } from './attempts.js'
import { EpochMemory } from './epoch.js'
import type { EpochKey, EpochRecord, Mark, SeenMark, SeenMemory } from './seen.js'

/** `m`: marks of a run of numbers. `n`: a whole epoch. `f`: an epoch forgotten. `c`: closed before. `t`: time. `a`: attempts. */
export type Entry =
  | ['m', EpochKey, seq: number, count: number, Mark, hash: string, createdAtMs: number]
  | ['n', EpochRecord]
  | ['f', EpochKey]
  | ['c', sender: string, beforeMs: number]
  | ['t', highestMs: number]
  | AttemptsEntry

/** Entries as the payload of one frame. */
export function encodeEntries(entries: readonly Entry[]): Uint8Array {
  return utf8(JSON.stringify(entries))
}

/** The inverse of {@link encodeEntries}, for bytes whose checksum was right. @throws SyntaxError for anything else */
export function parseEntries(payload: Uint8Array): readonly Entry[] {
  return JSON.parse(Buffer.from(payload).toString('utf8')) as readonly Entry[]
}

/** Entries that wait to be written, with runs of marks joined. */
export class SeenEntries {
  #entries: Entry[] = []

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  mark(mark: SeenMark): void {
    const last = this.#entries.at(-1)
    if (last?.[0] === 'm' && continues(last, mark)) {
      last[3] += 1
      last[6] = Math.max(last[6], mark.createdAtMs)
      return
    }
    this.#entries.push(['m', keyOf(mark), mark.seq, 1, mark.mark, mark.hash, mark.createdAtMs])
  }

  note(record: EpochRecord): void {
    this.#entries.push(['n', record])
  }

  forget(key: EpochKey, closedBefore: number | undefined): void {
    this.#entries.push(['f', keyOf(key)])
    if (closedBefore !== undefined) this.#entries.push(['c', partyKey(key), closedBefore])
  }

  time(highestMs: number): void {
    this.#entries.push(['t', highestMs])
  }

  attempts(key: EpochKey, seq: number, attempts: number): void {
    this.#entries.push(['a', keyOf(key), seq, attempts])
  }

  /** All of them, in order; none are left. */
  take(): readonly Entry[] {
    const entries = this.#entries
    this.#entries = []
    return entries
  }
}

/** The state that a log of entries leads to. */
export class SeenState {
  readonly #epochs: Map<string, EpochMemory> = new Map()
  readonly #closedBefore: Map<string, number> = new Map()
  /** At messages without an outcome. */
  readonly attempts: Attempts = new Attempts()
  #highestMs = 0

  apply(entries: readonly Entry[]): void {
    for (const entry of entries) this.#applyOne(entry)
  }

  memory(lost: boolean, unclean: boolean): SeenMemory {
    const epochs = [...this.#epochs.values()].map(epoch => epoch.record())
    const closedBefore = new Map(this.#closedBefore)
    return { epochs, closedBefore, highestTimeMs: this.#highestMs, lost, unclean }
  }

  /** The shortest log that leads here. */
  snapshot(): readonly Entry[] {
    const entries: Entry[] = [['t', this.#highestMs]]
    for (const [sender, beforeMs] of this.#closedBefore) entries.push(['c', sender, beforeMs])
    for (const epoch of this.#epochs.values()) entries.push(['n', epoch.record()])
    entries.push(...this.attempts.entries())
    return entries
  }

  #applyOne(entry: Entry): void {
    switch (entry[0]) {
      case 'm':
        this.#applyMarks(entry)
        break
      case 'n':
        this.#epochs.set(epochKey(entry[1]), new EpochMemory(entry[1]))
        break
      case 'f':
        this.#epochs.delete(epochKey(entry[1]))
        this.attempts.forget(entry[1])
        break
      case 'a':
        this.attempts.set(entry[1], entry[2], entry[3])
        break
      case 'c':
        this.#closedBefore.set(entry[1], entry[2])
        break
      case 't':
        this.#highestMs = Math.max(this.#highestMs, entry[1])
        break
      default:
        throw new TypeError('seen file: unknown entry')
    }
  }

  #applyMarks([, key, seq, count, mark, hash, createdAtMs]: Extract<Entry, ['m', ...unknown[]]>): void {
    const known = this.#epochs.get(epochKey(key))
    const epoch = known ?? EpochMemory.first(key, seq, seq)
    if (!known) this.#epochs.set(epochKey(key), epoch)
    for (let i = 0; i < count; i++) epoch.use(seq + i, mark, hash, createdAtMs)
    this.attempts.over(key, seq, count)
  }
}

function continues(run: Extract<Entry, ['m', ...unknown[]]>, mark: SeenMark): boolean {
  const [, key, seq, count, kind, hash] = run
  return (
    mark.seq === seq + count &&
    mark.mark === kind &&
    mark.hash === hash &&
    mark.epoch === key.epoch &&
    mark.address === key.address &&
    mark.domain === key.domain
  )
}

function keyOf({ domain, address, epoch }: EpochKey): EpochKey {
  return { domain, address, epoch }
}

function epochKey(key: EpochKey): string {
  return `${partyKey(key)}/${key.epoch}`
}
