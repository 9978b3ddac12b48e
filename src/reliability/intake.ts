/**
 * Opens bodies and decides what becomes of those that do not open, by the table of outcome.ts. While the revocation list
 * is too old nothing is opened: what comes waits, in order, unacknowledged.
 */
import type { NotOpened, Opened, Opener, OpenResult } from '../crypto/sealing.js'
import { asError } from '../errors.js'
import { partyKey } from '../wire.js'
import { type Held, Hold } from './hold.js'
import { BODY_OUTCOMES, UnauthenticatedBudget } from './outcome.js'
import type { Arrival } from './slots.js'

/** Pause between two looks at a revocation list that was too old. */
const STALE_AGAIN_MS = 1_000

export interface IntakeOptions {
  readonly opener: Opener
  readonly accept: (opened: Opened, arrival: Arrival) => void
  /** Resolves with the id that it is parked under. @throws where parking is full */
  readonly parkBody: (arrival: Arrival) => Promise<string>
  readonly acknowledge: (arrival: Arrival) => void
  /** The arrival's channel still lives. */
  readonly isCurrent: (arrival: Arrival) => boolean
  /** Told when consuming pauses (with the reason) and goes on. */
  readonly onPaused: (reason: NotOpened | undefined) => void
  readonly emit: (event: string, detail: object) => void
  readonly nowMs: () => number
  readonly activeMs: () => number
}

export class Intake {
  readonly #options: IntakeOptions
  readonly #hold: Hold = new Hold()
  readonly #budget: UnauthenticatedBudget = new UnauthenticatedBudget()
  /** Bodies that came while paused; the first of them is the one that paused. */
  #waiting: Arrival[] = []
  #paused = false
  #triedMs = 0
  #opening = 0

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /** Bodies that are unacknowledged without having been opened. */
  get unopened(): number {
    return this.#hold.size + this.#waiting.length
  }

  /** Bodies whose opening waits its turn. */
  get opening(): number {
    return this.#opening
  }

  get paused(): boolean {
    return this.#paused
  }

  receive(arrival: Arrival): void {
    if (this.#paused) this.#waiting.push(arrival)
    else this.#open(arrival)
  }

  /** Tries again what is due, or everything: certificates or a revocation list may have come. */
  tick(now = false): void {
    const { activeMs } = this.#options
    if (this.#paused && (now || activeMs() - this.#triedMs >= STALE_AGAIN_MS)) this.#resume()
    for (const held of this.#hold.due(activeMs(), now)) this.#again(held)
  }

  /** Parks the body that has been held longest, to make room. */
  giveWay(): boolean {
    const held = this.#hold.oldest()
    if (held) this.#park(held.arrival, held.result)
    return held !== undefined
  }

  /** The channel is gone: everything will come again. */
  lost(): void {
    this.#hold.clear()
    this.#waiting = []
  }

  #open(arrival: Arrival): void {
    const result = this.#tryOpen(arrival)
    if (result instanceof Promise) void this.#openLater(arrival, result)
    else this.#opened(arrival, result)
  }

  async #openLater(arrival: Arrival, opening: Promise<OpenResult>): Promise<void> {
    this.#opening += 1
    const result = await opening.catch(openError)
    this.#opening -= 1
    if (this.#options.isCurrent(arrival)) this.#opened(arrival, result)
  }

  #tryOpen(arrival: Arrival): OpenResult | Promise<OpenResult> {
    try {
      return this.#options.opener.open(arrival.body)
    } catch (error) {
      return openError(error)
    }
  }

  #opened(arrival: Arrival, result: OpenResult): void {
    if (result.ok) {
      this.#options.accept(result, arrival)
      return
    }
    const action = BODY_OUTCOMES[result.reason]
    if (action === 'pause') {
      this.#pause(arrival, result)
      return
    }
    this.#report(result, action)
    const isHeld =
      action !== 'park' && this.#hold.add(arrival, result, action === 'hold', this.#options.activeMs())
    if (!isHeld) this.#park(arrival, result)
  }

  #pause(arrival: Arrival, result: NotOpened): void {
    this.#waiting.push(arrival)
    if (this.#paused) return
    this.#paused = true
    this.#triedMs = this.#options.activeMs()
    this.#report(result, 'pause')
    this.#options.onPaused(result)
  }

  /** Opens what waits, in order, until the list is too old again. */
  #resume(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#paused = false
    for (const arrival of waiting) this.receive(arrival)
    this.#triedMs = this.#options.activeMs()
    if (!this.#isPausedAgain()) this.#options.onPaused(undefined)
  }

  #isPausedAgain(): boolean {
    return this.#paused
  }

  #again(held: Held): void {
    const result = this.#tryOpen(held.arrival)
    if (!(result instanceof Promise)) this.#heldAgain(held, result)
    else
      void result.then(
        later => this.#heldAgain(held, later),
        () => undefined,
      )
  }

  #heldAgain(held: Held, result: OpenResult): void {
    const reason = result.ok ? undefined : BODY_OUTCOMES[result.reason]
    const stays =
      (reason === 'hold' || reason === 'retry') && !this.#hold.isOver(held, this.#options.activeMs())
    if (stays || !this.#hold.remove(held)) return
    if (result.ok || reason === 'park' || reason === 'pause') this.#opened(held.arrival, result)
    else this.#park(held.arrival, held.result)
  }

  /** n.b. unbounded keeping of what anybody can make would fill the parking queue: the rest is acknowledged, and counted. */
  #park(arrival: Arrival, { reason, from }: NotOpened): void {
    const { acknowledge, parkBody, emit, nowMs } = this.#options
    const detail = { reason, bytes: arrival.body.length, alarm: true }
    if (!from && !arrival.grant && !this.#budget.take(arrival.body.length, nowMs())) {
      emit('not-kept', detail)
      acknowledge(arrival)
      return
    }
    parkBody(arrival).then(
      messageId => {
        emit('parked', { ...detail, messageId })
        acknowledge(arrival)
      },
      (thrown: unknown) => this.#notParked(arrival, asError(thrown), detail),
    )
  }

  #notParked(arrival: Arrival, error: Error, detail: object): void {
    const { emit, acknowledge } = this.#options
    if (!('code' in error) || error.code !== 'buffer-full') return // stopping: the broker keeps it
    emit('not-kept', { ...detail, error })
    acknowledge(arrival)
  }

  #report(result: NotOpened, action: string): void {
    const { reason, detail, from } = result
    this.#options.emit('not-opened', {
      reason,
      detail,
      action,
      ...(from && { from: partyKey(from) }),
      alarm: true,
    })
  }
}

/** n.b. an opener that throws is broken, not the body: keep it. */
function openError(thrown: unknown): NotOpened {
  return { ok: false, reason: 'overloaded', detail: `opening threw ${asError(thrown).name}` }
}
