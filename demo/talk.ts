/** Sends on behalf of the cast and writes every message into the ledger, so that no figure is anybody's claim. */
import { randomUUID } from 'node:crypto'
import type { Bus, Delivery, Priority } from '../src/bus.js'
import type { Ledger } from './ledger.js'

/** The field that carries a message's token. eBADGE allows fields of a party's own, prefixed `ext_`. */
const TOKEN = 'ext_demo_token'

export type Fields = Readonly<Record<string, unknown>>

export class Talk {
  readonly #ledger: Ledger
  readonly #buses: ReadonlyMap<string, Bus>

  constructor(buses: ReadonlyMap<string, Bus>, ledger: Ledger) {
    this.#buses = buses
    this.#ledger = ledger
  }

  bus(name: string): Bus {
    const bus = this.#buses.get(name)
    if (!bus) throw new RangeError(`nobody in the cast is called ${name}`)
    return bus
  }

  /** Sends one message and waits until it is confirmed. */
  async send(
    from: string,
    to: string,
    type: string,
    fields: Fields,
    priority: Priority = 'report',
  ): Promise<void> {
    const { token, payload } = this.#write(from, to, priority, fields)
    await this.bus(from).send(to, { type, payload }, { priority })
    this.#ledger.confirmed(token)
  }

  /** Asks and returns the answer's fields. */
  async ask(from: string, to: string, type: string, fields: Fields): Promise<Fields> {
    const { token, payload } = this.#write(from, to, 'request', fields)
    const answer = await this.bus(from).request(to, { type, payload }, { timeoutMs: 30_000 })
    this.#ledger.confirmed(token)
    return this.received(answer)
  }

  /** Answers a message that arrived at `self`. */
  async answer(self: string, message: Delivery, type: string, fields: Fields): Promise<void> {
    const { token, payload } = this.#write(self, message.from?.address ?? '', 'reply', fields)
    await message.reply({ type, payload })
    this.#ledger.confirmed(token)
  }

  /** Notes that a message has arrived; returns its fields. */
  received(message: Delivery): Fields {
    const fields = message.json() as Fields
    this.#ledger.handled(String(fields[TOKEN]))
    return fields
  }

  #write(from: string, to: string, kind: string, fields: Fields): { token: string; payload: string } {
    const token = randomUUID()
    const payload = JSON.stringify({ ...fields, [TOKEN]: token })
    this.#ledger.sent(`${from}→${to} ${kind}`, token, payload)
    return { token, payload }
  }
}
