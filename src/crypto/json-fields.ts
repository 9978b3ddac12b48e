/**
 * Reading JSON files that people edit, field by field: unknown keys are refused, and every complaint names the file, the
 * field and what was expected. n.b. never the value: it may be a password in the wrong place.
 */
import { SealbusError } from '../errors.js'

export type JsonObject = Readonly<Record<string, unknown>>

function wrong(name: string, message: string, cause?: unknown): SealbusError {
  return new SealbusError('configuration', `${name}: ${message}`, cause === undefined ? undefined : { cause })
}

/** @param name - the file, for messages. @throws SealbusError `configuration` */
export function parseJsonObject(text: string, name: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // n.b. no cause: V8 quotes the text in its message
    throw wrong(name, 'expected JSON, got something else: mend its syntax')
  }
  if (!isObject(value)) throw wrong(name, 'expected a JSON object')
  return value
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One object's fields; each is taken once, and {@link JsonFields.end} refuses what was not. */
export class JsonFields {
  readonly #object: JsonObject
  readonly #name: string
  readonly #taken = new Set<string>()

  constructor(object: JsonObject, name: string) {
    this.#object = object
    this.#name = name
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#object, key)
  }

  #take(key: string): unknown {
    this.#taken.add(key)
    return this.has(key) ? this.#object[key] : undefined
  }

  #wrong(key: string, expected: string): SealbusError {
    const given = this.has(key) ? 'got another value' : 'it is missing'
    return wrong(this.#name, `"${key}": expected ${expected}, ${given}`)
  }

  version(expected: number): void {
    if (this.#take('version') !== expected) throw this.#wrong('version', String(expected))
  }

  text(key: string, pattern: RegExp): string {
    const value = this.#take(key)
    if (typeof value !== 'string' || !pattern.test(value))
      throw this.#wrong(key, `text like ${String(pattern)}`)
    return value
  }

  optionalText(key: string, pattern: RegExp): string | undefined {
    return this.has(key) ? this.text(key, pattern) : undefined
  }

  texts(key: string, pattern: RegExp, min = 0): readonly string[] {
    const values = this.#array(key, min)
    if (!values.every((value): value is string => typeof value === 'string' && pattern.test(value)))
      throw this.#wrong(key, `a list of texts like ${String(pattern)}`)
    return values
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.#take(key)
    const choice = choices.find(candidate => candidate === value)
    if (choice === undefined) throw this.#wrong(key, `one of ${choices.join(', ')}`)
    return choice
  }

  numbers(key: string, choices: readonly number[]): readonly number[] {
    const values = this.#array(key, 1)
    if (!values.every((value): value is number => typeof value === 'number' && choices.includes(value)))
      throw this.#wrong(key, `a list of any of ${choices.join(', ')}`)
    return values
  }

  optionalInteger(key: string, min: number, max: number): number | undefined {
    if (!this.has(key)) return undefined
    const value = this.#take(key)
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      throw this.#wrong(key, `a whole number in ${min}..${max}`)
    return value
  }

  boolean(key: string): boolean {
    const value = this.#take(key)
    if (typeof value !== 'boolean') throw this.#wrong(key, 'true or false')
    return value
  }

  object(key: string): JsonObject {
    const value = this.#take(key)
    if (!isObject(value)) throw this.#wrong(key, 'an object')
    return value
  }

  optionalObject(key: string): JsonObject | undefined {
    return this.has(key) ? this.object(key) : undefined
  }

  objects(key: string, min = 0): readonly JsonObject[] {
    const values = this.#array(key, min)
    if (!values.every(isObject)) throw this.#wrong(key, 'a list of objects')
    return values
  }

  #array(key: string, min: number): readonly unknown[] {
    const value = this.#take(key)
    if (!Array.isArray(value) || value.length < min) throw this.#wrong(key, `a list of at least ${min}`)
    return value
  }

  /** Refuses fields that nobody asked for. */
  end(): void {
    const unknown = Object.keys(this.#object).find(key => !this.#taken.has(key))
    if (unknown !== undefined)
      throw wrong(this.#name, `unknown field "${unknown}", expected only ${[...this.#taken].join(', ')}`)
  }
}
