/** Lanes whose turn it is: the more important first, round robin among equals, each in there once. */
import type { OutboxRecord } from './outbox.js'
import { Queue } from './queue.js'

export type LanePriority = OutboxRecord['priority']

/** Commands before reports before receipts before back-fill. */
const RANK: Readonly<Record<LanePriority, number>> = { command: 0, report: 1, receipt: 2, backfill: 3 }

/** n.b. a Set alone would do, were it not that taking its first again and again walks over all that was taken before. */
export class Ready<T extends { readonly priority: LanePriority }> {
  readonly #ranks: readonly Queue<T>[] = Object.values(RANK).map(() => new Queue<T>())
  readonly #present = new Set<T>()

  /** Puts it at the end of its rank, unless it is there already. */
  add(item: T): void {
    if (this.#present.has(item)) return
    this.#present.add(item)
    this.#ranks[RANK[item.priority]]?.push(item)
  }

  /** It is skipped when its turn comes. */
  delete(item: T): void {
    this.#present.delete(item)
  }

  shift(): T | undefined {
    for (const rank of this.#ranks) {
      for (let item = rank.shift(); item !== undefined; item = rank.shift()) {
        if (this.#present.delete(item)) return item
      }
    }
    return undefined
  }

  clear(): void {
    for (const rank of this.#ranks) rank.clear()
    this.#present.clear()
  }
}
