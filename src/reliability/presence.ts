/**
 * How many workers there are of one inbox, by what each says of itself in the store that they share. n.b. RabbitMQ does not
 * tell: of a queue with a single active consumer it counts that one alone.
 */
import { randomBytes } from 'node:crypto'
import { toHex } from '../bytes.js'

const BEAT_MS = 2_000

/**
 * Says that a worker is there (or, with `leaves`, no more), and resolves with how many are.
 * @param id - of the worker, 16 hex digits
 */
export type SayPresent = (address: string, id: string, leaves: boolean) => Promise<number>

export class Presence {
  readonly #say: SayPresent
  readonly #id: string = toHex(randomBytes(8))
  #address: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(say: SayPresent) {
    this.#say = say
  }

  /** Whose inbox it is. Without that nobody is counted. */
  join(address: string): void {
    this.#address = address
  }

  /** From now on it is said. */
  begin(): void {
    if (this.#address === undefined || this.#timer) return
    const beat = (): void => void this.count()
    beat()
    this.#timer = setInterval(beat, BEAT_MS)
    this.#timer.unref()
  }

  /** Workers that are there, us included; undefined where that is not known. */
  count(): Promise<number | undefined> {
    return this.#ask(false)
  }

  async end(): Promise<void> {
    if (!this.#timer) return
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#ask(true)
  }

  async #ask(leaves: boolean): Promise<number | undefined> {
    if (this.#address === undefined) return undefined
    return await this.#say(this.#address, this.#id, leaves).catch(() => undefined)
  }
}
