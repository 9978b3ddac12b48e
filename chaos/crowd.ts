/** Many clients' connections, as the bus opens and mends them: nothing but these, so that hundreds fit into one process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { rabbitOptions } from '../src/broker-options.js'
import { loadIdentityFolder } from '../src/identity-folder.js'
import { Backoff } from '../src/transport/backoff.js'
import { dialler } from '../src/transport/dial.js'
import { Endpoints } from '../src/transport/endpoints.js'
import { settings as rabbitSettings } from '../src/transport/rabbit-options.js'
import { type Dial, LastingLink } from '../src/transport/reconnect.js'

const AT_ONCE = 10
const POLL_MS = 20

export interface CrowdOrder {
  /** Identity folder that all of them use: the broker knows one user. */
  readonly identity: string
  readonly brokers: readonly string[]
  readonly clients: number
  readonly signal: AbortSignal
}

/** Connections of many clients: two each, one to publish and one to consume, as the bus has them. */
export class Crowd {
  readonly #links: LastingLink[]
  #dials = 0

  private constructor(links: (count: () => void) => LastingLink[]) {
    this.#links = links(() => this.#dials++)
  }

  /** Connects them, a few at a time. @throws Error when one does not come up within the limit */
  static async gather(order: CrowdOrder, limitMs: number): Promise<Crowd> {
    const open = await opener(order)
    const crowd = new Crowd(count => Array.from({ length: 2 * order.clients }, () => open(count)))
    const limit = AbortSignal.any([order.signal, AbortSignal.timeout(limitMs)])
    for (let i = 0; i < crowd.#links.length; i += AT_ONCE)
      await Promise.all(crowd.#links.slice(i, i + AT_ONCE).map(link => link.link(limit)))
    return crowd
  }

  get size(): number {
    return this.#links.length
  }

  /** Those that are open. */
  get open(): number {
    return this.#links.filter(({ state }) => state.name === 'open' && state.link.open).length
  }

  /** Attempts to connect so far. */
  get dials(): number {
    return this.#dials
  }

  /** Waits until so many are open. @returns whether that came within the limit */
  async reach(count: number, limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs
    while (this.open < count) {
      if (performance.now() > deadline) return false
      await sleep(POLL_MS)
    }
    return true
  }

  async leave(): Promise<void> {
    await Promise.all(this.#links.map(link => link.close()))
  }
}

/** Each client knows all nodes, and has its own opinion of their health. */
async function opener({ identity, brokers }: CrowdOrder): Promise<(count: () => void) => LastingLink> {
  const folder = await loadIdentityFolder(identity, { now: Date.now, onWarning: () => undefined })
  const options = rabbitSettings(await rabbitOptions(folder, { brokers, profile: 'hub' }))
  return count => {
    const dial = dialler(options, new Endpoints(brokers, false), 'in a crowd')
    const counted: Dial = signal => {
      count()
      return dial(signal)
    }
    return new LastingLink(counted, () => undefined, new Backoff(Math.random, options.reconnectMaxMs))
  }
}
