/**
 * Bodies that cannot be opened yet and stay unacknowledged: for a certificate or a clock, at most 64 and 6 minutes; for
 * the KEM bucket, as long as it takes.
 */
import type { OpenFailure } from '../crypto/sealing.js'
import type { Arrival } from './lane.js'
import { HOLD_MS, MAX_HOLD } from './outcome.js'

/** Pause between two attempts to open a held body. */
const AGAIN_MS = 5_000 // 5 seconds

export interface Held {
  readonly arrival: Arrival
  readonly reason: OpenFailure
  readonly sinceMs: number
  /** For ever where false. */
  readonly limited: boolean
  triedMs: number
}

export class Hold {
  #held: Held[] = []

  get size(): number {
    return this.#held.length
  }

  /** False where no more may be held. */
  add(arrival: Arrival, reason: OpenFailure, limited: boolean, activeMs: number): boolean {
    if (limited && this.#held.filter(held => held.limited).length >= MAX_HOLD) return false
    this.#held.push({ arrival, reason, sinceMs: activeMs, limited, triedMs: activeMs })
    return true
  }

  /** Those whose next attempt is due; all of them with `now`. */
  due(activeMs: number, now = false): readonly Held[] {
    const due = this.#held.filter(held => now || activeMs - held.triedMs >= AGAIN_MS)
    for (const held of due) held.triedMs = activeMs
    return due
  }

  isOver(held: Held, activeMs: number): boolean {
    return held.limited && activeMs - held.sinceMs >= HOLD_MS
  }

  /** Takes it out; false where it is gone already. */
  remove(held: Held): boolean {
    const at = this.#held.indexOf(held)
    if (at >= 0) this.#held.splice(at, 1)
    return at >= 0
  }

  /** Takes the one out that has waited longest. */
  oldest(): Held | undefined {
    return this.#held.shift()
  }

  /** Their channel is gone: they will come again. */
  clear(): void {
    this.#held = []
  }
}
