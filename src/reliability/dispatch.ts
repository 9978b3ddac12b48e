/**
 * From an opened envelope to the handler and back: verdicts, order, turns. One message of a lane at a time; lanes take
 * turns, up to `concurrency` of them at once.
 */
import type { ConsumeOptions, Handler, Sender } from '../bus.js'
import type { Opened } from '../crypto/sealing.js'
import { ReceivedMessage, type ReplyFunction } from '../delivery.js'
import { SealbusError } from '../errors.js'
import type { MessageId, WireMessage } from '../wire.js'
import { WINDOW } from './epoch.js'
import type { Epochs } from './epochs.js'
import { describeGap, GAP_MS, Gaps } from './gaps.js'
import {
  expiryMs,
  isExpired,
  type JudgeOptions,
  judgeNumber,
  judgeUnseen,
  type Rule,
  ruleFor,
} from './judge.js'
import type { Arrival, Envelope, Gap, Lane, Slot } from './lane.js'
import type { Verdict } from './outcome.js'
import { CARD_TYPE, parseReceipts, RECEIPT_TYPE, type Receipt } from './receipts.js'
import { Runner } from './runner.js'
import type { SeenStore } from './seen.js'
import { describe, markOf, type Settler } from './settle.js'

/** How long a lane waits for a predecessor of which nothing is known: it comes at once, or was over long ago. */
const UNKNOWN_PREDECESSOR_MS = 1_000
/** Messages that a lane holds behind a gap. */
const MAX_AHEAD = 65_536

export interface DispatchOptions<Tx> extends JudgeOptions {
  readonly seen: SeenStore<Tx>
  readonly epochs: Epochs
  readonly settler: Settler
  readonly reply: ReplyFunction
  /** True where it settled something outstanding with that party. */
  readonly onReceipt: (from: Sender, receipt: Receipt) => boolean
  readonly onCard: (bytes: Uint8Array, from: Sender) => void
  readonly emit: (event: string, detail: object) => void
  /** Asked before a message that has waited is handed out: the sender's certificate may have been revoked meanwhile. */
  readonly stillTrusted?: (from: Sender) => boolean
  readonly nowMs: () => number
  readonly activeMs: () => number
}

export class Dispatcher<Tx> {
  readonly gaps: Gaps = new Gaps()
  readonly #options: DispatchOptions<Tx>
  readonly #ready: Set<Lane> = new Set()
  readonly #waiting: Set<Lane> = new Set()
  #runner: Runner<Tx> | undefined
  #concurrency = 0
  #running = 0
  #hung = 0
  #stopping = false

  constructor(options: DispatchOptions<Tx>) {
    this.#options = options
  }

  /** Handlers that run, or wait to be run again. */
  get running(): number {
    return this.#running
  }

  /** No handler will end soon, nor start. */
  get isIdle(): boolean {
    return this.#running === this.#hung && this.#ready.size === 0
  }

  get hasHandler(): boolean {
    return this.#runner !== undefined
  }

