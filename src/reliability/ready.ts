/** Lanes whose turn it is: the more important first, round robin among equals. */
import type { OutboxRecord } from './outbox.js'

export type LanePriority = OutboxRecord['priority']

/** Commands before reports before receipts before back-fill. */
const RANK: Readonly<Record<LanePriority, number>> = { command: 0, report: 1, receipt: 2, backfill: 3 }

/** Sets keep the order of insertion: `shift` takes the longest waiting, `add` puts at the end, once. */
export class Ready<T extends { readonly priority: LanePriority }> {
  readonly #ranks: readonly Set<T>[] = Object.values(RANK).map(() => new Set<T>())

  add(item: T): void {
    this.#ranks[RANK[item.priority]]?.add(item)
  }

  delete(item: T): void {
    this.#ranks[RANK[item.priority]]?.delete(item)
  }

  shift(): T | undefined {
    for (const rank of this.#ranks) {
      for (const item of rank) {
        rank.delete(item)
        return item
      }
    }
    return undefined
  }

  clear(): void {
    for (const rank of this.#ranks) rank.clear()
  }
}
