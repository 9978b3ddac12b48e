/**
 * Which parts of a divided inbox this worker consumes. Its own it consumes always; of the others it takes those without a
 * consumer, and gives way now and then, so that an owner that has come has its part. docs/DELIVERY.md, "Several workers".
 *
 * n.b. of a queue with a single active consumer the broker counts that one alone: only who gives way learns who waits. It
 * lets the owner begin before we have finished; their common memory keeps the order.
 */
import { asError } from '../errors.js'
import type { Generation } from './generation.js'
import type { TransportEvent } from './transport.js'

/** Between two looks at the others' queues; half of it is jitter, so that two workers seldom take one at once. */
const LOOK_MS = 1_000
/** How long one is kept before we give way. */
const KEEP_MS = 5_000

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
  const parts = others.map((queue): Part => ({ queue, sinceMs: undefined, isRefused: false }))
  const over = new AbortController()
  void generation.dead.then(() => over.abort())
  for (;;) {
    await Promise.race([pause(LOOK_MS * (0.5 + Math.random())), generation.dead])
    for (const part of parts) {
      if (over.signal.aborted) return
      await look(options, part)
    }
  }
}

interface Part {
  readonly queue: string
  /** Since when we have it, or have last given way (`performance.now()`). */
  sinceMs: number | undefined
  isRefused: boolean
}

async function look(options: PartitionsOptions, part: Part): Promise<void> {
  const { queue } = part
  try {
    if (part.sinceMs === undefined) await take(options, part, 'partition-taken')
    else if (performance.now() - part.sinceMs >= KEEP_MS) await giveWay(options, part)
    part.isRefused = false
  } catch (thrown) {
    if (!part.isRefused)
      options.event({ name: 'partition-unseen', detail: { queue, reason: asError(thrown).message } })
    part.isRefused = true
  }
}

/** Takes the queue if nobody has it. */
async function take(options: PartitionsOptions, part: Part, name?: string): Promise<void> {
  const { queue } = part
  part.sinceMs = undefined
  if ((await options.consumers(queue)) > 0 || !options.generation.alive) return
  await options.generation.consume(queue, options.prefetch)
  part.sinceMs = performance.now()
  if (name !== undefined) options.event({ name, detail: { queue } })
}

/** Whoever waits for the queue has it now; else it is ours again at once. */
async function giveWay(options: PartitionsOptions, part: Part): Promise<void> {
  const { queue } = part
  await options.generation.cancel(queue)
  await take(options, part)
  if (part.sinceMs === undefined) options.event({ name: 'partition-given-back', detail: { queue } })
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms).unref()
  })
}
