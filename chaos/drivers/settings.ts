/** Reads what a driver is given in `--driver-config FILE`: every complaint names the file and the field. */
import { SealbusError } from '../../src/errors.js'
import type { DriverSettings } from './driver.js'

/** One map of a configuration. Whoever has read it must say so: a field that nobody reads is a mistake. */
export class ConfigMap {
  readonly #where: string
  readonly #fields: Map<string, unknown>

  /** @throws SealbusError `configuration` for anything but a map */
  constructor(given: unknown, where: string) {
    this.#where = where
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw wrong(where, 'a map', given)
    this.#fields = new Map(Object.entries(given))
  }

  /** The driver's configuration as a whole. @param example - what a file could hold, for who gave none */
  static of(settings: DriverSettings, kind: string, example: string): ConfigMap {
    if (settings.config === undefined)
      throw new SealbusError(
        'configuration',
        `driver ${kind}: expected --driver-config FILE, with for example ${example}`,
      )
    return new ConfigMap(settings.config, settings.configFile ?? 'the driver configuration')
  }

  /** A value that must be there. */
  need<T>(name: string, read: (given: unknown, where: string) => T): T {
    const where = `${this.#where}: ${name}`
    if (!this.#fields.has(name)) throw new SealbusError('configuration', `${where} is missing`)
    return read(this.#take(name), where)
  }

  /** A value that may be there. */
  maybe<T>(name: string, read: (given: unknown, where: string) => T): T | undefined {
    return this.#fields.has(name) ? this.need(name, read) : undefined
  }

  /** Names that nobody has read. */
  get left(): readonly string[] {
    return [...this.#fields.keys()]
  }

  /** @throws SealbusError `configuration` for fields that nobody has read */
  done(): void {
    const [odd] = this.left
    if (odd !== undefined)
      throw new SealbusError('configuration', `${this.#where}: ${odd} means nothing here`)
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name)
    this.#fields.delete(name)
    return value
  }
}

export function text(given: unknown, where: string): string {
  if (typeof given === 'string' && given !== '') return given
  throw wrong(where, 'text', given)
}

export function flag(given: unknown, where: string): boolean {
  if (typeof given === 'boolean') return given
  throw wrong(where, 'true or false', given)
}

/** At least one. */
export function texts(given: unknown, where: string): readonly string[] {
  if (Array.isArray(given) && given.length > 0) return given.map((each, i) => text(each, `${where}[${i}]`))
  throw wrong(where, 'a list of texts', given)
}

/** Seconds, as ms. */
export function seconds(given: unknown, where: string): number {
  if (typeof given === 'number' && given > 0 && given <= 3_600) return given * 1_000
  throw wrong(where, 'a number of seconds up to 3600', given)
}

/** As many as there are brokers, where those are known. @throws SealbusError `configuration` */
export function perBroker<T>(list: readonly T[], brokers: readonly string[], where: string): readonly T[] {
  if (list.length === brokers.length) return list
  throw new SealbusError(
    'configuration',
    `${where}: expected one for each of the ${brokers.length} brokers, in their order, got ${list.length}`,
  )
}

export function wrong(where: string, expected: string, given: unknown): SealbusError {
  return new SealbusError(
    'configuration',
    `${where}: expected ${expected}, got ${given === undefined ? 'nothing' : JSON.stringify(given)}`,
  )
}
