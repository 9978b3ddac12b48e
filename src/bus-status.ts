/** The status of a bus: what its own life, its receiver, its transport and its composition say, in this order. */
import type { Status } from './bus.js'
import type { BusParts } from './bus-parts.js'
import { SealbusError } from './errors.js'
import type { Receiver } from './reliability/receiver.js'

type Hindered = Pick<Receiver, 'state' | 'hindrance'>

export class BusStatus {
  /** The bus's own life; every later word hides the transport's status. */
  phase: 'open' | 'draining' | 'closed' = 'open'
  /** Why nothing can be handled, or stored, any more. */
  failure: Error | undefined
  readonly #parts: Pick<BusParts, 'transport' | 'hindrance' | 'events'>
  readonly #receiver: () => Hindered
  #told: Status['state'] | undefined

  constructor(parts: Pick<BusParts, 'transport' | 'hindrance' | 'events'>, receiver: () => Hindered) {
    this.#parts = parts
    this.#receiver = receiver
  }

  current(): Status {
    if (this.phase === 'closed')
      return this.failure ? { state: 'closed', reason: this.failure } : { state: 'closed' }
    if (this.phase === 'draining') return { state: 'draining' }
    if (this.failure ?? this.#receiver().state === 'failed')
      return { state: 'paused', reason: this.failure ?? storeFailed() }
    const status = this.#parts.transport.status()
    if (status.state !== 'ready') return status
    const hindrance = this.#parts.hindrance?.() ?? this.#receiver().hindrance
    return hindrance === undefined ? status : { state: 'paused', reason: hindrance }
  }

  /** Emits `status` where the state is another than the one that was told last. */
  tell(): void {
    const status = this.current()
    if (status.state === this.#told) return
    this.#told = status.state
    const alarm = status.state === 'unauthorised' || status.state === 'paused'
    this.#parts.events.emit('status', { ...status, alarm })
  }

  /** The store failed. */
  fail(error: Error | undefined): void {
    this.failure = error ?? storeFailed()
  }
}

function storeFailed(): Error {
  return new SealbusError('store-failed', 'nothing can be remembered any more: mend the disk and start again')
}
