/**
 * Collects what is to be written, so that many share one write and one fsync. A group is written when its first item's
 * time is up or it has grown large enough, and never while another one is being written.
 */

export interface GroupingOptions<T> {
  /** A group that has so many bytes waits no longer. */
  readonly groupBytes: number
  /** Writes one group, in order. n.b. must not reject: it tells the items' owners itself. */
  readonly write: (items: readonly T[]) => Promise<void>
}

export class Grouping<T> {
  readonly #options: GroupingOptions<T>
  #items: T[] = []
  #bytes = 0
  #dueMs = Number.POSITIVE_INFINITY
  #hurry: () => void = () => undefined
  #running: Promise<void> | undefined

  constructor(options: GroupingOptions<T>) {
    this.#options = options
  }

  /** The item is written within `withinMs`, unless the disk is slower. */
  add(item: T, bytes: number, withinMs: number): void {
    this.#items.push(item)
    this.#bytes += bytes
    const dueMs = performance.now() + withinMs
    if (dueMs < this.#dueMs || this.#bytes >= this.#options.groupBytes) {
      this.#dueMs = Math.min(this.#dueMs, dueMs)
      this.#hurry()
    }
    this.#running ??= this.#run()
  }

  /** Resolves when all that was added until now is written. */
  async flush(): Promise<void> {
    while (this.#running) {
      this.#dueMs = 0
      this.#hurry()
      await this.#running
    }
  }

  async #run(): Promise<void> {
    while (this.#items.length > 0) {
      await this.#linger()
      const items = this.#items
      this.#items = []
      this.#bytes = 0
      this.#dueMs = Number.POSITIVE_INFINITY
      await this.#options.write(items)
    }
    this.#running = undefined
  }

  async #linger(): Promise<void> {
    for (;;) {
      const left = this.#dueMs - performance.now()
      if (left <= 0 || this.#bytes >= this.#options.groupBytes) return
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#hurry = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}
