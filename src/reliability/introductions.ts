/**
 * When envelopes to a peer carry our chain and card: until one that does is confirmed, again every 5 minutes, and from
 * the moment on that our certificate is another.
 */
import type { Party } from '../bus.js'
import { partyKey } from '../wire.js'

/** A peer that lost its state learns us anew after this at the latest. */
export const INTRODUCE_EVERY_MS = 300_000 // 5 minutes

export class Introductions {
  readonly #confirmed = new Map<string, { readonly atMs: number; readonly fingerprint: string }>()

  /** @param fingerprint - of our present certificate */
  needed(to: Party, fingerprint: string, nowMs: number): boolean {
    const last = this.#confirmed.get(partyKey(to))
    return last?.fingerprint !== fingerprint || nowMs - last.atMs >= INTRODUCE_EVERY_MS
  }

  confirmed(to: Party, fingerprint: string, nowMs: number): void {
    this.#confirmed.set(partyKey(to), { atMs: nowMs, fingerprint })
  }

  /** The peer does not know us (any more). */
  repeat(to: Party): void {
    this.#confirmed.delete(partyKey(to))
  }
}
