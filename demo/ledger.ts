/** What was sent, confirmed and handled, by token: the figures of the demonstration are counted here and nowhere else. */

interface Entry {
  readonly lane: string
  readonly index: number
  readonly payload: string
  readonly sentAt: number
  confirmedAt?: number
  handledAt?: number
  handled: number
}

/** The last line of the demonstration is made of this. */
export interface Counts {
  readonly sent: number
  readonly handled: number
  readonly lost: number
  readonly duplicates: number
  readonly outOfOrder: number
}

export class Ledger {
  readonly #entries = new Map<string, Entry>()
  readonly #lengths = new Map<string, number>()
  readonly #lastHandled = new Map<string, number>()
  #outOfOrder = 0
  #unknown = 0

  /** Notes one message that goes out on a lane, `from→to` and its priority. */
  sent(lane: string, token: string, payload: string): void {
    const index = this.#lengths.get(lane) ?? 0
    this.#lengths.set(lane, index + 1)
    this.#entries.set(token, { lane, index, payload, sentAt: performance.now(), handled: 0 })
  }

  /** `send` or `request` has resolved. */
  confirmed(token: string): void {
    const entry = this.#entries.get(token)
    if (entry) entry.confirmedAt ??= performance.now()
  }

  /** A handler has it, or the reply arrived. */
  handled(token: string): void {
    const entry = this.#entries.get(token)
    if (!entry) {
      this.#unknown += 1
      return
    }
    entry.handled += 1
    if (entry.handled > 1) return
    entry.handledAt = performance.now()
    const last = this.#lastHandled.get(entry.lane) ?? -1
    if (entry.index < last) this.#outOfOrder += 1
    this.#lastHandled.set(entry.lane, Math.max(last, entry.index))
  }

  /** How many are still on their way. */
  pending(): number {
    return [...this.#entries.values()].filter(entry => entry.handled === 0).length
  }

  payloads(): string[] {
    return [...this.#entries.values()].map(entry => entry.payload)
  }

  /** n.b. a message that nobody sent counts as a duplicate: it was handled once too often. */
  counts(): Counts {
    const entries = [...this.#entries.values()]
    return {
      sent: entries.length,
      handled: entries.filter(entry => entry.handled > 0).length,
      lost: entries.filter(entry => entry.handled === 0).length,
      duplicates: this.#unknown + entries.reduce((sum, entry) => sum + Math.max(0, entry.handled - 1), 0),
      outOfOrder: this.#outOfOrder,
    }
  }

  /**
   * How long the worst lane stood still: from `at` to the first confirm and the first handling of a message that was
   * sent after it. Lanes on which nothing was sent after `at` do not count.
   */
  gapAfter(at: number): number {
    const firsts = new Map<string, { confirmed: number; handled: number }>()
    for (const { lane, sentAt, confirmedAt = Infinity, handledAt = Infinity } of this.#entries.values()) {
      if (sentAt < at) continue
      const first = firsts.get(lane) ?? { confirmed: Infinity, handled: Infinity }
      firsts.set(lane, {
        confirmed: Math.min(first.confirmed, confirmedAt),
        handled: Math.min(first.handled, handledAt),
      })
    }
    const gaps = [...firsts.values()].map(({ confirmed, handled }) => Math.max(confirmed, handled) - at)
    return gaps.length === 0 ? Infinity : Math.max(...gaps)
  }
}
