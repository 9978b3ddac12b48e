/**
 * Carries a verdict out: park, remember, acknowledge, tell the sender, in this order. A body is acknowledged only when
 * all of its messages are final; one that is parked was confirmed before.
 */
import { randomBytes } from 'node:crypto'
import type { Party } from '../bus.js'
import { toHex } from '../bytes.js'
import { asError } from '../errors.js'
import type { Publication } from '../transport/transport.js'
import type { Lane } from './lane.js'
import { MESSAGE_OUTCOMES, type Verdict } from './outcome.js'
import type { Park } from './parking.js'
import type { Receipt, ReceiptOutcome } from './receipts.js'
import type { SeenMark } from './seen.js'
import { type Arrival, describe, type Envelope, grantOf, markOf, type Slot } from './slots.js'

/** Pause before parking is tried again after it was full. */
const FULL_PAUSE_MS = 30_000
/** Failing messages of one envelope that are parked each alone: 64 KiB for each would soon fill the queue. */
const MAX_ALONE = 16

export interface SettleOptions {
  readonly self: Party
  readonly seen: { mark(mark: SeenMark): Promise<void> }
  readonly park: Park
  readonly receipt: (to: Party, receipt: Receipt) => void
  readonly emit: (event: string, detail: object) => void
  readonly nowMs: () => number
  /** Fires when the receiver stops for good. */
  readonly stopped: AbortSignal
  /** Nothing can be remembered any more: final. */
  readonly fail: (error: Error) => void
  readonly handled: () => void
  /** The body's last message is final. */
  readonly acknowledge: (arrival: Arrival) => void
}

export class Settler {
  readonly #options: SettleOptions
  /** Verdicts under way. */
  pending = 0
  /** Of these, the ones that wait for parking that is full. */
  resting = 0

  constructor(options: SettleOptions) {
    this.#options = options
  }

  /**
   * Resolves true once the verdict is carried out, false where it could not be: the body stays unacknowledged.
   * @param remembered - the mark was written in the handler's transaction
   */
  async settle(lane: Lane | undefined, slot: Slot, verdict: Verdict, remembered = false): Promise<boolean> {
    const outcome = MESSAGE_OUTCOMES[verdict]
    slot.state = 'settling'
    this.pending += 1
    try {
      if (verdict !== 'handled' && verdict !== 'control')
        this.#options.emit(verdict, { ...describe(slot), alarm: outcome.alarm })
      if (outcome.action === 'park' && !(await this.#park(lane, slot, verdict))) return false
      if (lane && outcome.mark) {
        const mark = markOf(slot, outcome.mark)
        lane.memory.use(slot.seq, mark.mark, mark.hash, mark.createdAtMs)
        if (!remembered) await this.#options.seen.mark(mark)
      }
      if (lane?.slots.get(slot.seq) === slot) lane.remove(slot)
      this.#tellReplay(slot, verdict)
      for (const arrival of slot.arrivals) this.release(arrival)
      if (outcome.receipt) this.receipt(slot, outcome.receipt)
      if (verdict === 'handled') this.#options.handled()
      return true
    } catch (error) {
      this.#options.fail(asError(error)) // remembering failed: final for the store, so for us
      return false
    } finally {
      this.pending -= 1
    }
  }

  #tellReplay(slot: Slot, outcome: Verdict): void {
    const grant = grantOf(slot)
    if (grant) this.#options.emit('replayed', { ...describe(slot), id: grant.id, outcome, alarm: false })
  }

  /** One message less that the body waits for. */
  release(arrival: Arrival): void {
    arrival.left -= 1
    if (arrival.left === 0) this.#options.acknowledge(arrival)
  }

  receipt(slot: Slot, outcome: ReceiptOutcome): void {
    if (!slot.message.receiptWanted || slot.message.type.startsWith('sealbus/')) return
    const { from, epoch, contentHash } = slot.envelope
    this.#options.receipt(from, { epoch, seq: slot.seq, contentHash, outcome, atMs: this.#options.nowMs() })
  }

  /** Parks a body of which no message is known, and resolves with its id. @throws as {@link Park} */
  async parkBody(arrival: Arrival): Promise<string> {
    const { self, park, stopped } = this.#options
    const messageId = toHex(randomBytes(16))
    const publication: Publication = {
      exchange: 'parked',
      to: self.address,
      from: arrival.claimedFrom ?? 'unknown',
      messageId,
      body: arrival.body,
    }
    await park(publication, stopped)
    return messageId
  }

  /**
   * n.b. full parking halts the lane of what was permitted, and nothing else; it is tried again until it succeeds or the
   * receiver stops. False where it stopped.
   */
  async #park(lane: Lane | undefined, slot: Slot, verdict: Verdict): Promise<boolean> {
    const { stopped, emit } = this.#options
    const waits = MESSAGE_OUTCOMES[verdict].waits === true
    let halts = false
    for (;;) {
      if (isAborted(stopped)) return false
      try {
        const copy = await this.#copy(slot, verdict)
        if (lane && halts) lane.halted = false
        emit('parked', { ...describe(slot), ...copy, reason: verdict })
        return true
      } catch (thrown) {
        if (isAborted(stopped)) return false
        const detail = { ...describe(slot), error: asError(thrown), alarm: true }
        if (!waits) {
          emit('not-kept', { ...detail, reason: verdict })
          return true
        }
        halts = lane?.halted === false
        if (lane) lane.halted = true
        emit('lane-halted', { ...detail, reason: 'parking' })
        await this.#rest()
      }
    }
  }

  async #rest(): Promise<void> {
    this.resting += 1
    await pause(FULL_PAUSE_MS, this.#options.stopped)
    this.resting -= 1
  }

  /** A failing message of a batch alone, with its index; of all others one copy of the envelope, whichever they are. */
  async #copy(slot: Slot, verdict: Verdict): Promise<{ messageId: string; index?: number }> {
    const { park, stopped } = this.#options
    const { envelope, index } = slot
    const messageId = envelope.id
    const wasAlone = grantOf(slot)?.index !== undefined
    const isFailure = verdict === 'failed' || verdict === 'fatal'
    if (wasAlone || (isFailure && envelope.count > 1 && envelope.alone < MAX_ALONE)) {
      await park({ ...this.#publication(envelope), index }, stopped)
      envelope.alone += 1
      return { messageId, index }
    }
    envelope.whole ??= park(this.#publication(envelope), stopped).catch((error: unknown) => {
      envelope.whole = undefined
      throw asError(error)
    })
    await envelope.whole
    return { messageId }
  }

  #publication(envelope: Envelope): Publication {
    return {
      exchange: 'parked',
      to: this.#options.self.address,
      from: envelope.from.address,
      messageId: envelope.id,
      body: envelope.body,
    }
  }
}

/** Asked again after an await: flow analysis would remember the first answer. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
