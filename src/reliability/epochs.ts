/**
 * All epochs of all senders at the receiver. A sender has at most 64; then its oldest is closed: of it only the time
 * remains, and an unknown epoch that was created at or before that is refused. An epoch whose last message can no longer
 * be alive is forgotten, since a replay of it would be expired.
 */
import { type LaneNumbers, partyKey, SKEW_MS } from '../wire.js'
import { EpochMemory } from './epoch.js'
import { Lane } from './lane.js'
import type { EpochKey, Recalled, SeenMemory, SeenStore } from './seen.js'

/** Epochs that are remembered of one sender. */
export const MAX_EPOCHS = 64

type EpochNotes = Pick<SeenStore, 'note' | 'forget'>

export class Epochs {
  readonly #bySender: Map<string, Map<string, Lane>> = new Map()
  readonly #closedBefore: Map<string, number>
  readonly #store: EpochNotes
  readonly #lifetimeMs: number

  /** @param lifetimeMs - the longest that a message may live for this recipient */
  constructor(memory: SeenMemory, store: EpochNotes, lifetimeMs: number) {
    this.#store = store
    this.#lifetimeMs = lifetimeMs
    this.#closedBefore = new Map(memory.closedBefore)
    for (const record of memory.epochs)
      this.#ofSender(record).set(record.epoch, new Lane(new EpochMemory(record)))
  }

  find(from: { domain: string; address: string }, epoch: string): Lane | undefined {
    return this.#bySender.get(partyKey(from))?.get(epoch)
  }

  /** The lane of an envelope, new or known; undefined where its epoch is closed. */
  open(key: EpochKey, numbers: LaneNumbers, createdAtMs: number): Lane | undefined {
    const lanes = this.#ofSender(key)
    const known = lanes.get(key.epoch)
    if (known) return known
    if (createdAtMs <= (this.#closedBefore.get(partyKey(key)) ?? Number.NEGATIVE_INFINITY)) return undefined
    if (lanes.size >= MAX_EPOCHS && !this.#closeOldest(lanes)) return undefined
    const { domain, address, epoch } = key
    const lane = new Lane(EpochMemory.first({ domain, address, epoch }, numbers.open, numbers.floor))
    lanes.set(epoch, lane)
    this.#store.note(lane.memory.record())
    return lane
  }

  /** Adds what other workers have written of an epoch and its sender. @param createdAtMs - of the envelope that made us ask */
  learn(key: EpochKey, { record, closedBefore }: Recalled, createdAtMs: number): Lane | undefined {
    const sender = partyKey(key)
    if (closedBefore !== undefined)
      this.#closedBefore.set(sender, Math.max(closedBefore, this.#closedBefore.get(sender) ?? 0))
    const lanes = this.#ofSender(key)
    const lane = lanes.get(key.epoch)
    if (!record || (!lane && lanes.size >= MAX_EPOCHS && !this.#closeOldest(lanes))) return lane
    if (lane) lane.learn(record)
    else lanes.set(key.epoch, new Lane(new EpochMemory({ ...record, lastCreatedAtMs: createdAtMs })))
    return lane
  }

  /** Forgets what can no longer be alive. */
  sweep(nowMs: number): void {
    const before = nowMs - this.#lifetimeMs - SKEW_MS
    for (const [sender, lanes] of this.#bySender) {
      for (const [epoch, lane] of lanes) {
        if (!isIdle(lane) || lane.memory.lastCreatedAtMs >= before) continue
        lanes.delete(epoch)
        this.#store.forget(lane.memory.key)
      }
      if (lanes.size === 0) this.#bySender.delete(sender)
    }
  }

  *lanes(): Generator<Lane> {
    for (const lanes of this.#bySender.values()) yield* lanes.values()
  }

  #ofSender(party: EpochKey): Map<string, Lane> {
    const sender = partyKey(party)
    const lanes = this.#bySender.get(sender) ?? new Map<string, Lane>()
    this.#bySender.set(sender, lanes)
    return lanes
  }

  /** False where every one of them has messages under way. */
  #closeOldest(lanes: Map<string, Lane>): boolean {
    let oldest: Lane | undefined
    for (const lane of lanes.values()) {
      if (isIdle(lane) && lane.memory.lastCreatedAtMs < (oldest?.memory.lastCreatedAtMs ?? Infinity))
        oldest = lane
    }
    if (!oldest) return false
    const { key, lastCreatedAtMs } = oldest.memory
    const sender = partyKey(key)
    const closedBefore = Math.max(lastCreatedAtMs, this.#closedBefore.get(sender) ?? 0)
    this.#closedBefore.set(sender, closedBefore)
    lanes.delete(key.epoch)
    this.#store.forget(key, closedBefore)
    return true
  }
}

function isIdle(lane: Lane): boolean {
  return lane.slots.size === 0 && lane.arrivals === 0
}
