/**
 * Pauses senders whose messages keep failing, and the inbox where all of them do, so that parking does not fill because the
 * handler's database is down. What fails at or in a pause is kept for another try instead of being parked.
 *
 * Only handlers that have failed for good count, never what did not open or was not permitted: nobody can pause another.
 */
import { asError } from '../errors.js'
import {
  afterFailure,
  afterNothing,
  afterStart,
  afterTime,
  type Circuit,
  isExhausted,
  isOpen,
  paused,
  RUNNING,
} from './circuit.js'

/** Failures in a row of one sender, and without any success between them of all senders. */
const ALLOWED = 5
/** So many senders, or all that were heard lately if these are fewer, have to be failing before the inbox pauses. */
const ENOUGH_SENDERS = 8
/** A sender with a result within this time counts as heard. */
const LATELY_MS = 600_000 // 10 minutes

export interface PausesOptions {
  readonly emit: (event: string, detail: object) => void
  /** The inbox pauses, with what the handler threw, or goes on. */
  readonly onInbox: (error: Error | undefined) => void
  readonly activeMs: () => number
}

interface SenderState {
  circuit: Circuit
  heardMs: number
}

export class Pauses {
  readonly #options: PausesOptions
  readonly #senders: Map<string, SenderState> = new Map()
  /** Those of them that do not simply run. */
  readonly #still: Set<string> = new Set()
  #inbox: Circuit = RUNNING
  /** Failures since the last success of anybody, and whose. */
  #failures = 0
  readonly #failing: Set<string> = new Set()
  #succeededMs = Number.NEGATIVE_INFINITY

  constructor(options: PausesOptions) {
    this.#options = options
  }

  /** Nothing is handed out, but for a try now and then. */
  get isInboxPaused(): boolean {
    return this.#inbox.state !== 'running'
  }

  /** The sender's lanes stand still. */
  holds(sender: string): boolean {
    return this.#still.has(sender)
  }

  /** A message of this sender may be handed out now. n.b. one that has not failed yet is a try by itself. */
  admits(sender: string): boolean {
    const isNew = !this.#failing.has(sender) && this.#failing.size < ENOUGH_SENDERS
    if (this.#inbox.state === 'paused' && isNew) this.#inbox = afterTime(this.#inbox, this.#now(), true)
    return isOpen(this.#inbox) && isOpen(this.#senders.get(sender)?.circuit ?? RUNNING)
  }

  /** Its handler begins. */
  started(sender: string): void {
    this.#inbox = afterStart(this.#inbox)
    this.#change(sender, afterStart)
  }

  /** It has ended without an outcome. */
  withdrawn(sender: string): void {
    this.#inbox = afterNothing(this.#inbox)
    this.#change(sender, afterNothing)
  }

  /** True where something goes on that stood still. */
  succeeded(sender: string): boolean {
    const state = this.#state(sender)
    const wasStill = this.#still.delete(sender)
    state.heardMs = this.#now()
    state.circuit = RUNNING
    this.#succeededMs = state.heardMs
    this.#failures = 0
    this.#failing.clear()
    if (wasStill) this.#options.emit('sender-resumed', { from: sender, alarm: false })
    return this.#resumeInbox() || wasStill
  }

  /** The handler has failed for good: what becomes of its message. */
  failed(sender: string, thrown: unknown): 'park' | 'keep' {
    const error = asError(thrown)
    const ofSender = this.#failSender(sender, error)
    const ofInbox = this.#failInbox(sender, error)
    return this.isInboxPaused ? ofInbox : ofSender
  }

  /** True where a pause is over: somebody may be tried. */
  tick(): boolean {
    const before = this.#inbox
    this.#inbox = afterTime(before, this.#now())
    let isOver = this.#inbox !== before
    for (const sender of this.#still) isOver = this.#change(sender, this.#afterTime) || isOver
    return isOver
  }

  /** Forgets who was not heard lately. */
  sweep(): void {
    for (const [sender, { heardMs }] of this.#senders)
      if (!this.#still.has(sender) && this.#now() - heardMs > LATELY_MS) this.#senders.delete(sender)
  }

  readonly #afterTime = (circuit: Circuit): Circuit => afterTime(circuit, this.#now())

  /** n.b. a try that fails while others succeed shows that the message is bad, not what the handler needs. */
  #failSender(sender: string, error: Error): 'park' | 'keep' {
    const state = this.#state(sender)
    const before = state.circuit
    state.heardMs = this.#now()
    state.circuit = afterFailure(before, state.heardMs, ALLOWED)
    if (state.circuit.state === 'running') return 'park'
    this.#still.add(sender)
    if (before.state === 'running')
      this.#options.emit('sender-paused', { from: sender, error: error.name, alarm: true })
    if (before.state !== 'trying') return 'keep'
    return isExhausted(state.circuit) || this.#succeededMs > before.sinceMs ? 'park' : 'keep'
  }

  #failInbox(sender: string, error: Error): 'park' | 'keep' {
    const before = this.#inbox
    this.#failures += 1
    if (this.#failing.size < ENOUGH_SENDERS) this.#failing.add(sender)
    if (before.state !== 'running') {
      this.#inbox = afterFailure(before, this.#now(), ALLOWED)
      return before.state === 'trying' && isExhausted(this.#inbox) ? 'park' : 'keep'
    }
    const needed = Math.min(ENOUGH_SENDERS, this.#heardLately())
    if (this.#failures < ALLOWED || this.#failing.size < needed) return 'park'
    this.#inbox = paused(this.#now())
    this.#options.onInbox(error)
    return 'keep'
  }

  /** Senders with a result lately, counted no further than is asked for. */
  #heardLately(): number {
    let count = 0
    for (const { heardMs } of this.#senders.values()) {
      if (this.#now() - heardMs <= LATELY_MS) count += 1
      if (count === ENOUGH_SENDERS) break
    }
    return count
  }

  #resumeInbox(): boolean {
    if (this.#inbox.state === 'running') return false
    this.#inbox = RUNNING
    this.#options.onInbox(undefined)
    return true
  }

  #state(sender: string): SenderState {
    const known = this.#senders.get(sender)
    if (known) return known
    const state: SenderState = { circuit: RUNNING, heardMs: this.#now() }
    this.#senders.set(sender, state)
    return state
  }

  #change(sender: string, to: (circuit: Circuit) => Circuit): boolean {
    const state = this.#senders.get(sender)
    if (!state) return false
    const before = state.circuit
    state.circuit = to(before)
    return state.circuit !== before
  }

  #now(): number {
    return this.#options.activeMs()
  }
}
