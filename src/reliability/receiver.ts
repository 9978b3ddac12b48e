/**
 * The receiving half: consumes one's own inbox, opens, judges, keeps order, runs the handler, remembers, acknowledges.
 * docs/DELIVERY.md, "Consuming". This file holds its life: start, pause, stop.
 */
import type { ConsumeOptions, Handler } from '../bus.js'
import type { Opened } from '../crypto/sealing.js'
import { SealbusError } from '../errors.js'
import type { TransportConsumer, TransportDelivery } from '../transport/transport.js'
import { DEFAULT_LIFETIME_S } from '../wire.js'
import { AuthenticatedTime } from './authenticated-time.js'
import { checkConsumeOptions, checkPrefetch } from './consume-options.js'
import { Credit } from './credit.js'
import { Dispatcher } from './dispatch.js'
import { Epochs } from './epochs.js'
import { type Hindrance, Hindrances } from './hindrances.js'
import { Intake } from './intake.js'
import { Recaller } from './recaller.js'
import type { Receiver, ReceiverOptions, ReceiverState } from './receiving.js'
import { Settler } from './settle.js'
import type { Arrival } from './slots.js'
import { storeHooks } from './store-hooks.js'
import { doneWithin, unlessEnded } from './waits.js'

const TICK_MS = 100
const SWEEP_MS = 60_000
const STOP_MS = 30_000

export type { Receiver, ReceiverOptions } from './receiving.js'

export function createReceiver<Tx = undefined>(options: ReceiverOptions<Tx>): Receiver<Tx> {
  return new InboxReceiver(options)
}

class InboxReceiver<Tx> implements Receiver<Tx> {
  readonly counts: Record<string, number> = { handled: 0 }
  readonly #options: ReceiverOptions<Tx>
  readonly #lifetimeMs: number
  readonly #prefetch: number
  readonly #time: AuthenticatedTime
  /** Fires when stopping begins; the next when nothing more is carried out. */
  readonly #ending: AbortController = new AbortController()
  readonly #stopped: AbortController = new AbortController()
  readonly #settler: Settler
  readonly #intake: Intake
  readonly #credit: Credit<Tx>
  readonly #hindrances: Hindrances
  #state: Exclude<ReceiverState, 'paused'> = 'idle'
  #dispatcher: Dispatcher<Tx> | undefined
  #epochs: Epochs | undefined
  #recaller: Recaller | undefined
  #consumer: TransportConsumer | undefined
  #timer: NodeJS.Timeout | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<number> | undefined
  /** Time that counts only while the event loop turns: nothing is given up because the process was stopped. */
  #activeMs = 0
  #generation = 0

