/**
 * The receiving half: consumes one's own inbox, opens, judges, keeps order, runs the handler, remembers, acknowledges.
 * docs/DELIVERY.md, "Consuming". This file holds its life: start, pause, credit, stop.
 */
import type { ConsumeOptions, Handler, Party, Sender } from '../bus.js'
import type { Clock } from '../clock.js'
import type { NotOpened, Opened, Opener, PolicyCheck } from '../crypto/sealing.js'
import type { ReplyFunction } from '../delivery.js'
import { SealbusError } from '../errors.js'
import type { Transport, TransportConsumer, TransportDelivery } from '../transport/transport.js'
import { DEFAULT_LIFETIME_S, SKEW_MS } from '../wire.js'
import { Dispatcher } from './dispatch.js'
import { Epochs } from './epochs.js'
import { MAX_HELD_BYTES } from './gaps.js'
import { Intake } from './intake.js'
import type { Arrival } from './lane.js'
import type { Park } from './parking.js'
import type { Receipt } from './receipts.js'
import type { Requests } from './requests.js'
import type { SeenStore } from './seen.js'
import { Settler } from './settle.js'

/** Bodies unacknowledged at once. */
const DEFAULT_PREFETCH = 1_000
/** Times the prefetch: as far as credit is added. */
const MAX_CREDIT = 8
const TICK_MS = 100
const SWEEP_MS = 60_000
const STOP_MS = 30_000
const TIME_STEP_MS = 1_000

export interface ReceiverOptions<Tx = undefined> {
  readonly transport: Pick<Transport, 'consume'>
  readonly opener: Opener
  /** Absent on a plain bus: everything is allowed. */
  readonly policy?: PolicyCheck
  readonly self: Sender | Party
  readonly seen: SeenStore<Tx>
  readonly clock: Clock
  /** The longest that a message may live here, ms; one's own card says it. Default 24 h. */
  readonly lifetimeMs?: number
  /** Bodies unacknowledged at once. Default 1 000. */
  readonly prefetch?: number
  /** Every event has a stable name (docs/DELIVERY.md); `alarm: true` in its detail asks for an operator. */
  readonly emit: (event: string, detail: object) => void
  readonly park: Park
  readonly reply: ReplyFunction
  /** Sends a receipt, best effort. */
  readonly receipt: (to: Party, receipt: Receipt) => void
  /** False once a sender's certificate is revoked or over: what still waits of it is refused. Absent: always. */
  readonly stillTrusted?: (from: Sender) => boolean
  readonly requests?: Requests
  /** A receipt came; true where it settled something outstanding with that very party. */
  readonly onReceipt: (from: Sender, receipt: Receipt) => boolean
  /** A card came as a message; throws where it is not accepted. */
  readonly onCard: (bytes: Uint8Array, from: Sender) => void
}

export type ReceiverState = 'idle' | 'running' | 'paused' | 'stopping' | 'stopped' | 'failed'

export interface Receiver<Tx = undefined> {
  readonly state: ReceiverState
  /** How often each event came, and `handled`. */
  readonly counts: Readonly<Record<string, number>>
  /**
   * Starts consuming. Without a handler only replies, receipts and cards are taken; the rest waits unacknowledged until
   * `start` is called again with one.
   * @throws RangeError for an option out of range; SealbusError `corrupt-store`, `store-failed`, `closed`
   */
  start(handler?: Handler<Tx>, options?: ConsumeOptions): Promise<void>
  /** Tries at once what waits for a certificate or a revocation list. */
  recheck(): void
  /**
   * Stops handing out, waits for handlers, acknowledges, closes the channel, closes the seen store.
   * @param options - `timeoutMs` for the handlers, default 30 000; `graceMs` until their signals fire, default 0
   * @returns how many messages were taken and not finished: the broker has them
   */
  stop(options?: { timeoutMs?: number; graceMs?: number }): Promise<number>
}

export function createReceiver<Tx = undefined>(options: ReceiverOptions<Tx>): Receiver<Tx> {
  return new InboxReceiver(options)
}

class InboxReceiver<Tx> implements Receiver<Tx> {
  state: ReceiverState = 'idle'
  readonly counts: Record<string, number> = { handled: 0 }
  readonly #options: ReceiverOptions<Tx>
  readonly #lifetimeMs: number
  readonly #prefetch: number
  /** Fires when stopping begins; the next when nothing more is carried out. */
  readonly #ending: AbortController = new AbortController()
  readonly #stopped: AbortController = new AbortController()
  readonly #settler: Settler
  readonly #intake: Intake
  #dispatcher: Dispatcher<Tx> | undefined
  #epochs: Epochs | undefined
  #consumer: TransportConsumer | undefined
  #timer: NodeJS.Timeout | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<number> | undefined
  /** Time that counts only while the event loop turns: nothing is given up because the process was stopped. */
  #activeMs = 0
  #generation = 0
  #outstanding = 0
  /** Of the bodies that are outstanding. */
  #bytes = 0
  #credit: number
  #fullTicks = 0
  #restoredMs = 0
  #toldMs = 0

