/**
 * The sealed bytes in memory of what an outbox on disk keeps. A backlog lies on disk alone; of each lane a little is read
 * ahead of its turn, and what is confirmed is let go. So a backlog of any size costs memory for its facts only.
 */
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Entry } from './entry.js'
import type { Outbox, Stored } from './outbox.js'
import type { SendingLane } from './sending-lane.js'

export interface BodiesOptions {
  readonly outbox: Outbox
  readonly receipts: AwaitingReceipts
}

/** In memory over all lanes. n.b. a lane that has nothing there may always have one envelope. */
const MOST_BYTES: number = 32 * 1024 * 1024
/** Read ahead for one lane. */
const AHEAD_BYTES: number = 128 * 1024
const AHEAD_RECORDS = 64

export class Bodies {
  readonly #options: BodiesOptions
  #bytes = 0

  constructor(options: BodiesOptions) {
    this.#options = options
  }

  /** It is stored: its turn is near, or its bytes are read again when it comes. */
  take(lane: SendingLane, entry: Entry, kept: Stored): void {
    const isNear = lane.spill.length === 0 && lane.window.length + lane.backlog.length < lane.windowSize
    if (!this.#options.outbox.durable) lane.backlog.push(entry)
    else if (isNear && this.#bytes < MOST_BYTES) {
      this.#bytes += kept.bytes
      lane.backlog.push(entry)
    } else this.#spill(lane, entry, kept)
  }

  /** It is confirmed or over: if it is to be sent again, its bytes are read again. */
  release(entry: Entry): void {
    if (!this.#options.outbox.durable || entry.kept === undefined || entry.body === undefined) return
    entry.body = undefined
    this.#bytes -= entry.kept.bytes
  }

  /** Reads what the lane sends next, unless enough is there. @param loaded - called when there is more */
  fill(lane: SendingLane, loaded: () => void): void {
    if (lane.loading || lane.spill.length === 0 || lane.backlog.length >= lane.windowSize) return
    lane.loading = true
    this.#load(lane, this.#next(lane)).then(
      () => {
        lane.loading = false
        loaded()
      },
      () => undefined, // the outbox has told: it has failed for good, and the lane stands
    )
  }

  /** The bytes of one that was confirmed; undefined where they cannot be had. */
  async of(entry: Entry): Promise<Uint8Array | undefined> {
    if (entry.body !== undefined || entry.kept === undefined) return entry.body
    const [body] = await this.#options.outbox.read([entry.kept]).catch(() => [])
    return body
  }

  #spill(lane: SendingLane, entry: Entry, kept: Stored): void {
    entry.body = undefined
    if (entry.submissions.every(({ settled }) => settled)) this.#options.receipts.forget(entry)
    else lane.promised.set(kept, entry)
    lane.spill.push(kept)
  }

  #next(lane: SendingLane): readonly Stored[] {
    const next: Stored[] = []
    let bytes = 0
    for (const stored of lane.spill) {
      const tooMuch = bytes + stored.bytes > AHEAD_BYTES || this.#bytes + bytes + stored.bytes > MOST_BYTES
      if (next.length > 0 && (tooMuch || next.length >= AHEAD_RECORDS)) break
      next.push(stored)
      bytes += stored.bytes
    }
    return next
  }

  async #load(lane: SendingLane, next: readonly Stored[]): Promise<void> {
    const bodies = await this.#options.outbox.read(next)
    for (const [i, stored] of next.entries()) {
      if (lane.spill.peek() !== stored) continue // it is over meanwhile
      const isPromised = lane.promised.has(stored)
      const entry = lane.entryOf(stored)
      lane.spill.shift()
      lane.promised.delete(stored)
      entry.body = bodies[i]
      this.#bytes += stored.bytes
      lane.backlog.push(entry)
      if (!isPromised) this.#options.receipts.expect(lane, entry)
    }
  }
}
