/** A confirm channel to the broker in memory. */
import { type Deferred, deferred } from './deadline.js'
import { connectionLost } from './failures.js'
import type { MemoryBroker } from './memory-broker.js'
import type { Confirmation, Publication, PublishChannel } from './transport.js'

let lastId = 0

export class MemoryChannel implements PublishChannel {
  readonly id: number
  readonly closed: Promise<Error | undefined>
  #broker: MemoryBroker
  #shared: boolean
  #gone: () => void
  #death: Deferred<Error | undefined> = deferred()
  #pending = new Set<Deferred<Confirmation>>()
  #open = true

  /** @param gone - called once when the channel is dead */
  constructor(broker: MemoryBroker, shared: boolean, gone: () => void) {
    this.#shared = shared
    this.id = ++lastId
    this.closed = this.#death.promise
    this.#broker = broker
    this.#gone = gone
  }

  get open(): boolean {
    return this.#open
  }

  publish(publication: Publication): Promise<Confirmation> {
    if (!this.#open) return Promise.reject(connectionLost(new Error('the channel is closed')))
    const pending = deferred<Confirmation>()
    this.#pending.add(pending)
    this.#broker.publish(publication, word => {
      if (this.#pending.delete(pending)) pending.resolve(word)
    })
    return pending.promise
  }

  /** The shared one lives as long as its connection. */
  release(): void {
    if (!this.#shared) this.die(undefined)
  }

  /** Every publish without an answer is lost, once. */
  die(reason: Error | undefined): void {
    if (!this.#open) return
    this.#open = false
    const failure = connectionLost(reason)
    for (const pending of this.#pending) pending.reject(failure)
    this.#pending.clear()
    this.#gone()
    this.#death.resolve(reason === undefined ? undefined : failure)
  }
}
