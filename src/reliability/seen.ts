/**
 * The seam to the receiver's memory of what it has handled. Contract only; memory-seen.ts and file-seen.ts obey it.
 *
 * Key of deduplication: sender's (domain, address), epoch, number. The envelope's id is none: it is not authenticated
 * as unique, and one message may travel in several envelopes.
 */
import type { Party } from '../bus.js'

/** One run of one lane of one sender. */
export interface EpochKey extends Party {
  /** 16 hex digits. */
  readonly epoch: string
}

/** What became of a number. Every one of them uses the number up. */
export type Mark = 'handled' | 'rejected' | 'expired' | 'parked' | 'skipped'

export interface SeenMark extends EpochKey {
  readonly seq: number
  readonly mark: Mark
  /** First 8 bytes of the content hash as hex: tells a duplicate from a conflict. */
  readonly hash: string
  /** When the message was created, ms: the epoch is kept until the latest of these + lifetime + skew. */
  readonly createdAtMs: number
}

/** All that is remembered of an epoch. */
export interface EpochRecord extends EpochKey {
  /** Where this receiver started: every number from `start` up to (not including) `next` is used up unless in `skipped`. */
  readonly start: number
  /** The next number in order. */
  readonly next: number
  /** Lowest number that may still come, as the sender last said. */
  readonly floor: number
  /** Used-up numbers outside `start..next`. */
  readonly beyond: readonly number[]
  /** At most 1 024: one that comes late is parked as `late`, never taken for seen. */
  readonly skipped: readonly number[]
  readonly parked: readonly number[]
  /** `[number, hash]` of the last 64. */
  readonly hashes: readonly (readonly [number, string])[]
  readonly lastCreatedAtMs: number
}

/** Everything a store knows at start. */
export interface SeenMemory {
  readonly epochs: readonly EpochRecord[]
  /** Per sender (`domain/address`): unknown epochs created at or before this are closed. */
  readonly closedBefore: ReadonlyMap<string, number>
  /** The highest authenticated time, ms: a clock that runs back does not revive old mail. */
  readonly highestTimeMs: number
  /** Memory was expected and is gone: duplicates are possible; an event says so. */
  readonly lost: boolean
}

export interface SeenStore<Tx = undefined> {
  /** `memory` forgets at exit and says `replayPossible` at start. */
  readonly kind: 'memory' | 'file' | 'transactional' | 'shared'
  /** @throws SealbusError `corrupt-store`, `store-failed` */
  start(): Promise<SeenMemory>
  /** The last word on a number just before its handler runs, where others may have handled it; local stores: undefined. */
  check(key: EpochKey, seq: number): Promise<Mark | undefined> | undefined
  /** Runs the handler in the application's transaction where there is one; else just calls it with undefined. */
  transaction<R>(run: (tx: Tx) => Promise<R>): Promise<R>
  /** Remembers; resolves when it would survive (file: fsynced, in groups). @throws SealbusError `store-failed` (final) */
  mark(mark: SeenMark, tx?: Tx): Promise<void>
  /** Replaces what is stored of an epoch (start, floor and gaps moved), without waiting for the disk. */
  note(record: EpochRecord): void
  /** Forgets an epoch; `closedBefore` for its sender where it was closed before its time. */
  forget(key: EpochKey, closedBefore?: number): void
  /** Remembers the highest authenticated time. */
  time(highestMs: number): void
  close(): Promise<void>
}
