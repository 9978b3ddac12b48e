/**
 * The seam to the receiver's memory of what it has handled. Contract only; memory-seen.ts, file-seen.ts, shared-seen.ts
 * and transactional-seen.ts obey it.
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
  /** The former process did not close in order: a message may have killed it. Absent where the store cannot know. */
  readonly unclean?: boolean
}

/** What a store says of one number that is used up. */
export interface Known {
  readonly mark: Mark
  /** As in {@link SeenMark}; empty where it is not kept any more. */
  readonly hash: string
}

/** What other workers have written of an epoch and its sender. */
export interface Recalled {
  readonly record: EpochRecord | undefined
  readonly closedBefore: number | undefined
}

/** What a store may ask and tell the receiver. */
export interface SeenHooks {
  /** The longest that a message may live here, ms: what is older needs no memory. */
  readonly lifetimeMs: number
  /** The shared memory is gone, or was set back, while we run: duplicates are possible. Note what is known once more. */
  readonly lost: () => void
  /** The store does not answer: nothing is handed out or acknowledged until it does. */
  readonly waiting: (reason: Error) => void
  /** It answers again. */
  readonly resumed: () => void
  /** Our claim ended while the handler ran: another worker may have handled the message too. */
  readonly overtaken: (key: EpochKey, seq: number) => void
}

/**
 * | kind | who else may write | a message is handled twice |
 * | --- | --- | --- |
 * | `memory` | nobody | after every restart |
 * | `file` | nobody | if the process dies between the handler's end and the mark |
 * | `shared` | workers of this inbox | the same, or if a worker outlives its claim |
 * | `transactional` | workers of this inbox | never, as far as its effects are in that transaction |
 */
export interface SeenStore<Tx = undefined> {
  /** `memory` forgets at exit and says `replayPossible` at start. */
  readonly kind: 'memory' | 'file' | 'transactional' | 'shared'
  /** n.b. several workers: gives no epochs, they are asked for by `recall`. @throws SealbusError `corrupt-store`, `store-failed` */
  start(hooks?: SeenHooks): Promise<SeenMemory>
  /** What others may have written of an epoch. Absent: nobody else writes. @throws SealbusError `closed` */
  recall?(key: EpochKey): Promise<Recalled>
  /**
   * The last word on a number just before its handler runs, where others may have handled it; local stores: undefined.
   * A shared store claims the number with it, and pends while another worker has the claim.
   * @throws SealbusError `closed`
   */
  check(key: EpochKey, seq: number): Promise<Known | undefined> | undefined
  /** Gives a claim back: the handler did not run, or has no outcome. */
  release?(key: EpochKey, seq: number): void
  /**
   * Runs the handler in the application's transaction where there is one; else just calls it with undefined.
   * @throws what `run` threw; `StoreUnavailable` where the transaction could not begin or end: its outcome is unknown
   */
  transaction<R>(run: (tx: Tx) => Promise<R>): Promise<R>
  /**
   * Remembers; resolves when it would survive (file: fsynced, in groups).
   * @throws SealbusError `store-failed` (final), `closed`; with `tx`, `AlreadySeen` where the number is used up
   */
  mark(mark: SeenMark, tx?: Tx): Promise<void>
  /** Says where an epoch stands (start, floor and gaps moved), without waiting for it; several workers: added to what is stored. */
  note(record: EpochRecord): void
  /** Forgets an epoch; `closedBefore` for its sender where it was closed before its time. */
  forget(key: EpochKey, closedBefore?: number): void
  /**
   * Remembers that a handler is about to run, and resolves when that would survive, with the number of attempts so far, this
   * one included. Forgotten with the message's mark, and after an orderly end. Absent: such a store does not count them.
   * @throws SealbusError `store-failed` (final)
   */
  attempt?(key: EpochKey, seq: number): Promise<number>
  /** The attempt has ended without an outcome, and we are alive: forgets it, without waiting for the disk. */
  survived?(key: EpochKey, seq: number): void
  /** Remembers the highest authenticated time. */
  time(highestMs: number): void
  /** Says whose inbox it is, before the start: from start to close its workers are counted. Absent: there is only one. */
  join?(address: string): void
  /** How many workers of that inbox there are, us included; one that has died counts for a while. Undefined: not known. */
  workers?(): Promise<number | undefined>
  close(): Promise<void>
}
