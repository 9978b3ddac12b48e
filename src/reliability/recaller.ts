/**
 * Asks a store that several workers write to what the others have made of an epoch: before the first envelope of it is
 * judged, again after the channel was lost, and now and then while a gap is open, since another worker may be filling it.
 */
import type { Opened } from '../crypto/sealing.js'
import { partyKey } from '../wire.js'
import type { Lane } from './lane.js'
import type { EpochKey, Recalled, SeenStore } from './seen.js'

/** Between two questions about one gap. */
const GAP_ASK_MS = 500

export interface RecallerOptions {
  readonly seen: Pick<SeenStore, 'recall'>
  readonly learn: (key: EpochKey, recalled: Recalled, createdAtMs: number) => void
  readonly activeMs: () => number
}

export class Recaller {
  readonly #options: RecallerOptions
  /** Epochs of which we know what the others know, since the last loss. */
  #asked: Set<string> = new Set()
  readonly #waiting: Map<string, (() => void)[]> = new Map()
  /** Lanes with a gap whose question has no answer yet. */
  readonly #gaps: Set<Lane> = new Set()
  #askedMs = 0

  constructor(options: RecallerOptions) {
    this.#options = options
  }

  /** Envelopes wait for an answer. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** Calls `judge` once the envelope's epoch has been asked for; at once where nobody else writes, or it was. */
  before(opened: Opened, judge: () => void): void {
    const { seen } = this.#options
    const { from, epoch, createdAtMs } = opened
    const name = `${partyKey(from)}/${epoch}`
    if (!seen.recall || this.#asked.has(name)) {
      judge()
      return
    }
    const waiting = this.#waiting.get(name)
    if (waiting) {
      waiting.push(judge)
      return
    }
    this.#waiting.set(name, [judge])
    void this.#first({ domain: from.domain, address: from.address, epoch }, name, createdAtMs)
  }

  /** Asks again about lanes that wait for something. */
  tick(lanes: Iterable<Lane>): void {
    const { seen, activeMs } = this.#options
    if (!seen.recall || activeMs() - this.#askedMs < GAP_ASK_MS) return
    this.#askedMs = activeMs()
    for (const lane of lanes) if (!this.#gaps.has(lane)) void this.#again(lane)
  }

  /** The channel is gone, or an epoch was forgotten: others may go on where we were. */
  forget(): void {
    this.#asked = new Set()
  }

  /** n.b. a store that is away gets one question for a gap, not two a second. */
  async #again(lane: Lane): Promise<void> {
    const { key, lastCreatedAtMs } = lane.memory
    this.#gaps.add(lane)
    await this.#ask(key, lastCreatedAtMs)
    this.#gaps.delete(lane)
  }

  async #first(key: EpochKey, name: string, createdAtMs: number): Promise<void> {
    if (!(await this.#ask(key, createdAtMs))) return // n.b. the store is closed: the broker keeps what waits
    this.#asked.add(name)
    const waiting = this.#waiting.get(name) ?? []
    this.#waiting.delete(name)
    for (const judge of waiting) judge()
  }

  async #ask(key: EpochKey, createdAtMs: number): Promise<boolean> {
    const { seen, learn } = this.#options
    const recalled = await seen.recall?.(key).catch(() => undefined)
    if (recalled) learn(key, recalled, createdAtMs)
    return recalled !== undefined
  }
}
