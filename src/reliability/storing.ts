/**
 * From waiting to sealed and stored: the outbox has every envelope before the pump may publish it. Where the outbox is
 * full nothing is sealed, so that no number is used up by what cannot be kept.
 */
import type { Sealer } from '../crypto/sealing.js'
import type { AwaitingReceipts } from './awaiting-receipts.js'
import type { Bodies } from './bodies.js'
import type { Entry } from './entry.js'
import type { Introductions } from './introductions.js'
import type { Outbox } from './outbox.js'
import { Ready } from './ready.js'
import { sealNext } from './seal-next.js'
import type { SendingLane } from './sending-lane.js'
import { outboxFull, type Settlement } from './settlement.js'
import type { Submission } from './submission.js'

export interface StoringOptions {
  readonly sealer: Sealer
  readonly introductions: Introductions
  readonly outbox: Outbox
  readonly bodies: Bodies
  /** The lane of an epoch. */
  readonly laneOf: (epoch: string) => SendingLane | undefined
  readonly receipts: AwaitingReceipts
  readonly settlement: Settlement
  readonly now: () => number
  /** Something of the lane expires then. */
  readonly expires: (lane: SendingLane, atMs: number) => void
  /** It may be the lane's turn. */
  readonly wake: (lane: SendingLane) => void
  /** All that waited was refused. */
  readonly ended: (lane: SendingLane) => void
  /** Fires when the sending half closes. */
  readonly stopped: AbortSignal
}

/** A lane seals about so much before the next one's turn. */
const QUANTUM_BYTES: number = 64 * 1024

/** Of what is kept, so much makes way at a time. */
const DROP_SHARE = 64

export class Storing {
  readonly #options: StoringOptions
  /** Lanes that wait for room in the outbox. */
  readonly #roomless = new Ready<SendingLane>()

  constructor(options: StoringOptions) {
    this.#options = options
  }

  /** Seals up to so many envelopes of what waits, and gives them to the outbox. */
  seal(lane: SendingLane, envelopes: number): void {
    let bytes = 0
    for (let left = envelopes; left > 0; left--) {
      const next = lane.peekWaiting()
      if (next === undefined) break
      if (bytes >= QUANTUM_BYTES) {
        this.#options.wake(lane)
        return
      }
      if (!this.#hasRoom(lane, next)) return
      const entry = this.#sealOne(lane)
      if (entry === undefined) break
      bytes += entry.body?.length ?? 0
      void this.#store(lane, entry)
    }
    this.freed()
  }

  /** There may be room in the outbox again. n.b. one lane at a time, or many would be woken for the room of one. */
  freed(): void {
    if (this.#options.outbox.room() === 0) return
    const lane = this.#roomless.shift()
    if (lane) this.#options.wake(lane)
  }

  #sealOne(lane: SendingLane): Entry | undefined {
    const { settlement, now, outbox, receipts, expires, ended } = this.#options
    const refuse = (submission: Submission, error: unknown): void =>
      settlement.refuse(lane, submission, error)
    const entry = sealNext(lane, this.#options, now(), outbox.room(), refuse)
    if (entry === undefined) {
      ended(lane) // all that waited was refused
      return undefined
    }
    receipts.expect(lane, entry)
    expires(lane, entry.record.expiresAtMs) // n.b. the outbox may keep it for less than its messages live
    return entry
  }

  /** n.b. nothing is published before the outbox has it; receipts are best effort, and worth no fsync. */
  async #store(lane: SendingLane, entry: Entry): Promise<void> {
    const { outbox, settlement, stopped, wake } = this.#options
    const { record, body = new Uint8Array() } = entry
    if (outbox.durable && lane.priority === 'receipt') {
      lane.backlog.push(entry)
      return
    }
    lane.storing.push(entry)
    try {
      entry.kept = await outbox.put({ ...record, body })
      if (entry.state === 'over') outbox.remove(entry.kept, 'over', lane.numbers.floor)
      else this.#stored(lane)
    } catch (error) {
      if (!stopped.aborted && entry.state === 'pending') {
        settlement.over(lane, [entry], 'not-stored', () => error)
      }
    } finally {
      wake(lane)
    }
  }

  /** In order: what is behind an envelope that is not stored yet waits for it. */
  #stored(lane: SendingLane): void {
    for (let entry = lane.storing.peek(); entry?.kept; entry = lane.storing.peek()) {
      lane.storing.shift()
      for (const submission of entry.submissions) submission.reached('stored')
      this.#options.bodies.take(lane, entry, entry.kept)
      this.#options.settlement.stored(lane, entry)
    }
  }

  /** Room for the next message; where there is none, the message is refused, something makes way, or the lane waits. */
  #hasRoom(lane: SendingLane, next: Submission): boolean {
    const { outbox, sealer, settlement } = this.#options
    const needed = next.size + sealer.overhead(true)
    if (outbox.room() >= needed || (outbox.durable && lane.priority === 'receipt')) return true
    if (outbox.whenFull === 'drop' && this.#drop(needed)) return true
    if (next.droppable || outbox.whenFull === 'reject') {
      settlement.refuse(lane, next, outboxFull())
      this.#options.ended(lane)
    } else this.#roomless.add(lane)
    return false
  }

  /** The oldest that are droppable make way. n.b. what is in flight may have arrived. */
  #drop(needed: number): boolean {
    const { outbox, laneOf, settlement } = this.#options
    while (outbox.room() < needed) {
      const batch = new Map<SendingLane, Entry[]>()
      let left = Math.ceil(outbox.usage().records / DROP_SHARE)
      for (const { epoch, stored } of outbox.droppable()) {
        const lane = laneOf(epoch)
        const entry = lane?.unsentEntry(stored)
        if (lane === undefined || entry === undefined) continue
        batch.set(lane, [...(batch.get(lane) ?? []), entry])
        if (--left === 0) break
      }
      if (batch.size === 0) return false
      for (const [lane, entries] of batch) settlement.over(lane, entries, 'dropped', outboxFull)
    }
    return true
  }
}
