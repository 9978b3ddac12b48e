/**
 * From an opened envelope to the handler and back: verdicts, order, turns. This file joins them: what comes is judged
 * (triage.ts) and put into its lane, gaps are watched and given up (gaps.ts), lanes take turns (turns.ts).
 */
import type { ConsumeOptions, Handler } from '../bus.js'
import type { Opened } from '../crypto/sealing.js'
import { partyKey } from '../wire.js'
import { type ControlOptions, takeControl } from './control.js'
import { WINDOW } from './epoch.js'
import type { Epochs } from './epochs.js'
import { describeGap, Gaps } from './gaps.js'
import type { Gap, Lane } from './lane.js'
import type { Verdict } from './outcome.js'
import { Pauses } from './pauses.js'
import { Predecessors } from './predecessors.js'
import { Probation } from './probation.js'
import type { EpochKey, Known, Recalled } from './seen.js'
import type { Settler } from './settle.js'
import { type Arrival, grantOf, type Slot } from './slots.js'
import { Triage } from './triage.js'
import { Turns, type TurnsOptions } from './turns.js'

/** Messages that a lane holds behind a gap. */
const MAX_AHEAD = 65_536

export interface DispatchOptions<Tx>
  extends ControlOptions,
    Omit<TurnsOptions<Tx>, 'predecessors' | 'pauses' | 'probation' | 'settle' | 'known' | 'resumed'> {
  readonly epochs: Epochs
  readonly settler: Settler
  /** The former process did not close in order. */
  readonly unclean: boolean
  /** The inbox pauses since all handlers fail, with what the last one threw, or goes on. */
  readonly onInbox: (error: Error | undefined) => void
}

export class Dispatcher<Tx> {
  readonly gaps: Gaps = new Gaps()
  readonly turns: Turns<Tx>
  readonly #options: DispatchOptions<Tx>
  readonly #predecessors: Predecessors
  readonly #pauses: Pauses
  readonly #probation: Probation
  readonly #triage: Triage
  #stopping = false

