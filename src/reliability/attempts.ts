/**
 * Messages whose handler was begun and has no outcome: how often. A message that kills the process is known by it, as it is
 * written before each handler while a process is on probation. Part of the seen file's state.
 */
import { partyKey } from '../wire.js'
import type { EpochKey } from './seen.js'

/** `a`: attempts at one number so far; 0 where it is no longer counted. */
export type AttemptsEntry = ['a', EpochKey, seq: number, attempts: number]

export class Attempts {
  readonly #byEpoch: Map<string, { readonly key: EpochKey; readonly bySeq: Map<number, number> }> = new Map()

  of(key: EpochKey, seq: number): number {
    return this.#byEpoch.get(nameOf(key))?.bySeq.get(seq) ?? 0
  }

  set(key: EpochKey, seq: number, attempts: number): void {
    if (attempts === 0) {
      this.over(key, seq, 1)
      return
    }
    const name = nameOf(key)
    const epoch = this.#byEpoch.get(name) ?? { key, bySeq: new Map<number, number>() }
    this.#byEpoch.set(name, epoch)
    epoch.bySeq.set(seq, attempts)
  }

  /** So many numbers from `seq` on have an outcome. */
  over(key: EpochKey, seq: number, count: number): void {
    if (this.#byEpoch.size === 0) return
    const epoch = this.#byEpoch.get(nameOf(key))
    if (!epoch) return
    for (let i = 0; i < count; i++) epoch.bySeq.delete(seq + i)
    if (epoch.bySeq.size === 0) this.forget(key)
  }

  forget(key: EpochKey): void {
    this.#byEpoch.delete(nameOf(key))
  }

  clear(): void {
    this.#byEpoch.clear()
  }

  /** All of them, to be written down. */
  *entries(): Generator<AttemptsEntry> {
    for (const { key, bySeq } of this.#byEpoch.values())
      for (const [seq, attempts] of bySeq) yield ['a', key, seq, attempts]
  }
}

function nameOf(key: EpochKey): string {
  return `${partyKey(key)}/${key.epoch}`
}
