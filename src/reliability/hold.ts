/**
 * Bodies that cannot be opened yet and stay unacknowledged: for a certificate or a clock, at most 6 minutes, 32
 * of unknown origin and 32 of known senders, 8 of one; for the KEM bucket, as long as it takes.
 */
import type { NotOpened } from '../crypto/sealing.js'
import { partyKey } from '../wire.js'
import { HOLD_MS, MAX_HOLD, MAX_HOLD_OF_ONE } from './outcome.js'
import type { Arrival } from './slots.js'

/** Pause between two attempts to open a held body. */
const AGAIN_MS = 5_000 // 5 seconds

export interface Held {
  readonly arrival: Arrival
  readonly result: NotOpened
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
  add(arrival: Arrival, result: NotOpened, limited: boolean, activeMs: number): boolean {
    if (limited && !this.#hasRoom(result)) return false
    this.#held.push({ arrival, result, sinceMs: activeMs, limited, triedMs: activeMs })
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

  /** n.b. known senders have a share of their own: what anybody can make must not take it. */
  #hasRoom({ from }: NotOpened): boolean {
    const alike = this.#held.filter(held => held.limited && !held.result.from === !from)
    const own = alike.filter(
      held => from && held.result.from && partyKey(held.result.from) === partyKey(from),
    )
    return alike.length < MAX_HOLD && own.length < MAX_HOLD_OF_ONE
  }

  /** Their channel is gone: they will come again. */
  clear(): void {
    this.#held = []
  }
}