  constructor(options: DispatchOptions<Tx>) {
    this.#options = options
    const { epochs, activeMs, settler, seen: store, unclean, emit } = options
    this.#predecessors = new Predecessors(epochs, activeMs)
    this.#pauses = new Pauses(options)
    this.#probation = new Probation({ store, unclean, emit })
    this.turns = new Turns({
      ...options,
      ...{ predecessors: this.#predecessors, pauses: this.#pauses, probation: this.#probation },
      settle: (lane, slot, verdict, remembered) => this.#settle(lane, slot, verdict, remembered),
      known: (lane, slot, known) => this.#known(lane, slot, known),
      resumed: () => this.#offerAll(),
    })
    this.#triage = new Triage({
      ...options,
      control: slot => takeControl(options, slot),
      settle: (lane, slot, verdict) => void this.#settle(lane, slot, verdict),
      mayReplay: options.seen.kind === 'file' || options.seen.kind === 'memory',
      receipt: (slot, outcome) => settler.receipt(slot, outcome),
    })
  }

  /** Nothing is acknowledged, so nothing is given up for want of room. */
  get isPaused(): boolean {
    return this.#pauses.isInboxPaused
  }

  /** Lanes that wait for something that has not come, or stand still. */
  *blocked(): Generator<Lane> {
    for (const lane of this.#options.epochs.lanes()) {
      if (this.#standsStill(lane) || this.gaps.has(lane) || this.#predecessors.has(lane)) yield lane
    }
  }

  /** Parks the newest of what waits in lanes that stand still, down to `most` bodies of each. False: nothing to be parked. */
  displace(most: number): boolean {
    let some = false
    for (const lane of this.#options.epochs.lanes()) {
      if (!this.#standsStill(lane) || lane.arrivals <= most) continue
      for (const slot of lane.surplus(most)) {
        if (lane.scatters(slot.seq)) break
        lane.decide(slot)
        void this.#settle(lane, slot, 'displaced')
        some = true
      }
    }
    return some
  }

  handle(handler: Handler<Tx>, options: Required<ConsumeOptions>): void {
    this.turns.begin(handler, options)
    this.#offerAll()
  }

  /** Takes an opened envelope; its messages are final one by one, in whatever order. */
  accept(opened: Opened, arrival: Arrival): void {
    const { epochs, settler } = this.#options
    const key = { domain: opened.from.domain, address: opened.from.address, epoch: opened.epoch }
    const lane = epochs.open(key, opened, opened.createdAtMs)
    arrival.left = 1 // not acknowledged before all of it was looked at
    if (lane) this.#acceptIn(lane, opened, arrival)
    else this.#triage.refuse(opened, arrival)
    settler.release(arrival)
    if (lane) this.turns.offer(lane)
  }

  /** Gives up what has waited too long, and fires signals that are due. */
  tick(): void {
    this.turns.tick()
    if (this.isPaused) this.gaps.renew(this.#options.activeMs())
    for (const lane of this.gaps.due(this.#options.activeMs())) this.skipGap(lane, 'time')
    for (const lane of this.#predecessors.waiting) this.turns.offer(lane)
  }

  /** Gives up the oldest gap of the lane. */
  skipGap(lane: Lane, reason: string): boolean {
    const gap = lane.skipGap()
    if (gap) this.#skipped(lane, [gap], reason, true)
    this.gaps.watch(lane, this.#options.activeMs())
    this.turns.offer(lane)
    return gap !== undefined
  }

  /** The channel is gone: bodies will come again. With `drop`, another worker may get them: keep nothing. */
  lost(drop: boolean): void {
    for (const lane of this.#options.epochs.lanes()) {
      lane.arrivals = 0
      for (const slot of lane.slots.values()) slot.arrivals.length = 0
      if (!drop) continue
      lane.dropHeld()
      this.gaps.watch(lane, this.#options.activeMs())
    }
    if (drop) this.turns.abort('another worker may take over')
  }

  /** Others have written of this epoch. */
  learn(key: EpochKey, recalled: Recalled, createdAtMs: number): void {
    const lane = this.#options.epochs.learn(key, recalled, createdAtMs)
    if (!lane) return
    this.#skipped(lane, lane.advance(), 'floor', false)
    this.gaps.watch(lane, this.#options.activeMs())
    this.turns.offer(lane)
  }

  /** The claim on a message whose handler runs has ended. */
  overtaken(key: EpochKey, seq: number): void {
    const slot = this.#options.epochs.find(key, key.epoch)?.slots.get(seq)
    if (slot) this.turns.withdraw(slot)
  }

  /** Forgets what nobody will ask for. */
  sweep(): void {
    this.#pauses.sweep()
  }

  stop(): void {
    this.#stopping = true
    this.turns.stop()
  }

  #acceptIn(lane: Lane, opened: Opened, arrival: Arrival): void {
    arrival.lane = lane
    lane.arrivals += 1
    const floorRose = lane.memory.raiseFloor(opened.floor)
    this.#predecessors.expect(lane, opened)
    this.#triage.judge(lane, opened, arrival)
    this.#skipped(lane, lane.advance(), 'floor', floorRose)
    this.gaps.watch(lane, this.#options.activeMs())
    this.#relieve(lane)
  }

  async #settle(lane: Lane | undefined, slot: Slot, verdict: Verdict, remembered = false): Promise<void> {
    const isSettled = await this.#options.settler.settle(lane, slot, verdict, remembered)
    if (isSettled && verdict === 'handled') this.#probation.handled()
    if (!lane || this.#stopping) return
    this.#skipped(lane, lane.advance(), 'floor', false)
    this.gaps.watch(lane, this.#options.activeMs())
    this.turns.offer(lane)
    for (const waiting of this.#predecessors.waiting) this.turns.offer(waiting)
  }

  /** Another worker has used the number up: as if its message had come here before. */
  #known(lane: Lane, slot: Slot, { mark, hash }: Known): void {
    const isReplay = mark === 'parked' && grantOf(slot) !== undefined
    if (mark === 'skipped' || isReplay) {
      void this.#settle(lane, slot, isReplay ? 'not-replayed' : 'late')
      return
    }
    const { createdAtMs } = slot.message
    lane.memory.use(slot.seq, hash === '' ? 'rejected' : mark, hash, createdAtMs)
    const isConflict = hash !== '' && hash !== slot.envelope.hash
    void this.#settle(lane, slot, isConflict ? 'conflict' : 'duplicate', true)
    if (hash !== slot.envelope.hash || (mark !== 'parked' && mark !== 'handled')) return
    this.#options.settler.receipt(slot, mark)
  }

  #skipped(lane: Lane, gaps: readonly Gap[], reason: string, note: boolean): void {
    for (const gap of gaps) this.#options.emit('skipped', describeGap(lane, gap, reason))
    if (note || gaps.length > 0) this.#options.seen.note(lane.memory.record())
  }

  #standsStill(lane: Lane): boolean {
    return lane.halted || this.#pauses.holds(partyKey(lane.memory.key))
  }

  #offerAll(): void {
    for (const lane of this.#options.epochs.lanes()) this.turns.offer(lane)
  }

  /** Gives gaps up until what they hold back is within its bounds. */
  #relieve(lane: Lane): void {
    const isScattered = (): boolean => lane.memory.scattered >= WINDOW && lane.reach === lane.memory.next
    let makesRoom = true
    while (makesRoom && (lane.ahead > MAX_AHEAD || isScattered())) makesRoom = this.skipGap(lane, 'window')
    let full = this.gaps.overfull(lane)
    while (full && this.skipGap(full, 'memory')) full = this.gaps.overfull(lane)
  }
}
