/** Cards of others in memory: the newest accepted one a party, by the counter. None of its sources is trusted. */
import type { Party } from '../bus.js'
import { equal } from '../bytes.js'
import { partyKey } from '../wire.js'
import { parseCard, verifyCard } from './card.js'
import type { Card, CardOffer, Directory, Trust } from './peers.js'

/** A {@link Directory} that lists what it holds. */
export interface MemoryDirectory extends Directory {
  cards(): readonly Card[]
}

export function createDirectory(trust: Trust): MemoryDirectory {
  return new CardDirectory(trust)
}

class CardDirectory implements MemoryDirectory {
  readonly #trust: Trust
  readonly #cards = new Map<string, Card>()
  readonly #listeners = new Set<(card: Card) => void>()

  constructor(trust: Trust) {
    this.#trust = trust
  }

  find(party: Party): Card | undefined {
    return this.#cards.get(partyKey(party))
  }

  cards(): readonly Card[] {
    return [...this.#cards.values()]
  }

  /**
   * | counter against the held card's | outcome |
   * | --- | --- |
   * | none is held, or above | `new` |
   * | equal, same body | `known` |
   * | equal, another body | `conflict`: the first is kept |
   * | below | `older` |
   */
  offer(bytes: Uint8Array, nowMs: number): CardOffer {
    const claimed = parseCard(bytes)
    const held = this.#cards.get(partyKey(claimed))
    if (held !== undefined && equal(held.bytes, bytes)) return 'known'
    const card = verifyCard(bytes, this.#trust, nowMs)
    if (held !== undefined && card.counter < held.counter) return 'older'
    // n.b. bodies, not bytes: anybody can write a signature's s as n − s, which is no conflict
    if (held?.counter === card.counter)
      return equal(parseCard(held.bytes).body, claimed.body) ? 'known' : 'conflict'
    this.#take(card)
    return 'new'
  }

  onNew(listener: (card: Card) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #take(card: Card): void {
    this.#cards.set(partyKey(card), card)
    for (const listener of this.#listeners) listener(card)
  }
}