  constructor(options: ReceiverOptions<Tx>) {
    this.#options = options
    this.#lifetimeMs = options.lifetimeMs ?? DEFAULT_LIFETIME_S * 1000
    this.#prefetch = inRange('prefetch', options.prefetch ?? DEFAULT_PREFETCH, 1, 65_535)
    this.#credit = this.#prefetch
    const { self, seen, park } = options
    const emit = (event: string, detail: object): void => this.#emit(event, detail)
    const nowMs = (): number => this.#nowMs()
    const acknowledge = (arrival: Arrival): void => this.#acknowledge(arrival)
    this.#settler = new Settler({
      ...{ self, seen, park, emit, nowMs, acknowledge, stopped: this.#stopped.signal },
      receipt: (to, receipt) => options.receipt(to, receipt),
      handled: () => this.#count('handled'),
      fail: error => this.#fail(error),
    })
    this.#intake = new Intake({
      ...{ opener: options.opener, emit, nowMs, acknowledge, activeMs: () => this.#activeMs },
      accept: (opened, arrival) => this.#accept(opened, arrival),
      parkBody: arrival => this.#settler.parkBody(arrival),
      isCurrent: arrival => arrival.generation === this.#generation,
      onPaused: reason => this.#onPaused(reason),
    })
  }

  async start(handler?: Handler<Tx>, options: ConsumeOptions = {}): Promise<void> {
    const checked = checkConsumeOptions(options)
    this.#starting ??= this.#start()
    await this.#starting
    if (this.state === 'stopping' || this.state === 'stopped') throw closedError()
    if (handler) this.#dispatcher?.handle(handler, checked)
  }

  recheck(): void {
    if (this.state === 'running' || this.state === 'paused') this.#intake.tick(true)
  }

  stop(options: { timeoutMs?: number; graceMs?: number } = {}): Promise<number> {
    this.#stopping ??= this.#stop(options.timeoutMs ?? STOP_MS, options.graceMs ?? 0)
    return this.#stopping
  }

  async #start(): Promise<void> {
    const { seen, clock, reply, onReceipt, onCard, policy, self, requests, stillTrusted } = this.#options
    const memory = await seen.start()
    if (this.#ending.signal.aborted) return
    if (memory.lost) this.#emit('seen-lost', { alarm: true })
    this.#restoredMs = memory.highestTimeMs
    clock.witness(memory.highestTimeMs)
    this.#epochs = new Epochs(memory, seen, this.#lifetimeMs)
    this.#dispatcher = new Dispatcher({
      ...{ reply, onReceipt, onCard, self, ...(policy && { policy }), ...(requests && { requests }) },
      ...(stillTrusted && { stillTrusted }),
      ...{ seen, epochs: this.#epochs, settler: this.#settler, lifetimeMs: this.#lifetimeMs },
      emit: (event, detail) => this.#emit(event, detail),
      nowMs: () => this.#nowMs(),
      activeMs: () => this.#activeMs,
    })
    this.state = 'running'
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    await this.#consume(this.#ending.signal)
  }

  /** n.b. in an outage consuming begins only when a connection does: stopping must not wait for that. */
  async #consume(signal: AbortSignal): Promise<void> {
    const onDelivery = (delivery: TransportDelivery): void => this.#receive(delivery)
    const options = { prefetch: this.#prefetch, onLost: (): void => this.#onLost(), signal }
    const consuming = this.#options.transport.consume(onDelivery, options)
    const ended = new Promise<undefined>(resolve => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true })
    })
    this.#consumer = await Promise.race([consuming, ended])
    if (this.#consumer) return
    consuming.then(
      late => void late.stop(),
      () => undefined,
    )
  }

  #receive(delivery: TransportDelivery): void {
    if (this.state !== 'running' && this.state !== 'paused') return // the channel is about to close: it goes back
    this.#outstanding += 1
    this.#bytes += delivery.body.length
    this.#intake.receive({
      body: delivery.body,
      claimedFrom: delivery.claimedFrom,
      generation: this.#generation,
      ack: () => delivery.ack(),
      left: 0,
      lane: undefined,
    })
  }

  #accept(opened: Opened, arrival: Arrival): void {
    if (this.state !== 'running' && this.state !== 'paused') return
    const highest = this.#options.clock.witness(opened.createdAtMs)
    if (highest >= this.#toldMs + TIME_STEP_MS) {
      this.#toldMs = highest
      this.#options.seen.time(highest)
    }
    this.#dispatcher?.accept(opened, arrival)
  }

  #acknowledge(arrival: Arrival): void {
    if (arrival.generation !== this.#generation || this.state === 'failed') return
    if (arrival.lane) arrival.lane.arrivals -= 1
    this.#outstanding -= 1
    this.#bytes -= arrival.body.length
    arrival.ack()
  }

  #onLost(): void {
    this.#generation += 1
    this.#outstanding = 0
    this.#bytes = 0
    this.#credit = this.#prefetch
    this.#intake.lost()
    const { kind } = this.#options.seen
    this.#dispatcher?.lost(kind === 'shared' || kind === 'transactional') // those modes are for several workers
  }

  #onPaused(reason: NotOpened | undefined): void {
    if (this.state !== 'running' && this.state !== 'paused') return
    this.state = reason ? 'paused' : 'running'
    if (reason) this.#emit('paused', { reason: reason.reason, detail: reason.detail, alarm: true })
    else this.#emit('resumed', { alarm: false })
  }

  #tick(): void {
    this.#activeMs += TICK_MS
    this.#dispatcher?.tick()
    if (this.state !== 'running' && this.state !== 'paused') return
    this.#intake.tick()
    this.#unblock()
    if (this.#activeMs % SWEEP_MS === 0) this.#epochs?.sweep(this.#nowMs())
  }

  /** What waits for a message that the broker will not deliver before something is acknowledged would wait for ever. */
  #unblock(): void {
    this.#fullTicks = this.#outstanding >= this.#credit ? this.#fullTicks + 1 : 0
    if (this.#fullTicks < 2 || !this.#dispatcher || this.#intake.paused) return
    const { gaps, hasHandler, isIdle } = this.#dispatcher
    if (
      this.#blocked() * 2 >= this.#credit &&
      this.#bytes < MAX_HELD_BYTES &&
      this.#credit < MAX_CREDIT * this.#prefetch &&
      this.#consumer?.addCredit(this.#prefetch)
    ) {
      this.#credit += this.#prefetch
      return
    }
    if (this.#dispatcher.displace(Math.floor(this.#prefetch / 4))) return
    if (!hasHandler || !isIdle || this.#settler.pending > this.#settler.resting) return
    if (this.#intake.opening > 0) return // one of these may be what is waited for
    const lane = gaps.oldest()
    if (lane) this.#dispatcher.skipGap(lane, 'prefetch')
    else this.#intake.giveWay()
  }

  /** Bodies that cannot be acknowledged before another one comes. */
  #blocked(): number {
    if (!this.#dispatcher?.hasHandler) return this.#outstanding
    let blocked = this.#intake.unopened
    for (const lane of this.#dispatcher.blocked()) blocked += lane.arrivals
    return blocked
  }

  async #stop(timeoutMs: number, graceMs: number): Promise<number> {
    if (this.state !== 'failed') this.state = 'stopping'
    this.#ending.abort(closedError())
    await this.#starting?.catch(() => undefined)
    this.#dispatcher?.stop()
    const abort = setTimeout(
      () => this.#dispatcher?.abort('the bus is closing'),
      Math.min(graceMs, timeoutMs),
    )
    await this.#settled(timeoutMs)
    clearTimeout(abort)
    clearInterval(this.#timer)
    const unhandled = this.#unhandled()
    this.#stopped.abort(closedError())
    await this.#consumer?.stop()
    await this.#options.seen.close()
    this.state = 'stopped'
    return unhandled
  }

  /** Resolves when no handler runs and every verdict is carried out or waits for full parking, or when the time is over. */
  #settled(timeoutMs: number): Promise<void> {
    const isDone = (): boolean =>
      (this.#dispatcher?.running ?? 0) === 0 && this.#settler.pending === this.#settler.resting
    return new Promise(resolve => {
      const done = (): void => {
        clearInterval(poll)
        clearTimeout(deadline)
        resolve()
      }
      const poll = setInterval(() => isDone() && done(), 5)
      const deadline = setTimeout(done, timeoutMs)
      if (isDone()) done()
    })
  }

  #unhandled(): number {
    let unhandled = this.#intake.unopened + this.#intake.opening
    for (const lane of this.#epochs?.lanes() ?? []) unhandled += lane.slots.size
    return unhandled
  }

  /** Nothing can be remembered: acknowledge nothing more, hand out nothing more. */
  #fail(error: Error): void {
    if (this.state === 'failed' || this.state === 'stopped') return
    this.state = 'failed'
    this.#dispatcher?.stop()
    this.#emit('store-failed', { error, alarm: true })
    void this.#consumer?.stop()
  }

  #nowMs(): number {
    return Math.max(this.#options.clock.now(), this.#restoredMs - SKEW_MS)
  }

  #emit(event: string, detail: object): void {
    this.#count(event)
    this.#options.emit(event, detail)
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }
}

function checkConsumeOptions(options: ConsumeOptions): Required<ConsumeOptions> {
  return {
    concurrency: inRange('concurrency', options.concurrency ?? 16, 1, 1024),
    timeoutMs: inRange('timeoutMs', options.timeoutMs ?? 30_000, 1, 2 ** 31 - 1),
    retries: inRange('retries', options.retries ?? 2, 0, 10),
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value)) throw new TypeError(`${name}: expected an integer, got ${value}`)
  if (value < least || value > most) throw new RangeError(`${name}: expected ${least}..${most}, got ${value}`)
  return value
}

function closedError(): SealbusError {
  return new SealbusError('closed', 'the bus is closed or closing; make a new one')
}
