/**
 * The seam to what keeps sealed bytes until they are confirmed or over. Contract only; memory-outbox.ts and
 * file-outbox.ts obey it. n.b. sealed bytes only: a stolen disk shows nothing, not even to its owner.
 */
import type { Party, Priority } from '../bus.js'
import type { Predecessor } from '../wire.js'

/** What is known of one sealed envelope besides its bytes and its lane. */
export interface EnvelopeFacts {
  /** Envelope id, 32 hex digits. */
  readonly id: string
  /** Number of its first message. */
  readonly seq: number
  /** Messages in it; number `seq + count - 1` is its last. */
  readonly count: number
  /** The floor that it announces. */
  readonly floor: number
  /** When the last of its messages expires, ms. */
  readonly expiresAtMs: number
  /** Keep until the receipts are in, not just until confirmed. */
  readonly untilHandled: boolean
  readonly droppable: boolean
}

/** Which lane of which life of a process. */
export interface LaneOfLife {
  readonly to: Party
  readonly priority: Priority | 'receipt'
  /** 16 hex digits. */
  readonly epoch: string
}

/** One sealed envelope without its bytes. */
export interface EnvelopeHead extends EnvelopeFacts, LaneOfLife {}

/** One sealed envelope, as it is sent on every attempt. */
export interface OutboxRecord extends EnvelopeHead {
  readonly body: Uint8Array
}

/** An envelope that an outbox keeps: what names it there. The bytes can be read again. */
export interface Stored extends EnvelopeFacts {
  /** Length of the body. */
  readonly bytes: number
}

/** A lane as a former life of this process left it. Older lanes come first. */
export interface LeftLane extends LaneOfLife {
  readonly floor: number
  /** The highest floor that the recipient's inbox is known to have. */
  readonly announcedFloor: number
  /** Ends (exclusive) of ranges above the floor that are over. */
  readonly overEnds: readonly number[]
  /** The number after its last one. */
  readonly next: number
  /** Lowest number first. May be empty: then only the floor is still to be said. */
  readonly stored: readonly Stored[]
}

export interface OutboxUsage {
  readonly records: number
  readonly bytes: number
}

export interface Outbox {
  /** Survives the process: `until: 'stored'` is possible. */
  readonly durable: boolean
  /** What happens when it is full: the sender waits, is refused, or what is droppable makes way. */
  readonly whenFull: 'wait' | 'reject' | 'drop'
  /** How long an envelope is kept at most, ms. */
  readonly ageMs: number
  /** Opens, takes the lock, and tells what is left, lane by lane. @throws SealbusError `corrupt-store`, `store-failed` */
  start(): Promise<readonly LeftLane[]>
  /** Bytes of one more body for which there is room, 0 when it is full. n.b. an empty outbox takes any. */
  room(): number
  /**
   * Keeps one record; resolves when it is as safe as this outbox makes it (durable: fsynced). Calls are kept in order,
   * also on disk: what a crash leaves of a lane has no gap.
   * @throws SealbusError `buffer-full` (no room), `store-failed` (final), `closed`
   */
  put(record: OutboxRecord): Promise<Stored>
  /** The bytes of what it keeps. @throws SealbusError `corrupt-store`, `store-failed`, `closed` */
  read(stored: readonly Stored[]): Promise<readonly Uint8Array[]>
  /** It is confirmed, handled, or `over` (will never be sent again); `floor` is its lane's now. */
  remove(stored: Stored, outcome: 'settled' | 'over', floor: number): void
  /** What is kept and droppable, the oldest first. */
  droppable(): Iterable<{ readonly epoch: string; readonly stored: Stored }>
  /** The recipient's inbox has an envelope that says this floor. */
  announced(lane: LaneOfLife, floor: number): void
  /** The epoch that a new one of this lane follows, if a former life left one. */
  predecessor(to: Party, priority: Priority | 'receipt'): Predecessor | undefined
  usage(): OutboxUsage
  /** Writes what is pending; releases the lock. May be called twice. */
  close(): Promise<void>
}
