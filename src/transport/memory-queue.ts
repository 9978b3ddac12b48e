/** One queue of the broker in memory: first in, first out, one active consumer, unacknowledged bodies go back in order. */
import type { Publication } from './transport.js'

/** A body in a queue. */
export interface MemoryBody {
  readonly position: number
  readonly publication: Publication
  readonly redelivered: boolean
}

/** Who takes bodies; only the first one that came is active. */
export interface MemoryQueueConsumer {
  /** Bodies that it may hold unacknowledged. */
  readonly prefetch: number
  deliver(body: MemoryBody): void
  cancelled(): void
}

export class MemoryQueue {
  #limits: { readonly maxMessages: number; readonly maxBytes: number }
  #waiting: MemoryBody[] = []
  #unacknowledged = new Map<number, MemoryBody>()
  #consumers: MemoryQueueConsumer[] = []
  #bytes = 0
  #last = 0
  #scheduled = false

  constructor(limits: { readonly maxMessages: number; readonly maxBytes: number }) {
    this.#limits = limits
  }

  get waiting(): readonly MemoryBody[] {
    return this.#waiting
  }

  get unacknowledged(): number {
    return this.#unacknowledged.size
  }

  get consumers(): number {
    return this.#consumers.length
  }

  /** False where it is full. */
  put(publication: Publication): boolean {
    const size = publication.body.length
    if (this.#waiting.length + this.#unacknowledged.size >= this.#limits.maxMessages) return false
    if (this.#bytes + size > this.#limits.maxBytes) return false
    this.#bytes += size
    this.#waiting.push({ position: ++this.#last, publication, redelivered: false })
    this.#schedule()
    return true
  }

  /** Adds a consumer; the function removes it, and what it holds goes back. */
  consume(consumer: MemoryQueueConsumer): () => void {
    this.#consumers.push(consumer)
    this.#schedule()
    return () => this.#remove(consumer)
  }

  /** Done with a body; false where it is not out. */
  ack(position: number): boolean {
    const body = this.#unacknowledged.get(position)
    if (body === undefined) return false
    this.#unacknowledged.delete(position)
    this.#bytes -= body.publication.body.length
    this.#schedule()
    return true
  }

  /** Back to its place; false where it is not out. */
  requeue(position: number): boolean {
    const body = this.#unacknowledged.get(position)
    if (body === undefined) return false
    this.#unacknowledged.delete(position)
    this.#giveBack([body])
    return true
  }

  /** The queue is deleted. */
  cancelAll(): void {
    for (const consumer of this.#consumers.splice(0)) consumer.cancelled()
    this.#unacknowledged.clear()
  }

  #remove(consumer: MemoryQueueConsumer): void {
    const wasActive = this.#consumers[0] === consumer
    this.#consumers = this.#consumers.filter(each => each !== consumer)
    if (!wasActive) return
    const out = [...this.#unacknowledged.values()]
    this.#unacknowledged.clear()
    this.#giveBack(out)
  }

  #giveBack(bodies: readonly MemoryBody[]): void {
    const back = bodies.map(body => ({ ...body, redelivered: true }))
    this.#waiting = [...back, ...this.#waiting].sort((a, b) => a.position - b.position)
    this.#schedule()
  }

  /** n.b. never in the publisher's own tick: a real broker answers later, too. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    for (;;) {
      const active = this.#consumers[0]
      if (active === undefined || this.#unacknowledged.size >= active.prefetch) return
      const body = this.#waiting.shift()
      if (body === undefined) return
      this.#unacknowledged.set(body.position, body)
      active.deliver(body)
    }
  }
}
