/**
 * Somebody with rights on the broker: sees sealed bodies on their way to one inbox, and can do to them whatever a broker can.
 *
 * | attack | what it does |
 * | --- | --- |
 * | `replay` | sends each body three times more, at once and later |
 * | `reorder` | takes the way to the inbox away, and lets bodies through in batches of a drawn order |
 * | `withhold` | takes the way away, lets all bodies through but one, and that one when it has been held for long |
 * | `misdirect` | sends each body to somebody else's inbox too |
 * | `inject` | sends noise, bodies with one bit flipped, and torn ones |
 *
 * n.b. it has no key of anybody: the certificate it connects with is a device's own, which an operator has given all rights.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { rabbitOptions } from '../src/broker-options.js'
import { loadIdentityFolder } from '../src/identity-folder.js'
import type { Channel } from '../src/transport/amqp.js'
import { dialler } from '../src/transport/dial.js'
import { Endpoints } from '../src/transport/endpoints.js'
import type { Link } from '../src/transport/link.js'
import { settings } from '../src/transport/rabbit-options.js'
import type { Random } from './random.js'

export type Attack = 'replay' | 'reorder' | 'withhold' | 'misdirect' | 'inject'
export const ATTACKS: readonly Attack[] = ['replay', 'reorder', 'withhold', 'misdirect', 'inject']

export interface AttackOrder {
  readonly how: Attack
  /** Identity folder whose certificate it connects with. */
  readonly identity: string
  readonly brokers: readonly string[]
  /** Whose mail. */
  readonly victim: string
  /** Who gets it too, for `misdirect`. */
  readonly bystander: string
  readonly forMs: number
  /** How long `withhold` holds its body, ms. */
  readonly holdMs: number
  readonly random: Random
  readonly signal: AbortSignal
}

/** A body that came by. */
interface Body {
  readonly routingKey: string
  readonly content: Buffer
  readonly messageId: string
}

const SHADOW = 'chaos.shadow'
const RELAY = 'chaos.relay'
const EXCHANGE = 'sealbus'
const BATCH = 6
const TICK_MS = 200
const LEAST_NOISE_BYTES = 8
const MOST_NOISE_BYTES = 2_000

/** Does it for a while, then gives the way back. @returns how many bodies it did it to @throws Error when the broker refuses */
export async function attack(order: AttackOrder): Promise<number> {
  const link = await dial(order)
  try {
    const { channel } = await link.plainChannel()
    return await new Attacker(channel, order).run()
  } finally {
    await link.close()
  }
}

async function dial({ identity, brokers, signal }: AttackOrder): Promise<Link> {
  const folder = await loadIdentityFolder(identity, { now: Date.now, onWarning: () => undefined })
  const options = settings(await rabbitOptions(folder, { brokers }))
  return await dialler(options, new Endpoints(brokers, false), 'attacking')(signal)
}

class Attacker {
  readonly #channel: Channel
  readonly #order: AttackOrder
  readonly #later: { readonly due: number; readonly body: Body }[] = []
  readonly #batch: Body[] = []
  #seen = 0
  #touched = 0

  constructor(channel: Channel, order: AttackOrder) {
    this.#channel = channel
    this.#order = order
  }

  async run(): Promise<number> {
    const { how, victim, forMs, holdMs, signal } = this.#order
    const cutsOff = how === 'reorder' || how === 'withhold'
    await this.#prepare()
    if (cutsOff) await this.#channel.unbindQueue(`inbox.${victim}`, EXCHANGE, `${victim}.*`)
    const end = performance.now() + (how === 'withhold' ? Math.max(forMs, holdMs) : forMs)
    while (performance.now() < end && !signal.aborted) {
      await sleep(TICK_MS)
      this.#tick(performance.now())
    }
    if (cutsOff) await this.#channel.bindQueue(`inbox.${victim}`, EXCHANGE, `${victim}.*`)
    await sleep(TICK_MS) // what was on its way through the shadow
    this.#tick(Number.POSITIVE_INFINITY)
    await this.#tidy()
    return this.#touched
  }

  /** A queue that gets what the inbox gets, and an exchange that leads there with whatever routing key. */
  async #prepare(): Promise<void> {
    const { how, victim, bystander } = this.#order
    const channel = this.#channel
    await channel.assertExchange(RELAY, 'topic', { durable: false })
    await channel.bindQueue(`inbox.${how === 'misdirect' ? bystander : victim}`, RELAY, '#')
    await channel.assertQueue(SHADOW, { exclusive: true, durable: false })
    await channel.bindQueue(SHADOW, EXCHANGE, `${victim}.*`)
    await channel.consume(
      SHADOW,
      message => {
        if (message === null) return
        const { routingKey } = message.fields
        const messageId = String(message.properties.messageId ?? '')
        this.#take({ routingKey, content: message.content, messageId })
      },
      { noAck: true },
    )
  }

  #take(body: Body): void {
    const { how, random, holdMs } = this.#order
    this.#seen++
    if (how === 'reorder') this.#batch.push(body)
    else if (how === 'inject') this.#damage(body)
    else if (how === 'withhold' && this.#seen === BATCH) {
      this.#touched++
      this.#later.push({ due: performance.now() + holdMs, body })
    } else this.#send(body)
    if (how === 'misdirect') this.#touched++
    if (how !== 'replay') return
    this.#touched++
    this.#send(body)
    this.#later.push({ due: performance.now() + random.int(500, 3_000), body })
  }

  #damage(body: Body): void {
    const { random } = this.#order
    const flipped = Buffer.from(body.content)
    const at = random.int(0, flipped.length - 1)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.int(0, 7))
    const noise = randomBytes(random.int(LEAST_NOISE_BYTES, MOST_NOISE_BYTES))
    const torn = body.content.subarray(0, random.int(0, body.content.length - 1))
    this.#send({ ...body, content: random.pick([flipped, noise, torn]) })
    this.#touched++
  }

  /** What is due now. */
  #tick(now: number): void {
    const { random } = this.#order
    if (this.#batch.length >= BATCH || now === Number.POSITIVE_INFINITY) {
      const batch = this.#batch.splice(0)
      this.#touched += batch.length
      for (const body of random.shuffle(batch)) this.#send(body)
    }
    const due = this.#later.filter(each => each.due <= now)
    for (const each of due) {
      this.#later.splice(this.#later.indexOf(each), 1)
      this.#send(each.body)
    }
  }

  #send({ routingKey, content, messageId }: Body): void {
    this.#channel.publish(RELAY, routingKey, content, { messageId, deliveryMode: 2 })
  }

  async #tidy(): Promise<void> {
    await this.#channel.deleteQueue(SHADOW)
    await sleep(TICK_MS) // publishes have no confirm here: the exchange goes after them
    await this.#channel.deleteExchange(RELAY)
  }
}