  /** Lanes that wait for something that has not come, or stand still. */
  *blocked(): Generator<Lane> {
    for (const lane of this.#options.epochs.lanes()) {
      if (lane.halted || this.gaps.has(lane) || this.#waiting.has(lane)) yield lane
    }
  }

  /** Parks the newest of what waits in lanes that stand still, down to `most` bodies of each. False: nothing to be parked. */
  displace(most: number): boolean {
    let some = false
    for (const lane of this.#options.epochs.lanes()) {
      if (!lane.halted || lane.arrivals <= most) continue
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
    const { seen, activeMs, epochs } = this.#options
    const { concurrency, timeoutMs, retries } = options
    const transaction = <R>(run: (tx: Tx) => Promise<R>): Promise<R> => seen.transaction(run)
    this.#concurrency = concurrency
    this.#runner = new Runner({ handler, timeoutMs, retries, transaction, activeMs })
    for (const lane of epochs.lanes()) this.#pump(lane)
  }

  /** Takes an opened envelope; its messages are final one by one, in whatever order. */
  accept(opened: Opened, arrival: Arrival): void {
    const { epochs, settler, activeMs } = this.#options
    const envelope = envelopeOf(opened, arrival)
    const key = { domain: opened.from.domain, address: opened.from.address, epoch: opened.epoch }
    const lane = epochs.open(key, opened, opened.createdAtMs)
    arrival.left = 1 // not acknowledged before all of it was looked at
    if (!lane) {
      for (let i = 0; i < opened.messages.length; i++) {
        this.#decide(undefined, this.#slot(opened, envelope, i), 'closed-epoch', arrival)
      }
      settler.release(arrival)
      return
    }
    arrival.lane = lane
    lane.arrivals += 1
    const floorRose = lane.memory.raiseFloor(opened.floor)
    this.#waitForPredecessor(lane, opened)
    this.#judgeAll(lane, opened, envelope, arrival)
    this.#skipped(lane, lane.advance(), 'floor', floorRose)
    this.gaps.watch(lane, activeMs())
    this.#relieve(lane)
    settler.release(arrival)
    this.#pump(lane)
  }

  /** Gives up what has waited too long, and fires signals that are due. */
  tick(): void {
    this.#runner?.tick()
    for (const lane of this.gaps.due(this.#options.activeMs())) this.skipGap(lane, 'time')
    for (const lane of this.#waiting) this.#pump(lane)
  }

  /** Gives up the oldest gap of the lane. */
  skipGap(lane: Lane, reason: string): boolean {
    const gap = lane.skipGap()
    if (gap) this.#skipped(lane, [gap], reason, true)
    this.gaps.watch(lane, this.#options.activeMs())
    this.#pump(lane)
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
    if (drop) this.abort('another worker may take over')
  }

  stop(): void {
    this.#stopping = true
    this.#ready.clear()
    this.#runner?.stop()
  }

  abort(reason: string): void {
    this.#runner?.abort(new SealbusError('closed', `handler: ${reason}; the message comes again`))
  }

  #judgeAll(lane: Lane, opened: Opened, envelope: Envelope, arrival: Arrival): void {
    const nowMs = this.#options.nowMs()
    let rule: Rule | undefined
    for (const [i, message] of opened.messages.entries()) {
      const slot = this.#slot(opened, envelope, i)
      if (rule?.type !== message.type) rule = ruleFor(this.#options, opened.from, message.type)
      const known = judgeNumber(lane, slot.seq, envelope.hash)
      if (known === 'unseen') this.#takeUnseen(lane, slot, rule, nowMs, arrival)
      else if (known === 'late') this.#takeUnseen(lane, slot, rule, nowMs, arrival, 'late')
      else if (known === 'duplicate') this.#duplicate(lane, slot, rule, nowMs, arrival)
      else this.#decide(undefined, slot, known, arrival)
    }
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
    if (verdict === 'control' && !this.#control(slot)) verdict = 'reserved-type'
    // n.b. a number that cannot be used up now stays unseen: its copies meet the same verdict
    if (verdict) this.#decide(lane.scatters(slot.seq) ? undefined : lane, slot, verdict, arrival)
    else {
      this.#attach(slot, arrival)
      lane.add(slot)
    }
  }

  /** Joins what is under way; else acknowledged, and the receipt repeated. */
  #duplicate(lane: Lane, slot: Slot, rule: Rule, nowMs: number, arrival: Arrival): void {
    const { settler, emit, lifetimeMs } = this.#options
    const underWay = lane.slots.get(slot.seq)
    emit('duplicate', { ...describe(slot), alarm: false })
    if (underWay) this.#attach(underWay, arrival)
    else if (!rule.allowed || !lane.memory.knows(slot.seq, slot.envelope.hash))
      return // nothing is said that is not known
    else if (lane.memory.state(slot.seq) === 'parked') settler.receipt(slot, 'parked')
    else if (!isExpired(slot.message, rule, lifetimeMs, nowMs)) settler.receipt(slot, 'handled')
  }

  /** Carries a verdict out that needs no handler; with a lane, the number is used up in it. */
  #decide(lane: Lane | undefined, slot: Slot, verdict: Verdict, arrival: Arrival): void {
    this.#attach(slot, arrival)
    slot.state = 'settling'
    lane?.add(slot)
    void this.#settle(lane, slot, verdict)
  }

  #attach(slot: Slot, arrival: Arrival): void {
    slot.arrivals.push(arrival)
    arrival.left += 1
  }

  async #settle(lane: Lane | undefined, slot: Slot, verdict: Verdict, remembered = false): Promise<void> {
    await this.#options.settler.settle(lane, slot, verdict, remembered)
    if (!lane || this.#stopping) return
    this.#skipped(lane, lane.advance(), 'floor', false)
    this.gaps.watch(lane, this.#options.activeMs())
    this.#pump(lane)
    for (const waiting of this.#waiting) this.#pump(waiting)
  }

  /** Receipts, cards and replies are taken at once: a handler may be waiting for just this reply. */
  #control(slot: Slot): boolean {
    const { requests, emit, onReceipt, onCard } = this.#options
    const { message, envelope } = slot
    const { from } = envelope
    try {
      if (message.type === RECEIPT_TYPE) {
        const unexpected = parseReceipts(message.payload).filter(receipt => !onReceipt(from, receipt))
        const count = unexpected.length
        if (count > 0) emit('receipt-unexpected', { ...describe(slot), count, alarm: false })
      } else if (message.type === CARD_TYPE) onCard(message.payload, from)
      else if (message.inReplyTo) requests?.resolve(from, message.inReplyTo, this.#deliver(slot))
      return true
    } catch {
      return false
    }
  }

  #pump(lane: Lane): void {
    if (this.#stopping || !this.#runner) return
    if (lane.waitsFor && !this.#predecessorIsOver(lane, lane.waitsFor)) return
    if (lane.head()) this.#ready.add(lane)
    while (this.#running < this.#concurrency) {
      const [next] = this.#ready
      if (!next) return
      this.#ready.delete(next)
      this.#start(next, this.#runner)
    }
  }

  #start(lane: Lane, runner: Runner<Tx>): void {
    const slot = lane.head()
    if (!slot) return
    const { lifetimeMs, nowMs } = this.#options
    const rule = ruleFor(this.#options, slot.envelope.from, slot.message.type)
    const isOver = isExpired(slot.message, rule, lifetimeMs, nowMs())
    if (isOver || !this.#isStillAllowed(slot, rule)) {
      lane.take(slot, 'settling')
      void this.#settle(lane, slot, isOver ? 'expired' : 'refused')
      if (lane.head()) this.#ready.add(lane)
      return
    }
    lane.take(slot, 'running')
    lane.busy = true
    this.#running += 1
    void this.#work(lane, slot, runner)
  }

  /** n.b. what waits is asked again: policy and certificates may have changed since it came. */
  #isStillAllowed({ envelope }: Slot, rule: Rule): boolean {
    return rule.allowed && (this.#options.stillTrusted?.(envelope.from) ?? true)
  }

  async #work(lane: Lane, slot: Slot, runner: Runner<Tx>): Promise<void> {
    const { seen } = this.#options
    const inTransaction = seen.kind === 'transactional'
    const known = await seen.check(lane.memory.key, slot.seq)
    const result = known ? undefined : await runner.run(this.#job(lane, slot, inTransaction))
    this.#running -= 1
    if (!result) {
      void this.#settle(lane, slot, 'control', true) // another worker has handled it, and remembered it
    } else if (result.state === 'handled') {
      void this.#settle(lane, slot, 'handled', inTransaction) // n.b. not awaited: the next may run while this is fsynced
    } else if (result.state === 'failed') {
      this.#options.emit('handler-failed', { ...describe(slot), error: result.error.name, alarm: true })
      this.#pumpNext()
      await this.#settle(lane, slot, 'failed')
    } else lane.giveBack(slot)
    lane.busy = false
    this.#pump(lane)
  }

  #job(lane: Lane, slot: Slot, inTransaction: boolean): Parameters<Runner<Tx>['run']>[0] {
    const { emit, seen } = this.#options
    return {
      deliver: () => this.#deliver(slot),
      markIn: inTransaction ? tx => seen.mark(markOf(slot, 'handled'), tx) : undefined,
      hung: () => {
        lane.halted = true
        this.#hung += 1
        emit('lane-halted', { ...describe(slot), reason: 'handler', alarm: true })
        emit('unhealthy', { ...describe(slot), alarm: true })
      },
      recovered: () => {
        lane.halted = false
        this.#hung -= 1
        emit('lane-resumed', { ...describe(slot), alarm: false })
      },
    }
  }

  #pumpNext(): void {
    const [lane] = this.#ready
    if (lane) this.#pump(lane)
  }

  #deliver(slot: Slot): ReceivedMessage {
    const { message, envelope, seq, expiresAtMs } = slot
    const id: MessageId = { epoch: envelope.epoch, seq }
    return new ReceivedMessage({ message, id, from: envelope.from, expiresAtMs, reply: this.#options.reply })
  }

  #slot(opened: Opened, envelope: Envelope, index: number): Slot {
    const message = opened.messages[index] as WireMessage
    const expiresAtMs = expiryMs(message, this.#options.lifetimeMs)
    const bytes = Math.ceil(envelope.body.length / envelope.count)
    const seq = opened.seq + index
    return { seq, index, message, envelope, expiresAtMs, bytes, arrivals: [], state: 'held', ahead: false }
  }

  #waitForPredecessor(lane: Lane, opened: Opened): void {
    if (!opened.predecessor || lane.begun || lane.waitsFor || opened.predecessor.epoch === opened.epoch)
      return
    lane.waitsFor = { ...opened.predecessor, sinceMs: this.#options.activeMs() }
    this.#waiting.add(lane)
  }

  #predecessorIsOver(lane: Lane, waitsFor: NonNullable<Lane['waitsFor']>): boolean {
    const { epochs, activeMs } = this.#options
    const before = epochs.find(lane.memory.key, waitsFor.epoch)
    if (before && before.slots.size > 0 && !before.waitsFor) waitsFor.sinceMs = activeMs() // it is alive
    const patienceMs = before ? GAP_MS : UNKNOWN_PREDECESSOR_MS
    const isOver = before?.isPast(waitsFor.lastSeq) ?? false
    if (!isOver && activeMs() - waitsFor.sinceMs < patienceMs) return false
    lane.waitsFor = undefined
    lane.begun = true
    this.#waiting.delete(lane)
    return true
  }

  #skipped(lane: Lane, gaps: readonly Gap[], reason: string, note: boolean): void {
    for (const gap of gaps) this.#options.emit('skipped', describeGap(lane, gap, reason))
    if (note || gaps.length > 0) this.#options.seen.note(lane.memory.record())
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

function envelopeOf(opened: Opened, arrival: Arrival): Envelope {
  const { envelopeId, from, epoch, contentHash, messages } = opened
  const count = messages.length
  return {
    id: envelopeId,
    body: arrival.body,
    from,
    epoch,
    contentHash,
    hash: contentHash.slice(0, 16),
    count,
    alone: 0,
    whole: undefined,
  }
}
