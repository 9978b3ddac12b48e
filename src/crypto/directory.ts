/**
 * Cards of others in memory: one a party, the newest that holds, else the newest. None of its sources is trusted; a card
 * *holds* while its time is not over and its certificate is not revoked.
 */
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
   * | against the held card | outcome |
   * | --- | --- |
   * | none is held | `new` |
   * | this one holds, the held one does not | `new`, whatever the counters |
   * | the held one holds, this one does not | `older`, whatever the counters |
   * | counter above | `new` |
   * | counter equal, same body | `known` |
   * | counter equal, another body | `conflict`: the first is kept |
   * | counter below | `older` |
   */
  offer(bytes: Uint8Array, nowMs: number): CardOffer {
    const claimed = parseCard(bytes)
    const held = this.#cards.get(partyKey(claimed))
    if (held !== undefined && equal(held.bytes, bytes)) return 'known'
    const card = verifyCard(bytes, this.#trust, nowMs)
    const outcome = held === undefined ? 'new' : this.#compare(card, claimed.body, held, nowMs)
    if (outcome === 'new') this.#take(card)
    return outcome
  }

  /** n.b. a stolen key claims the highest counter there is: it counts nothing once its certificate is over. */
  #compare(card: Card, body: Uint8Array, held: Card, nowMs: number): CardOffer {
    // n.b. bodies, not bytes: anybody can write a signature's s as n − s, which is no conflict
    if (held.counter === card.counter && equal(parseCard(held.bytes).body, body)) return 'known'
    const holds = this.#holds(card, nowMs)
    if (holds !== this.#holds(held, nowMs)) return holds ? 'new' : 'older'
    if (card.counter === held.counter) return 'conflict'
    return card.counter > held.counter ? 'new' : 'older'
  }

  #holds({ notAfterMs, certificate }: Card, nowMs: number): boolean {
    return nowMs < notAfterMs && this.#trust.revocation(certificate, nowMs) !== 'revoked'
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
