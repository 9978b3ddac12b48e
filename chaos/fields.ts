/**
 * Reads what people write into typed values, strictly: an unknown key, a missing one or a wrong value is an error that names
 * file, line, path, what was expected and what stands there.
 */
import { complaint, type Place, type Yaml } from './yaml.js'

/** Turns a value into what it means. @throws SealbusError `configuration` */
export type Read<T> = (yaml: Yaml) => T

/** Words for durations and the milliseconds of one. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 }
const SIZES: Readonly<Record<string, number>> = { B: 1, KB: 1_000, KiB: 1_024, MB: 1_000_000, MiB: 2 ** 20 }

/** Text that is not empty. n.b. a bare number is taken as it is written: ids look like numbers. */
export const text: Read<string> = yaml => {
  if (yaml.is === 'scalar' && yaml.value !== '' && ['string', 'number'].includes(typeof yaml.value))
    return String(yaml.value)
  throw wrong(yaml, 'text')
}

export const flag: Read<boolean> = yaml => {
  if (yaml.is === 'scalar' && typeof yaml.value === 'boolean') return yaml.value
  throw wrong(yaml, 'true or false')
}

/** A whole number in a range, both ends included. */
export function whole(min: number, max: number): Read<number> {
  return yaml => {
    const { value } = yaml.is === 'scalar' ? yaml : { value: undefined }
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    throw wrong(yaml, `a whole number from ${min} to ${max}`)
  }
}

/** `20 s`, `200 ms`, `5 min`, `1 h`, `-1 h`. @returns milliseconds */
export const duration: Read<number> = yaml =>
  measured(yaml, UNITS, 'a duration such as 200 ms, 20 s, 5 min, 1 h')

/** `50 KB`, `64 MiB`, `10 B`. @returns bytes */
export const size: Read<number> = yaml => measured(yaml, SIZES, 'a size such as 10 B, 50 KB, 64 MiB')

/** One of these words. */
export function choice<const T extends string>(...words: readonly T[]): Read<T> {
  return yaml => {
    const found = words.find(word => yaml.is === 'scalar' && yaml.value === word)
    if (found !== undefined) return found
    throw wrong(yaml, listed(words))
  }
}

/** A list with at least one item. */
export function listOf<T>(read: Read<T>): Read<readonly T[]> {
  return yaml => {
    if (yaml.is === 'list' && yaml.items.length > 0) return yaml.items.map(read)
    throw wrong(yaml, 'a list with at least one item')
  }
}

/** Nothing: a word without an argument, `- heal-partition:`. */
export const nothing: Read<undefined> = yaml => {
  if (yaml.is === 'scalar' && yaml.value === null) return undefined
  throw wrong(yaml, 'nothing after the colon')
}

/** The fields of a map, read one by one; every key must have been asked for in the end. */
export class Fields {
  readonly place: Place
  readonly #entries: ReadonlyMap<string, Yaml>
  readonly #asked = new Set<string>()

  constructor(yaml: Yaml, what: string) {
    if (yaml.is !== 'map') throw wrong(yaml, what)
    this.place = yaml
    this.#entries = yaml.entries
  }

  /** A field that must be there. */
  need<T>(key: string, read: Read<T>): T {
    const found = this.maybe(key, read)
    if (found !== undefined) return found
    throw complaint(this.place, `a field ${key}`, `only ${listed([...this.#entries.keys()])}`)
  }

  /** A field that may be there. */
  maybe<T>(key: string, read: Read<T>): T | undefined {
    this.#asked.add(key)
    const yaml = this.#entries.get(key)
    return yaml === undefined ? undefined : read(yaml)
  }

  /** @throws SealbusError for a key that nobody asked for */
  end(): void {
    for (const [key, yaml] of this.#entries)
      if (!this.#asked.has(key)) throw complaint(yaml, `one of the fields ${listed([...this.#asked])}`, key)
  }
}

/** A reader of a map; what it did not ask for is an error. */
export function fields<T>(what: string, read: (fields: Fields) => T): Read<T> {
  return yaml => {
    const found = new Fields(yaml, what)
    const value = read(found)
    found.end()
    return value
  }
}

/** What stands there, in a word or two. */
export function wrong(yaml: Yaml, expected: string): Error {
  const given =
    yaml.is === 'map'
      ? `a map with ${listed([...yaml.entries.keys()])}`
      : yaml.is === 'list'
        ? `a list of ${yaml.items.length}`
        : yaml.value === null
          ? 'nothing'
          : JSON.stringify(yaml.value)
  return complaint(yaml, expected, given)
}

/** `a, b or c` */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? 'nothing'
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}

function measured(yaml: Yaml, units: Readonly<Record<string, number>>, expected: string): number {
  const value = yaml.is === 'scalar' ? yaml.value : undefined
  const match = /^(-?\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(typeof value === 'string' ? value : '')
  const unit = units[match?.[2] ?? '']
  if (match === null || unit === undefined) throw wrong(yaml, expected)
  return Math.round(Number(match[1]) * unit)
}
