/**
 * Randomness that can be had again: everything a run draws follows from its printed seed.
 * SHA-256 in counter mode, so that streams of different labels have nothing to do with each other.
 */
import { createHash } from 'node:crypto'

/** A stream of reproducible draws. */
export interface Random {
  readonly seed: string
  /** Uniform in [0, 1). */
  next(): number
  /** A whole number from `min` to `max`, both included. @throws RangeError when there is none */
  int(min: number, max: number): number
  /** One of them. @throws RangeError for an empty list */
  pick<T>(items: readonly T[]): T
  /** The same items in another order. */
  shuffle<T>(items: readonly T[]): T[]
  /** A stream of its own: what it draws does not depend on what was drawn here. */
  fork(label: string): Random
}

/** A stream from a seed, any text. */
export function seededRandom(seed: string): Random {
  let counter = 0
  const next = (): number => {
    const digest = createHash('sha256').update(`${seed}\n${counter++}`).digest()
    return digest.readUIntBE(0, 6) / 2 ** 48
  }
  const int = (min: number, max: number): number => {
    const low = Math.ceil(min)
    const span = Math.floor(max) - low + 1
    if (!(span >= 1)) throw new RangeError(`random int: expected min ≤ max, got ${min} and ${max}`)
    return low + Math.floor(next() * span)
  }
  const pick = <T>(items: readonly T[]): T => {
    if (items.length === 0) throw new RangeError('random pick: expected at least one item, got none')
    return items[int(0, items.length - 1)] as T
  }
  const shuffle = <T>(items: readonly T[]): T[] => {
    const keyed = items.map(item => ({ item, key: next() }))
    return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
  }
  return { seed, next, int, pick, shuffle, fork: label => seededRandom(`${seed}/${label}`) }
}

/** A seed to print: 8 hex digits. */
export function newSeed(): string {
  return Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')
}
