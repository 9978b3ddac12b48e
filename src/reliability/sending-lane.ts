/**
 * One lane: what one recipient gets at one priority, in order. Queues and numbers only; who moves things along is the pump.
 *
 * ```text
 * outside → waiting → storing → spill → backlog → window
 * no room   in memory, sealed,   on disk  sealed,   in flight or
 * in memory unsealed   outbox    alone    in memory about to be
 *                      writes it
 * ```
 *
 * n.b. a lane lives as long as the process: it costs a few hundred bytes at rest, and a forgotten one would need a new
 * epoch, of which a receiver keeps 64 for each sender.
 */
import type { Party } from '../bus.js'
import type { ChannelKind } from '../transport/transport.js'
import type { Predecessor } from '../wire.js'
import { type Entry, storedEntry } from './entry.js'
import { FLOWING, type LaneState } from './lane-state.js'
import { confirmed, type Numbers, over } from './numbers.js'
import type { Stored } from './outbox.js'
import { Queue } from './queue.js'
import type { LanePriority } from './ready.js'
import type { Route } from './route.js'
import type { Held } from './send-buffer.js'
import type { Submission } from './submission.js'

/** Envelopes in flight per lane: what is sent meanwhile shares the next. */
const WINDOW: Readonly<Record<LanePriority, number>> = { command: 4, report: 2, receipt: 2, backfill: 2 }

export class SendingLane {
  readonly to: Party
  readonly priority: LanePriority
  /** The lane of a former life that must be empty before this one may send. */
  readonly after: SendingLane | undefined
  /** The lane that waits for this one. */
  follower: SendingLane | undefined
  /** Named on envelopes until one is confirmed, and again every 5 minutes. */
  readonly predecessor: Predecessor | undefined
  predecessorNamedMs: number | undefined
  numbers: Numbers
  state: LaneState = FLOWING
  route: Route<SendingLane> | undefined
  /** The kind of channel that is being opened for it. */
  opening: ChannelKind | undefined
  isolated = false
  timer: NodeJS.Timeout | undefined
  readonly outside: Queue<Submission> = new Queue()
  readonly waiting: Queue<Submission> = new Queue()
  readonly storing: Queue<Entry> = new Queue()
  /** n.b. what is stored costs memory for its facts alone. */
  readonly spill: Queue<Stored> = new Queue()
  /** Entries of the spill that somebody waits for. */
  readonly promised: Map<Stored, Entry> = new Map()
  readonly backlog: Queue<Entry> = new Queue()
  window: Entry[] = []
  /** Bytes of the spill are being read. */
  loading = false
  readonly held: Held = { messages: 0, bytes: 0 }
  /** Something of this epoch has left: the receiver may know it. */
  published = false
  /** The highest floor in a confirmed envelope. */
  announcedFloor = 0
  /** Nothing here expires before this, ms. */
  expiryMs: number = Number.POSITIVE_INFINITY

  constructor(
    to: Party,
    priority: LanePriority,
    numbers: Numbers,
    past: { after?: SendingLane | undefined; predecessor?: Predecessor | undefined } = {},
  ) {
    this.to = to
    this.priority = priority
    this.numbers = numbers
    this.after = past.after
    if (past.after) past.after.follower = this
    this.predecessor = past.predecessor
  }

  /** Envelopes in flight while nothing is wrong. */
  get windowSize(): number {
    return WINDOW[this.priority]
  }

  /** Anything that is not confirmed or over. */
  get pending(): boolean {
    return this.sealed > 0 || this.peekWaiting() !== undefined || this.peekOutside() !== undefined
  }

  /** Nothing is left to do, and nothing to say. */
  get idle(): boolean {
    return !this.pending && !this.owesNotice
  }

  get sealed(): number {
    return this.window.length + this.backlog.length + this.spill.length + this.storing.length
  }

  /** Something of a former life is to go first. */
  get mustWait(): boolean {
    for (let lane = this.after; lane; lane = lane.after) if (!lane.idle) return true
    return false
  }

  /** Every envelope that is in memory. */
  *entries(): IterableIterator<Entry> {
    yield* this.window
    yield* this.backlog
    yield* this.promised.values()
    yield* this.storing
  }

  /** The spill's envelope, as far as somebody waits for it. */
  entryOf(stored: Stored): Entry {
    const { to, priority, numbers } = this
    return this.promised.get(stored) ?? storedEntry({ to, priority, epoch: numbers.epoch }, stored)
  }

