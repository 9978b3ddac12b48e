/** The lanes of a sending half: those of this life, made when they are first used, and what former lives left. */
import { randomBytes } from 'node:crypto'
import type { Party } from '../bus.js'
import { partyKey } from '../wire.js'
import { resumeNumbers, startNumbers } from './numbers.js'
import type { LeftLane, Outbox } from './outbox.js'
import type { LanePriority } from './ready.js'
import { SendingLane } from './sending-lane.js'

export class SendingLanes {
  readonly #outbox: Outbox
  readonly #lanes = new Map<string, SendingLane>()
  /** Of former lives, the oldest first. */
  readonly #former: SendingLane[] = []
  /** The last of them by recipient and priority. */
  readonly #past = new Map<string, SendingLane>()
  readonly #byEpoch = new Map<string, SendingLane>()

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  /** Lanes of this life. */
  get size(): number {
    return this.#lanes.size
  }

  *[Symbol.iterator](): IterableIterator<SendingLane> {
    yield* this.#former
    yield* this.#lanes.values()
  }

  byEpoch(epoch: string): SendingLane | undefined {
    return this.#byEpoch.get(epoch)
  }

  /** This life's lane to that party; a new one follows the last of a former life. */
  of(to: Party, priority: LanePriority): SendingLane {
    const key = keyOf(to, priority)
    const known = this.#lanes.get(key)
    if (known) return known
    const party = { domain: to.domain, address: to.address }
    const past = { after: this.#past.get(key), predecessor: this.#outbox.predecessor(party, priority) }
    const lane = new SendingLane(party, priority, startNumbers(randomBytes(8).toString('hex')), past)
    this.#lanes.set(key, lane)
    this.#byEpoch.set(lane.numbers.epoch, lane)
    return lane
  }

  /** A lane of a former life: what it left keeps its numbers, and goes before anything new. */
  resume(left: LeftLane): SendingLane {
    const { to, priority, stored, announcedFloor } = left
    const key = keyOf(to, priority)
    const numbers = resumeNumbers(left, stored[0]?.seq)
    const lane = new SendingLane(to, priority, numbers, { after: this.#past.get(key) })
    lane.published = true
    lane.announcedFloor = announcedFloor
    for (const each of stored) lane.spill.push(each)
    this.#past.set(key, lane)
    this.#former.push(lane)
    this.#byEpoch.set(left.epoch, lane)
    return lane
  }
}

function keyOf(to: Party, priority: LanePriority): string {
  return `${partyKey(to)}/${priority}`
}
