/**
 * How many bodies the broker may leave in our hands: counts those that are out, and when all credit is used and nothing
 * moves, makes room, since what waits for a message that the broker will not deliver before something is acknowledged would
 * wait for ever.
 */
import type { TransportConsumer } from '../transport/transport.js'
import type { Dispatcher } from './dispatch.js'
import { MAX_HELD_BYTES } from './gaps.js'
import type { Intake } from './intake.js'
import type { Settler } from './settle.js'

/** Times the prefetch: as far as credit is added. */
const MAX_CREDIT = 8

export interface CreditOptions {
  /** Bodies unacknowledged at once, to begin with. */
  readonly prefetch: number
  readonly intake: Intake
  readonly settler: Settler
}

export class Credit<Tx> {
  readonly #options: CreditOptions
  #credit: number
  /** Bodies that are out, and their bytes. */
  #outstanding = 0
  #bytes = 0
  /** Looks in a row at which no credit was left. */
  #fullTicks = 0

  constructor(options: CreditOptions) {
    this.#options = options
    this.#credit = options.prefetch
  }

  take(body: Uint8Array): void {
    this.#outstanding += 1
    this.#bytes += body.length
  }

  giveBack(body: Uint8Array): void {
    this.#outstanding -= 1
    this.#bytes -= body.length
  }

  /** The channel is gone: nothing is out any more. */
  lost(): void {
    this.#outstanding = 0
    this.#bytes = 0
    this.#credit = this.#options.prefetch
  }

  /** Makes room where all credit is used up: by more credit, else by what stands still, else by the oldest gap. */
  unblock(dispatcher: Dispatcher<Tx>, consumer: TransportConsumer | undefined): void {
    const { prefetch, intake } = this.#options
    this.#fullTicks = this.#outstanding >= this.#credit ? this.#fullTicks + 1 : 0
    if (this.#fullTicks < 2 || intake.paused || dispatcher.isPaused) return
    if (this.#mayGrow(dispatcher) && consumer?.addCredit(prefetch)) {
      this.#credit += prefetch
      return
    }
    if (dispatcher.displace(Math.floor(prefetch / 4))) return
    if (this.#isMoving(dispatcher)) return
    const lane = dispatcher.gaps.oldest()
    if (lane) dispatcher.skipGap(lane, 'prefetch')
    else intake.giveWay()
  }

  #mayGrow(dispatcher: Dispatcher<Tx>): boolean {
    return (
      this.#blocked(dispatcher) * 2 >= this.#credit &&
      this.#bytes < MAX_HELD_BYTES &&
      this.#credit < MAX_CREDIT * this.#options.prefetch
    )
  }

  /** Something is under way that will be acknowledged, or may be what is waited for. */
  #isMoving({ turns }: Dispatcher<Tx>): boolean {
    const { intake, settler } = this.#options
    return !turns.hasHandler || !turns.isIdle || settler.pending > settler.resting || intake.opening > 0
  }

  /** Bodies that cannot be acknowledged before another one comes. */
  #blocked(dispatcher: Dispatcher<Tx>): number {
    if (!dispatcher.turns.hasHandler) return this.#outstanding
    let blocked = this.#options.intake.unopened
    for (const lane of dispatcher.blocked()) blocked += lane.arrivals
    return blocked
  }
}
