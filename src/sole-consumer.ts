/**
 * A reply reaches whichever process of an address consumes. So `request` belongs to an address with one process, and is
 * refused where the broker sees a second consumer on the own inbox, or the store that workers share a second worker. n.b. of
 * a queue with a single active consumer the broker sees that one alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from './errors.js'
import type { Transport } from './transport/transport.js'

/** How long the broker's answer is good for. */
const FRESH_MS = 10_000
/** One's own consumer of a connection that has just died may still be counted. */
const PATIENCE_MS = 7_000
const POLL_MS = 250

export class SoleConsumer {
  readonly #transport: Pick<Transport, 'address' | 'consumers'>
  #askedAtMs = Number.NEGATIVE_INFINITY

  readonly #workers: () => Promise<number | undefined> | undefined

  /** @param workers - how many the store knows */
  constructor(
    transport: Pick<Transport, 'address' | 'consumers'>,
    workers: () => Promise<number | undefined> | undefined,
  ) {
    this.#transport = transport
    this.#workers = workers
  }

  /** It was asked a short while ago, and was so. */
  get fresh(): boolean {
    return performance.now() - this.#askedAtMs < FRESH_MS
  }

  /** @throws SealbusError `request-refused` where a second consumer stays */
  async expect(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      const [seen, known] = await Promise.all([this.#transport.consumers(), this.#workers()])
      const count = Math.max(seen ?? 0, known ?? 0)
      if (count <= 1) {
        this.#askedAtMs = performance.now()
        return
      }
      if (performance.now() > deadline) throw refused(this.#transport.address, count)
      await sleep(POLL_MS)
    }
  }
}

function refused(address: string, count: number): SealbusError {
  return new SealbusError(
    'request-refused',
    `request: ${count} consumers on the inbox of ${address}: replies could reach another process; use an address of its own`,
  )
}
