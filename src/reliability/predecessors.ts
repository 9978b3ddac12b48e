/**
 * Epochs that follow one another: the first message of a new one waits for the last of the one that it names, so that
 * order holds over a restart of the sender. The wait ends when nothing more is to be expected.
 */
import type { Opened } from '../crypto/sealing.js'
import type { Epochs } from './epochs.js'
import { GAP_MS } from './gaps.js'
import type { Lane } from './lane.js'

/** How long a lane waits for a predecessor of which nothing is known: it comes at once, or was over long ago. */
const UNKNOWN_MS = 1_000

export class Predecessors {
  readonly #epochs: Epochs
  readonly #activeMs: () => number
  readonly #waiting: Set<Lane> = new Set()

  /** @param activeMs - time that counts ms only while the event loop turns */
  constructor(epochs: Epochs, activeMs: () => number) {
    this.#epochs = epochs
    this.#activeMs = activeMs
  }

  /** Lanes that wait for the one before them. */
  get waiting(): Iterable<Lane> {
    return this.#waiting
  }

  has(lane: Lane): boolean {
    return this.#waiting.has(lane)
  }

  /** Lets the lane wait for the epoch that its envelope names, unless it has begun. */
  expect(lane: Lane, { predecessor, epoch }: Opened): void {
    if (!predecessor || lane.begun || lane.waitsFor || predecessor.epoch === epoch) return
    lane.waitsFor = { ...predecessor, sinceMs: this.#activeMs() }
    this.#waiting.add(lane)
  }

  /** The lane still has to wait; asked again and again, it ends the wait itself. */
  holds(lane: Lane): boolean {
    if (!lane.waitsFor) return false
    if (!this.#isOver(lane, lane.waitsFor)) return true
    lane.waitsFor = undefined
    lane.begun = true
    this.#waiting.delete(lane)
    return false
  }

  #isOver(lane: Lane, waitsFor: NonNullable<Lane['waitsFor']>): boolean {
    const before = this.#epochs.find(lane.memory.key, waitsFor.epoch)
    if (before && before.slots.size > 0 && !before.waitsFor) waitsFor.sinceMs = this.#activeMs() // it is alive
    const patienceMs = before ? GAP_MS : UNKNOWN_MS
    return (before?.isPast(waitsFor.lastSeq) ?? false) || this.#activeMs() - waitsFor.sinceMs >= patienceMs
  }
}
