/**
 * Looks at every message of an opened envelope: it gets its verdict at once, or its place in the lane, where it waits for
 * its turn. A body is not acknowledged before all of it was looked at.
 */
import type { Opened } from '../crypto/sealing.js'
import { isExpired, type JudgeOptions, judgeNumber, judgeUnseen, type Rule, ruleFor } from './judge.js'
import type { Lane } from './lane.js'
import type { Verdict } from './outcome.js'
import type { ReceiptOutcome } from './receipts.js'
import { type Arrival, describe, isGranted, type Slot, slotsOf } from './slots.js'

export interface TriageOptions extends JudgeOptions {
  /** Takes a receipt, a card or a reply; false where it is malformed. */
  readonly control: (slot: Slot) => boolean
  /** Carries a verdict out; without a lane its number is not used up. */
  readonly settle: (lane: Lane | undefined, slot: Slot, verdict: Verdict) => void
  /** Tells the sender, where it asked. */
  readonly receipt: (slot: Slot, outcome: ReceiptOutcome) => void
  /** What was parked may be handled on an operator's word. n.b. not where other workers remember it too. */
  readonly mayReplay: boolean
  readonly emit: (event: string, detail: object) => void
  readonly nowMs: () => number
}

export class Triage {
  readonly #options: TriageOptions

  constructor(options: TriageOptions) {
    this.#options = options
  }

  /** Judges all messages of the envelope. */
  judge(lane: Lane, opened: Opened, arrival: Arrival): void {
    const nowMs = this.#options.nowMs()
    let rule: Rule | undefined
    for (const slot of this.#slots(opened, arrival)) {
      const { type } = slot.message
      if (rule?.type !== type) rule = ruleFor(this.#options, opened.from, type)
      const known = judgeNumber(lane, slot.seq, slot.envelope.hash)
      const isReplay = isGranted(arrival, slot) && (known === 'late' || known === 'duplicate')
      if (isReplay) this.#replay(lane, slot, rule, nowMs, arrival)
      else if (known === 'unseen') this.#takeUnseen(lane, slot, rule, nowMs, arrival)
      else if (known === 'late') this.#takeUnseen(lane, slot, rule, nowMs, arrival, 'late')
      else if (known === 'duplicate') this.#duplicate(lane, slot, rule, nowMs, arrival)
      else this.#decide(undefined, slot, known, arrival)
    }
  }

  /** The envelope's epoch is closed: so is every message of it. */
  refuse(opened: Opened, arrival: Arrival): void {
    for (const slot of this.#slots(opened, arrival)) this.#decide(undefined, slot, 'closed-epoch', arrival)
  }

  #slots(opened: Opened, arrival: Arrival): readonly Slot[] {
    return slotsOf(opened, arrival.body, this.#options.lifetimeMs)
  }

  /** @param otherwise - the verdict on what would be the application's: none hands it over */
  #takeUnseen(
    lane: Lane,
    slot: Slot,
    rule: Rule,
    nowMs: number,
    arrival: Arrival,
    otherwise?: Verdict,
  ): void {
    const { message, envelope } = slot
    let verdict = judgeUnseen(this.#options, message, envelope.from, rule, nowMs) ?? otherwise
    if (verdict === 'control' && !this.#options.control(slot)) verdict = 'reserved-type'
    // n.b. a number that cannot be used up now stays unseen: its copies meet the same verdict
    if (verdict) this.#decide(lane.scatters(slot.seq) ? undefined : lane, slot, verdict, arrival)
    else {
      attach(slot, arrival)
      lane.add(slot)
    }
  }

  /** n.b. only what was not handled, as far as is remembered; a handled one is a duplicate whatever an operator says. */
  #replay(lane: Lane, slot: Slot, rule: Rule, nowMs: number, arrival: Arrival): void {
    const { memory } = lane
    const state = memory.state(slot.seq)
    const isHandled = state === 'used' && memory.knows(slot.seq, slot.envelope.hash)
    if (isHandled || lane.slots.has(slot.seq)) this.#duplicate(lane, slot, rule, nowMs, arrival)
    else if (state !== 'used' && this.#options.mayReplay) this.#takeUnseen(lane, slot, rule, nowMs, arrival)
    else this.#decide(undefined, slot, 'not-replayed', arrival)
  }

  /** Joins what is under way; else acknowledged, and the receipt repeated. */
  #duplicate(lane: Lane, slot: Slot, rule: Rule, nowMs: number, arrival: Arrival): void {
    const { receipt, emit, lifetimeMs } = this.#options
    const underWay = lane.slots.get(slot.seq)
    emit('duplicate', { ...describe(slot), alarm: false })
    if (!underWay && arrival.grant && isGranted(arrival, slot))
      emit('replayed', { ...describe(slot), id: arrival.grant.id, outcome: 'duplicate', alarm: false })
    if (underWay) attach(underWay, arrival)
    else if (!rule.allowed || !lane.memory.knows(slot.seq, slot.envelope.hash))
      return // nothing is said that is not known
    else if (lane.memory.state(slot.seq) === 'parked') receipt(slot, 'parked')
    else if (!isExpired(slot.message, rule, lifetimeMs, nowMs)) receipt(slot, 'handled')
  }

  /** Carries a verdict out that needs no handler; with a lane, the number is used up in it. */
  #decide(lane: Lane | undefined, slot: Slot, verdict: Verdict, arrival: Arrival): void {
    attach(slot, arrival)
    slot.state = 'settling'
    lane?.add(slot)
    this.#options.settle(lane, slot, verdict)
  }
}

function attach(slot: Slot, arrival: Arrival): void {
  slot.arrivals.push(arrival)
  arrival.left += 1
}
