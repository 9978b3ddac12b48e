/**
 * Which parts of a divided inbox this worker consumes. Its own it consumes always; of the others it takes those without a
 * consumer, and gives one back when a second consumer has come, which is its owner. docs/DELIVERY.md, "Several workers".
 *
 * n.b. giving back lets the owner begin before we have finished: their common memory keeps the order.
 */
import { asError } from '../errors.js'
import type { Generation } from './generation.js'
import type { TransportEvent } from './transport.js'

/** Between two looks at the others' queues; half of it is jitter, so that two workers seldom take one at once. */
const LOOK_MS = 1_000

export interface PartitionsOptions {
  readonly generation: Generation
  /** The others' queues. */
  readonly others: readonly string[]
  /** Credit for each queue. */
  readonly prefetch: number
  /** How many consumers the broker sees. @throws where it will not say */
  readonly consumers: (queue: string) => Promise<number>
  readonly event: (event: TransportEvent) => void
}

/** Looks after the others' queues until the generation is dead. */
export async function keepPartitions(options: PartitionsOptions): Promise<void> {
  const { generation, others } = options
  const taken = new Set<string>()
  const over = new AbortController()
  void generation.dead.then(() => over.abort())
  const refused = new Set<string>()
  for (;;) {
    await Promise.race([pause(LOOK_MS * (0.5 + Math.random())), generation.dead])
    for (const queue of others) {
      if (over.signal.aborted) return
      await look(options, queue, taken, refused)
    }
  }
}

async function look(
  options: PartitionsOptions,
  queue: string,
  taken: Set<string>,
  refused: Set<string>,
): Promise<void> {
  const { generation, prefetch, event } = options
  try {
    const count = await options.consumers(queue)
    refused.delete(queue)
    if (!generation.alive) return
    if (count === 0 && !taken.has(queue)) {
      await generation.consume(queue, prefetch)
      taken.add(queue)
      event({ name: 'partition-taken', detail: { queue } })
    } else if (count > 1 && taken.has(queue)) {
      taken.delete(queue)
      await generation.cancel(queue)
      event({ name: 'partition-given-back', detail: { queue } })
    }
  } catch (thrown) {
    if (refused.has(queue)) return
    refused.add(queue)
    event({ name: 'partition-unseen', detail: { queue, reason: asError(thrown).message } })
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms).unref()
  })
}
