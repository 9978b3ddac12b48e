/**
 * Watches lanes that have a gap: a gap is given up after 90 s, or when what it holds back grows over a bound. Bounded in
 * bytes over all senders, and an eighth of that for one.
 */
import { partyKey } from '../wire.js'
import type { Gap, Lane } from './lane.js'

/** How long a gap may stay open. */
export const GAP_MS = 90_000
/** Held behind gaps, over all senders. */
export const MAX_HELD_BYTES: number = 64 * 1024 * 1024 // 64 MiB
const SHARE = 8

interface Watched {
  reach: number
  sinceMs: number
  bytes: number
}

export class Gaps {
  readonly #watched: Map<Lane, Watched> = new Map()
  readonly #bySender: Map<string, number> = new Map()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number = MAX_HELD_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** Bytes held behind gaps. */
  get bytes(): number {
    return this.#bytes
  }

  get lanes(): Iterable<Lane> {
    return this.#watched.keys()
  }

  has(lane: Lane): boolean {
    return this.#watched.has(lane)
  }

  /** To be called whenever something came or went in the lane. */
  watch(lane: Lane, activeMs: number): void {
    const watched = this.#watched.get(lane)
    if (!watched && !lane.hasGap) return
    this.#count(lane, lane.aheadBytes - (watched?.bytes ?? 0))
    if (!lane.hasGap) this.#watched.delete(lane)
    else if (watched?.reach === lane.reach) watched.bytes = lane.aheadBytes
    else this.#watched.set(lane, { reach: lane.reach, sinceMs: activeMs, bytes: lane.aheadBytes })
  }

  /** Starts the time of every gap again: what would fill them cannot come. */
  renew(activeMs: number): void {
    for (const watched of this.#watched.values()) watched.sinceMs = activeMs
  }

  /** Lanes whose gap is due to be given up: older than 90 s. */
  due(activeMs: number): readonly Lane[] {
    const due: Lane[] = []
    for (const [lane, { sinceMs }] of this.#watched) if (activeMs - sinceMs >= GAP_MS) due.push(lane)
    return due
  }

  /** The lane whose gap has to be given up now, since this one's sender, or all of them, hold too much. */
  overfull(lane: Lane): Lane | undefined {
    if (this.#bytes > this.#maxBytes) return this.oldest()
    const sender = partyKey(lane.memory.key)
    if ((this.#bySender.get(sender) ?? 0) > this.#maxBytes / SHARE) return this.oldest(sender)
    return undefined
  }

  /** The lane with the oldest gap, of one sender where named. */
  oldest(sender?: string): Lane | undefined {
    let oldest: Lane | undefined
    let sinceMs = Infinity
    for (const [lane, watched] of this.#watched) {
      if (watched.sinceMs >= sinceMs || (sender !== undefined && partyKey(lane.memory.key) !== sender))
        continue
      oldest = lane
      sinceMs = watched.sinceMs
    }
    return oldest
  }

  #count(lane: Lane, bytes: number): void {
    if (bytes === 0) return
    const sender = partyKey(lane.memory.key)
    const sum = (this.#bySender.get(sender) ?? 0) + bytes
    if (sum === 0) this.#bySender.delete(sender)
    else this.#bySender.set(sender, sum)
    this.#bytes += bytes
  }
}

/** How an event names what was given up. */
export function describeGap(lane: Lane, gap: Gap, reason: string): object {
  const { key } = lane.memory
  return {
    from: partyKey(key),
    epoch: key.epoch,
    first: gap.from,
    last: gap.to - 1,
    reason,
    alarm: reason !== 'floor',
  }
}
