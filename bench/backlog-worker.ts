/** A process of the bench `backlog`: `node backlog-worker.js ORDER-AS-JSON`; tells its result to the parent. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Bus,
  type ConnectOptions,
  connect,
  type Delivery,
  MemoryBroker,
  memoryTransport,
} from '../src/index.js'
import { createFileOutbox } from '../src/reliability/file-outbox.js'
import { NOWHERE, PLANT } from './site.js'

export interface BacklogOrder {
  /** `both`: drains and receives over the embedded broker. */
  readonly role: 'fill' | 'drain' | 'receive' | 'both'
  readonly folder: string
  /** Identity folders. */
  readonly hub: string
  readonly plant: string
  readonly brokers: readonly string[]
  readonly messages: number
  readonly payloadBytes: number
}

export interface Filled {
  readonly envelopes: number
  readonly seconds: number
}

export interface Drained {
  readonly seconds: number
  readonly commandMs: readonly number[]
  readonly peakRssBytes: number
  readonly distinct: number
  readonly repeated: number
  readonly reordered: number
}

/** Sent together, so that they share an envelope: a burst of readings. */
const BURST = 8
/** Bursts that are under way at once while filling. */
const BURSTS_AT_ONCE = 4
const COMMAND_EVERY_MS = 50
const LIFETIME_MS = 3_600_000

const order = JSON.parse(process.argv[2] ?? '{}') as BacklogOrder

async function fill(): Promise<void> {
  const bus = await hub({ brokers: [...NOWHERE], startTimeoutMs: 0 })
  const begun = performance.now()
  for (let n = 0; n < order.messages; ) {
    const bursts = Array.from({ length: BURSTS_AT_ONCE }, async () => {
      const sends = Array.from({ length: Math.min(BURST, order.messages - n) }, () => reading(bus, n++))
      await Promise.all(sends)
    })
    await Promise.all(bursts)
  }
  const seconds = (performance.now() - begun) / 1000
  await bus.close()
  finish({ envelopes: await envelopes(), seconds })
}

async function envelopes(): Promise<number> {
  const directory = join(order.folder, 'hub', 'outbox')
  const outbox = createFileOutbox({ directory, now: () => Date.now(), emit: () => undefined })
  await outbox.start()
  const { records } = outbox.usage()
  await outbox.close()
  return records
}

async function drain(): Promise<void> {
  const bus = await hub({ brokers: [...order.brokers] })
  const stop = new Promise(resolve => process.once('message', resolve))
  const peak = await commandsUntil(bus, stop)
  await bus.close()
  finish({ seconds: 0, commandMs: [], peakRssBytes: peak, distinct: 0, repeated: 0, reordered: 0 })
}

async function receive(): Promise<void> {
  const bus = await connect({
    identity: order.plant,
    brokers: [...order.brokers],
    state: join(order.folder, 'plant'),
  })
  const judge = new Judge(order.messages)
  await bus.consume(message => judge.take(message))
  process.send?.('ready')
  await judge.all
  const result = judge.result(process.memoryUsage.rss())
  await bus.close()
  finish(result)
}

async function both(): Promise<void> {
  const broker = new MemoryBroker()
  const judge = new Judge(order.messages)
  const plant = await connect({
    ...{ identity: order.plant, transport: memoryTransport(broker, PLANT) },
    state: join(order.folder, 'plant'),
  })
  await plant.consume(message => judge.take(message))
  const bus = await hub({ transport: memoryTransport(broker, 'heh-0001') })
  const peak = await commandsUntil(bus, judge.all)
  const result = judge.result(peak)
  await Promise.all([bus.close(), plant.close()])
  finish(result)
}

function hub(options: Partial<ConnectOptions>): Promise<Bus> {
  return connect({ identity: order.hub, outbox: 'file', state: join(order.folder, 'hub'), ...options })
}

function reading(bus: Bus, n: number): ReturnType<Bus['send']> {
  const payload = { n, pad: 'x'.repeat(Math.max(0, order.payloadBytes - 20)) }
  return bus.send(
    PLANT,
    { type: 'report', payload, expiresAt: new Date(Date.now() + LIFETIME_MS) },
    { priority: 'backfill' },
  )
}

/** Sends a command every 50 ms, and watches the memory of this process. */
async function commandsUntil(bus: Bus, end: Promise<unknown>): Promise<number> {
  const over = new AbortController()
  let peak = 0
  void end.then(() => over.abort())
  while (!over.signal.aborted) {
    peak = Math.max(peak, process.memoryUsage.rss())
    await bus.send(PLANT, { type: 'report', payload: { sentAt: wallMs() } }, { priority: 'command' })
    await sleep(COMMAND_EVERY_MS)
  }
  return peak
}

/** What the receiver has seen: each reading once and in order, and how long each command took. */
class Judge {
  readonly all: Promise<void>
  readonly #messages: number
  readonly #seen: Uint8Array
  readonly #commandMs: number[] = []
  #firstMs: number | undefined
  #distinct = 0
  #repeated = 0
  #reordered = 0
  #highest = -1
  #done: () => void = () => undefined

  constructor(messages: number) {
    this.#messages = messages
    this.#seen = new Uint8Array(messages)
    this.all = new Promise(resolve => {
      this.#done = resolve
    })
  }

  take(message: Delivery): void {
    const { n, sentAt } = message.json() as { n?: number; sentAt?: number }
    if (sentAt !== undefined) this.#commandMs.push(wallMs() - sentAt)
    else if (n !== undefined) this.#reading(n)
  }

  result(peakRssBytes: number): Drained {
    const seconds = (performance.now() - (this.#firstMs ?? 0)) / 1000
    const [distinct, repeated, reordered] = [this.#distinct, this.#repeated, this.#reordered]
    return { seconds, commandMs: this.#commandMs, peakRssBytes, distinct, repeated, reordered }
  }

  #reading(n: number): void {
    this.#firstMs ??= performance.now()
    if (this.#seen[n] === 1) this.#repeated++
    else this.#distinct++
    if (n < this.#highest) this.#reordered++
    this.#seen[n] = 1
    this.#highest = Math.max(this.#highest, n)
    if (this.#distinct === this.#messages) this.#done()
  }
}

/** Comparable between the processes of one machine. */
function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

function finish(result: Filled | Drained): void {
  process.send?.(result)
  process.disconnect()
}

const roles = { fill, drain, receive, both }
await roles[order.role]() // n.b. last: classes are not there before
