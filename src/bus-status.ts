/** The status of a bus: what its own life, its receiver, its transport and its composition say, in this order. */
import type { Status } from './bus.js'
import type { BusParts } from './bus-parts.js'
import { SealbusError } from './errors.js'
import type { ReceiverState } from './reliability/receiver.js'

export class BusStatus {
  /** The bus's own life; every later word hides the transport's status. */
  phase: 'open' | 'draining' | 'closed' = 'open'
  /** Why nothing can be handled, or stored, any more. */
  failure: Error | undefined
  readonly #parts: Pick<BusParts, 'transport' | 'hindrance' | 'events'>
  readonly #receiver: () => ReceiverState
  #told: Status['state'] | undefined

  constructor(parts: Pick<BusParts, 'transport' | 'hindrance' | 'events'>, receiver: () => ReceiverState) {
    this.#parts = parts
    this.#receiver = receiver
  }

  current(): Status {
    if (this.phase === 'closed')
      return this.failure ? { state: 'closed', reason: this.failure } : { state: 'closed' }
    if (this.phase === 'draining') return { state: 'draining' }
    if (this.failure ?? this.#receiver() === 'failed')
      return { state: 'paused', reason: this.failure ?? storeFailed() }
    const status = this.#parts.transport.status()
    if (status.state !== 'ready') return status
    const hindrance = this.#parts.hindrance?.() ?? (this.#receiver() === 'paused' ? stale() : undefined)
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

function stale(): Error {
  return new SealbusError(
    'revocation-stale',
    'the revocation list is older than its maximum age: fetch a new one',
  )
}

function storeFailed(): Error {
  return new SealbusError('store-failed', 'nothing can be remembered any more: mend the disk and start again')
}
