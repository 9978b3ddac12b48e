/** From waiting to sealed and stored: the outbox has every envelope before the pump may publish it. */
import type { Sealer } from '../crypto/sealing.js'
import { isSealbusError } from '../errors.js'
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Entry } from './entry.js'
import type { Introductions } from './introductions.js'
import type { Outbox } from './outbox.js'
import { retry } from './retry.js'
import { sealNext } from './seal-next.js'
import type { SendingLane } from './sending-lane.js'
import type { Settlement } from './settlement.js'
import type { Submission } from './submission.js'

export interface StoringOptions {
  readonly sealer: Sealer
  readonly introductions: Introductions
  readonly outbox: Outbox
  readonly receipts: AwaitingReceipts
  readonly settlement: Settlement
  readonly now: () => number
  /** It may be the lane's turn. */
  readonly wake: (lane: SendingLane) => void
  /** All that waited was refused. */
  readonly ended: (lane: SendingLane) => void
  /** Fires when the sending half closes. */
  readonly stopped: AbortSignal
}

/** A lane seals about so much before the next one's turn. */
const QUANTUM_BYTES: number = 64 * 1024

export class Storing {
  readonly #options: StoringOptions

  constructor(options: StoringOptions) {
    this.#options = options
  }

  /** Seals up to so many envelopes of what waits, and gives them to the outbox. */
  seal(lane: SendingLane, envelopes: number): void {
    const { settlement, now } = this.#options
    let bytes = 0
    for (let left = envelopes; left > 0 && lane.peekWaiting() !== undefined; left--) {
      if (bytes >= QUANTUM_BYTES) {
        this.#options.wake(lane)
        return
      }
      const refuse = (submission: Submission, error: unknown): void =>
        settlement.refuse(lane, submission, error)
      const entry = sealNext(lane, this.#options, now(), refuse)
      if (entry === undefined) {
        this.#options.ended(lane) // all that waited was refused
        return
      }
      bytes += entry.record.body.length
      lane.backlog.push(entry)
      this.#options.receipts.expect(lane, entry)
      void this.#store(lane, entry)
    }
  }

  /** n.b. nothing is published before the outbox has it. */
  async #store(lane: SendingLane, entry: Entry): Promise<void> {
    lane.storing++
    try {
      await this.#put(entry)
      if (entry.state === 'over') this.#options.outbox.remove(entry.record.id, lane.numbers.floor)
      entry.stored = true
      for (const submission of entry.submissions) submission.reached('stored')
    } catch (error) {
      if (!this.#options.stopped.aborted && entry.state === 'pending') {
        this.#options.settlement.over(lane, [entry], 'not-stored', () => error)
      }
    } finally {
      lane.storing--
      this.#options.wake(lane)
    }
  }

  /** A full outbox is waited for, unless all of the envelope may be dropped. */
  async #put(entry: Entry): Promise<void> {
    const { outbox } = this.#options
    try {
      await outbox.put(entry.record)
    } catch (error) {
      if (entry.record.droppable || !isSealbusError(error, 'buffer-full')) throw error
      const put = (): Promise<void> =>
        entry.state === 'pending' ? outbox.put(entry.record) : Promise.resolve()
      await retry(put, { retries: Number.POSITIVE_INFINITY, signal: this.#options.stopped })
    }
  }
}
