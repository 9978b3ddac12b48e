/**
 * An inbox that delivers nothing for 30 s is looked at: a consumer that the broker has forgotten, a queue that is gone and a
 * binding that somebody took away have in common that nobody is told.
 */
import { asError } from '../errors.js'
import { pause } from './deadline.js'
import { replyCode } from './failures.js'
import type { Generation } from './generation.js'
import type { Link } from './link.js'
import { declareInbox, type InboxKind, inspectQueue, type Names, singleActive } from './topology.js'
import type { TransportEvent } from './transport.js'
import { STARVING_MS, starvation } from './watchdog.js'

/** From the suspicion of being starved until it counts: a delivery meanwhile refutes it. */
const GRACE_MS = 1_000

export interface SilenceSetup {
  readonly names: Names
  /** Those that are consumed in any case. */
  readonly queues: readonly string[]
  readonly kind: InboxKind
  /** The inbox may be declared. */
  readonly declare: boolean
  readonly event: (event: TransportEvent) => void
}

export class Silence {
  #setup: SilenceSetup
  #stop: AbortSignal
  /** The last delivery, look or start (`performance.now()`). */
  #heardAt = 0
  #forbidden = false

  constructor(setup: SilenceSetup, stop: AbortSignal) {
    this.#setup = setup
    this.#stop = stop
  }

  /** Something came, or consuming has begun. */
  heard(): void {
    this.#heardAt = performance.now()
  }

  /** Called every second. n.b. a consumer that the broker has forgotten without a word gets nothing, and no event says so. */
  look(now: number, generation: Generation | undefined, link: Link | undefined): void {
    if (generation?.alive !== true || link === undefined || now - this.#heardAt < STARVING_MS) return
    this.#heardAt = now
    void this.#forgotten(link, generation).then(async reason => {
      // n.b. what came to the inbox at this very moment is on its way
      if (reason !== undefined) await pause(GRACE_MS, this.#stop)
      if (reason === undefined || !generation.alive || this.#heardAt !== now) return
      this.#setup.event({ name: 'consumer-starved', detail: { generation: generation.id, reason } })
      void generation.end()
    })
  }

  /** Why the broker does not serve us, if it does not. n.b. who may not look learns it by consuming anew, but once. */
  async #forgotten(link: Link, generation: Generation): Promise<string | undefined> {
    const { queues, kind } = this.#setup
    await this.#bindAnew(link)
    try {
      for (const queue of queues) {
        const reason = starvation(await inspectQueue(link, queue), singleActive(kind), generation.freeCredit)
        if (reason !== undefined) return reason
      }
      return undefined
    } catch (thrown) {
      const failure = asError(thrown)
      const code = replyCode(failure.cause)
      const once = code === 403 && !this.#forbidden
      this.#forbidden ||= once
      return once || code === 404 ? failure.message : undefined
    }
  }

  /** A binding is missed by nobody: who may declare its inbox declares it again, which changes nothing where all stands. */
  async #bindAnew(link: Link): Promise<void> {
    const { names, kind, declare, event } = this.#setup
    if (!declare) return
    await declareInbox(link, names, kind).catch((thrown: unknown) => {
      event({ name: 'declare-failed', detail: { reason: asError(thrown).message } })
    })
  }
}
