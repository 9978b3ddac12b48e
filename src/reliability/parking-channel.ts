/**
 * The channel that parking publishes on: one of its own, since a refusal (no exchange, no permission) kills it and must
 * take nobody along. What is parked in the same moment shares it; with the last of them it goes back.
 */
import type { PublishChannel, Transport } from '../transport/transport.js'

interface Lease {
  readonly opening: Promise<PublishChannel>
  readonly unwanted: AbortController
  users: number
}

export class ParkingChannel {
  readonly #transport: Pick<Transport, 'channel'>
  #lease: Lease | undefined

  constructor(transport: Pick<Transport, 'channel'>) {
    this.#transport = transport
  }

  /**
   * Runs the task on the channel. n.b. after a failure, and where `isGood` says no of the result, the next caller gets
   * another: a channel that met a queue without leader stays nacked for it.
   *
   * @throws what the task or the transport throws, or the signal's reason
   */
  async use<T>(
    task: (channel: PublishChannel) => Promise<T>,
    isGood: (result: T) => boolean,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#lease ??= this.#open()
    const lease = this.#lease
    lease.users += 1
    let good = false
    try {
      const result = await task(await unlessAborted(lease.opening, signal))
      good = isGood(result)
      return result
    } finally {
      if (!good && signal?.aborted !== true) this.#retire(lease)
      lease.users -= 1
      if (lease.users === 0) this.#end(lease)
    }
  }

  #open(): Lease {
    const unwanted = new AbortController()
    const opening = this.#transport.channel('isolated', unwanted.signal)
    return { opening, unwanted, users: 0 }
  }

  /** Nobody new gets it. */
  #retire(lease: Lease): void {
    if (this.#lease === lease) this.#lease = undefined
  }

  #end(lease: Lease): void {
    this.#retire(lease)
    lease.unwanted.abort(new Error('nobody parks any more'))
    lease.opening.then(
      channel => channel.release(),
      () => undefined,
    )
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