  /** What the outbox keeps of this lane and has not left yet; undefined where it has, or has ended. */
  unsentEntry(stored: Stored): Entry | undefined {
    const spilled = this.spill.peek()
    if (spilled && stored.seq >= spilled.seq) return this.entryOf(stored)
    const isIt = (entry: Entry): boolean => entry.kept === stored && !entry.published
    return this.window.find(isIt) ?? [...this.backlog].find(isIt)
  }

  /** Messages that no confirm was had for. */
  get unsent(): number {
    let count = live(this.waiting) + live(this.outside)
    for (const { record } of this.window) count += record.count
    for (const { record } of this.backlog) count += record.count
    for (const { record } of this.storing) count += record.count
    for (const stored of this.spill) count += stored.count
    return count
  }

  /** The next message to be sealed; forgets what was aborted meanwhile. */
  peekWaiting(): Submission | undefined {
    return peekLive(this.waiting)
  }

  peekOutside(): Submission | undefined {
    return peekLive(this.outside)
  }

  /** Moves sealed envelopes up until `size` are in the window. */
  fillWindow(size: number): void {
    while (this.window.length < size) {
      const entry = this.backlog.shift()
      if (entry === undefined) return
      this.window.push(entry)
    }
  }

  /**
   * The floor has risen, and no envelope that could say so is on its way or about to be: nothing else goes, or what goes
   * next was sealed before, so that the recipient would wait for numbers that are over.
   */
  get owesNotice(): boolean {
    const { floor } = this.numbers
    if (floor <= this.announcedFloor) return false
    if (this.window.some(({ record }) => record.count === 0 && record.floor >= floor)) return false
    const next = this.#nextUp()
    return next === undefined ? this.published && !this.pending : next.floor < floor
  }

  /** An envelope without messages goes before everything that has not left. */
  announce(notice: Entry): void {
    const at = this.window.findIndex(({ flight }) => flight === undefined)
    this.window.splice(at < 0 ? this.window.length : at, 0, notice)
  }

  /** Notes the confirm in the numbers. */
  confirm(entry: Entry): void {
    this.#remove(entry)
    this.numbers = confirmed(this.numbers, this.#lowestUnsettled())
    this.announcedFloor = Math.max(this.announcedFloor, entry.record.floor)
  }

  /** Uses the numbers of these entries up without a confirm. n.b. a notice that found no way is not sent again. */
  giveUp(gone: ReadonlySet<Entry>): void {
    this.window = this.window.filter(entry => !gone.has(entry))
    this.backlog.filter(entry => !gone.has(entry))
    this.storing.filter(entry => !gone.has(entry))
    this.#unspill(new Set([...gone].map(({ kept }) => kept)))
    const lowest = this.#lowestUnsettled()
    for (const { record } of gone) {
      this.numbers = over(this.numbers, record, lowest)
      if (record.count === 0) this.announcedFloor = Math.max(this.announcedFloor, record.floor)
    }
  }

  /** When the oldest of what is in flight on the present channel left, ms. */
  get oldestFlightMs(): number | undefined {
    let oldest: number | undefined
    for (const { flight } of this.window)
      if (flight && (oldest ?? flight.atMs) >= flight.atMs) oldest = flight.atMs
    return oldest
  }

  /** Nothing of the window counts as in flight on the present channel any more. */
  ground(): number {
    let count = 0
    for (const entry of this.window) {
      if (entry.flight !== undefined) count++
      entry.flight = undefined
    }
    return count
  }

  #remove(entry: Entry): void {
    const at = this.window.indexOf(entry)
    if (at >= 0) this.window.splice(at, 1)
    else this.backlog.filter(other => other !== entry)
  }

  #unspill(gone: ReadonlySet<Stored | undefined>): void {
    if (this.spill.length === 0) return
    this.spill.filter(stored => !gone.has(stored))
    for (const stored of gone) if (stored) this.promised.delete(stored)
  }

  #lowestUnsettled(): number | undefined {
    const message = this.window.find(({ record }) => record.count > 0)
    return (message ?? this.backlog.peek())?.record.seq ?? this.#unsent()?.seq
  }

  /** The first envelope that has not left yet; undefined where only what is unsealed, or nothing, comes next. */
  #nextUp(): { readonly floor: number } | undefined {
    const unsent = this.window.find(({ record, flight }) => record.count > 0 && flight === undefined)
    return (unsent ?? this.backlog.peek())?.record ?? this.#unsent()
  }

  #unsent(): { readonly seq: number; readonly floor: number } | undefined {
    return this.spill.peek() ?? this.storing.peek()?.record
  }
}

function peekLive(queue: Queue<Submission>): Submission | undefined {
  while (queue.peek()?.settled) queue.shift()
  return queue.peek()
}

function live(queue: Queue<Submission>): number {
  let count = 0
  for (const submission of queue) if (!submission.settled) count++
  return count
}