  constructor(options: ReceiverOptions<Tx>) {
    this.#options = options
    this.#lifetimeMs = options.lifetimeMs ?? DEFAULT_LIFETIME_S * 1000
    this.#prefetch = checkPrefetch(options.prefetch)
    this.#time = new AuthenticatedTime(options.clock, highestMs => options.seen.time(highestMs))
    const { self, seen, park } = options
    const emit = (event: string, detail: object): void => this.#emit(event, detail)
    const nowMs = (): number => this.#time.nowMs()
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
      onPaused: reason => this.#onPaused('stale-revocation', reason?.detail),
    })
    this.#hindrances = new Hindrances(emit)
    this.#credit = new Credit({ prefetch: this.#prefetch, intake: this.#intake, settler: this.#settler })
  }

  get state(): ReceiverState {
    return this.#state === 'running' && this.hindrance ? 'paused' : this.#state
  }

  get hindrance(): Error | undefined {
    return this.#hindrances.first
  }

  async start(handler?: Handler<Tx>, options: ConsumeOptions = {}): Promise<void> {
    const checked = checkConsumeOptions(options)
    this.#starting ??= this.#start()
    await this.#starting
    if (this.#state === 'stopping' || this.#state === 'stopped') throw closedError()
    if (handler) this.#dispatcher?.handle(handler, checked)
  }

  recheck(): void {
    if (this.#state === 'running') this.#intake.tick(true)
  }

  stop(options: { timeoutMs?: number; graceMs?: number } = {}): Promise<number> {
    this.#stopping ??= this.#stop(options.timeoutMs ?? STOP_MS, options.graceMs ?? 0)
    return this.#stopping
  }

  async #start(): Promise<void> {
    const { seen, reply, onReceipt, onCard, policy, self, requests, stillTrusted } = this.#options
    const emit = (event: string, detail: object): void => this.#emit(event, detail)
    const late = { epochs: () => this.#epochs, dispatcher: () => this.#dispatcher }
    const memory = await seen.start(storeHooks<Tx>({ seen, emit, lifetimeMs: this.#lifetimeMs, ...late }))
    if (this.#ending.signal.aborted) return
    if (memory.lost) emit('seen-lost', { alarm: true })
    this.#time.restore(memory.highestTimeMs)
    this.#epochs = new Epochs(memory, seen, this.#lifetimeMs)
    this.#dispatcher = new Dispatcher({
      ...{ reply, onReceipt, onCard, self, ...(policy && { policy }), ...(requests && { requests }) },
      ...(stillTrusted && { stillTrusted }),
      ...{ seen, epochs: this.#epochs, settler: this.#settler, lifetimeMs: this.#lifetimeMs },
      ...{ emit, unclean: memory.unclean ?? false, fail: error => this.#fail(error) },
      onInbox: error => this.#onPaused('handlers', error?.name),
      nowMs: () => this.#time.nowMs(),
      activeMs: () => this.#activeMs,
    })
    this.#recaller = new Recaller({
      ...{ seen, activeMs: () => this.#activeMs },
      learn: (key, recalled, createdAtMs) => this.#dispatcher?.learn(key, recalled, createdAtMs),
    })
    this.#state = 'running'
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    await this.#consume(this.#ending.signal)
  }

  async #consume(signal: AbortSignal): Promise<void> {
    const onDelivery = (delivery: TransportDelivery): void => this.#receive(delivery)
    const options = { prefetch: this.#prefetch, onLost: (): void => this.#onLost(), signal }
    this.#consumer = await unlessEnded(this.#options.transport.consume(onDelivery, options), signal)
  }

  #receive(delivery: TransportDelivery): void {
    if (this.#state !== 'running') return // the channel is about to close: it goes back
    this.#credit.take(delivery.body)
    this.#intake.receive({
      ...{ body: delivery.body, claimedFrom: delivery.claimedFrom, generation: this.#generation },
      ack: () => delivery.ack(),
      ...(delivery.grant && { grant: delivery.grant }),
      left: 0,
      lane: undefined,
    })
  }

  #accept(opened: Opened, arrival: Arrival): void {
    if (this.#state !== 'running') return
    this.#time.witness(opened.createdAtMs)
    this.#recaller?.before(opened, () => {
      if (arrival.generation === this.#generation) this.#dispatcher?.accept(opened, arrival)
    })
  }

  #acknowledge(arrival: Arrival): void {
    if (arrival.generation !== this.#generation || this.#state === 'failed') return
    if (arrival.lane) arrival.lane.arrivals -= 1
    this.#credit.giveBack(arrival.body)
    arrival.ack()
  }

  #onLost(): void {
    this.#generation += 1
    this.#credit.lost()
    this.#intake.lost()
    this.#recaller?.forget()
    const { kind } = this.#options.seen
    this.#dispatcher?.lost(kind === 'shared' || kind === 'transactional') // those modes are for several workers
  }

  /** @param detail - undefined where it is over */
  #onPaused(hindrance: Hindrance, detail: string | undefined): void {
    if (this.#state !== 'running') return
    if (detail !== undefined) this.#hindrances.begin(hindrance, detail)
    else this.#hindrances.end(hindrance)
  }

  #tick(): void {
    this.#activeMs += TICK_MS
    this.#dispatcher?.tick()
    if (this.#state !== 'running') return
    this.#intake.tick()
    if (!this.#dispatcher || !this.#recaller) return
    this.#recaller.tick(this.#dispatcher.gaps.lanes)
    if (!this.#recaller.isWaiting) this.#credit.unblock(this.#dispatcher, this.#consumer)
    if (this.#activeMs % SWEEP_MS !== 0) return
    this.#epochs?.sweep(this.#time.nowMs())
    this.#recaller.forget()
    this.#dispatcher.sweep()
  }

  async #stop(timeoutMs: number, graceMs: number): Promise<number> {
    if (this.#state !== 'failed') this.#state = 'stopping'
    this.#ending.abort(closedError())
    await this.#starting?.catch(() => undefined)
    this.#dispatcher?.stop()
    const signal = (): void => this.#dispatcher?.turns.abort('the bus is closing')
    const abort = setTimeout(signal, Math.min(graceMs, timeoutMs))
    await doneWithin(() => this.#isSettled(), timeoutMs)
    clearTimeout(abort)
    clearInterval(this.#timer)
    const unhandled = this.#unhandled()
    this.#stopped.abort(closedError())
    await this.#consumer?.stop()
    await this.#options.seen.close()
    this.#state = 'stopped'
    return unhandled
  }

  /** No handler runs, and every verdict is carried out or waits for full parking. */
  #isSettled(): boolean {
    return (this.#dispatcher?.turns.running ?? 0) === 0 && this.#settler.pending === this.#settler.resting
  }

  #unhandled(): number {
    let unhandled = this.#intake.unopened + this.#intake.opening
    for (const lane of this.#epochs?.lanes() ?? []) unhandled += lane.slots.size
    return unhandled
  }

  /** Nothing can be remembered: acknowledge nothing more, hand out nothing more. */
  #fail(error: Error): void {
    if (this.#state === 'failed' || this.#state === 'stopped') return
    this.#state = 'failed'
    this.#dispatcher?.stop()
    this.#emit('store-failed', { error, alarm: true })
    void this.#consumer?.stop()
  }

  #emit(event: string, detail: object): void {
    this.#count(event)
    this.#options.emit(event, detail)
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }
}

function closedError(): SealbusError {
  return new SealbusError('closed', 'the bus is closed or closing; make a new one')
}
