/** Where brokers are: URLs, each name with all its addresses, shuffled, the healthy first. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { asError, SealbusError } from '../errors.js'

/** One address of one broker. */
export interface Endpoint {
  readonly host: string
  readonly address: string
  readonly port: number
  readonly tls: boolean
}

/** A parsed broker URL; the address is not yet known. */
export type Broker = Omit<Endpoint, 'address'>

/** Fixed, or asked anew before each attempt (service discovery). */
export type BrokerList = readonly string[] | (() => Promise<readonly string[]>)

/** All addresses of a name. */
export type Resolver = (host: string) => Promise<readonly string[]>

/** One failure weighs this long, each further one twice as much. */
const PENALTY_MS = 1_000
const MOST_PENALTY_MS = 30_000

/**
 * `amqps://host[:port]`; `amqp://` where plaintext was explicitly allowed.
 *
 * @throws SealbusError `configuration`
 */
export function parseBroker(text: string, allowPlaintext: boolean): Broker {
  const url = URL.canParse(text) ? new URL(text) : undefined // n.b. URL.parse needs a newer Node
  if (url === undefined || url.hostname === '' || !['amqps:', 'amqp:'].includes(url.protocol)) {
    throw new SealbusError(
      'configuration',
      `brokers: expected amqps://host:port, got ${JSON.stringify(redact(text))}`,
    )
  }
  const tls = url.protocol === 'amqps:'
  if (!tls && !allowPlaintext) {
    throw new SealbusError(
      'configuration',
      'brokers: amqp:// is plaintext: use amqps:// (rabbitTransport alone takes allowPlaintext: true)',
    )
  }
  if (url.username !== '' || url.password !== '' || !['', '/'].includes(url.pathname)) {
    throw new SealbusError(
      'configuration',
      'brokers: no user, password or virtual host in the URL: they have fields of their own (config.json: user, passwordFile, vhost)',
    )
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? (tls ? 5671 : 5672) : Number(url.port), tls }
}

/** Chooses the endpoint of each attempt. */
export class Endpoints {
  #brokers: BrokerList
  #allowPlaintext: boolean
  #resolve: Resolver
  #now: () => number
  #health = new Map<string, { failures: number; until: number }>()

  constructor(
    brokers: BrokerList,
    allowPlaintext: boolean,
    resolve: Resolver = addresses,
    now: () => number = () => performance.now(),
  ) {
    this.#brokers = brokers
    this.#allowPlaintext = allowPlaintext
    this.#resolve = resolve
    this.#now = now
  }

  /**
   * The best endpoint now: at random among those without penalty, else the one whose penalty ends first.
   *
   * @param avoided - `host:port` that comes last
   * @throws SealbusError `configuration` (a URL is wrong), `connection-lost` (no name resolves)
   */
  async next(avoided?: string): Promise<Endpoint> {
    const list = typeof this.#brokers === 'function' ? await this.#brokers() : this.#brokers
    const all = await this.#all(list.map(text => parseBroker(text, this.#allowPlaintext)))
    const until = (endpoint: Endpoint): number =>
      Math.max(this.#health.get(key(endpoint))?.until ?? 0, this.#now())
    const last = ({ host, port }: Endpoint): number => Number(`${host}:${port}` === avoided)
    const best = shuffle(all).sort((a, b) => last(a) - last(b) || until(a) - until(b))[0]
    if (best === undefined)
      throw new SealbusError('configuration', 'brokers: expected at least one URL, got none')
    return best
  }

  /** It worked: what was held against it is forgotten. */
  good(endpoint: Endpoint): void {
    this.#health.delete(key(endpoint))
  }

  /** It failed, or was lost: others go first for 1 s, 2 s, … 30 s. */
  bad(endpoint: Endpoint): void {
    const failures = (this.#health.get(key(endpoint))?.failures ?? 0) + 1
    const penalty = Math.min(PENALTY_MS * 2 ** (failures - 1), MOST_PENALTY_MS)
    this.#health.set(key(endpoint), { failures, until: this.#now() + penalty })
  }

  /** Every address of every broker; a name that does not resolve is left out unless none does. */
  async #all(brokers: readonly Broker[]): Promise<Endpoint[]> {
    const found = await Promise.allSettled(brokers.map(broker => this.#endpoints(broker)))
    const endpoints = found.flatMap(one => (one.status === 'fulfilled' ? one.value : []))
    const failed = found.find(one => one.status === 'rejected')
    if (endpoints.length === 0 && failed !== undefined) throw asError(failed.reason)
    return endpoints
  }

  async #endpoints(broker: Broker): Promise<Endpoint[]> {
    const found = isIP(broker.host) === 0 ? await this.#resolve(broker.host) : [broker.host]
    return found.map(address => ({ ...broker, address }))
  }
}

async function addresses(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true })
  return found.map(one => one.address)
}

function key(endpoint: Endpoint): string {
  return `${endpoint.host} ${endpoint.address} ${endpoint.port}`
}

function shuffle<T>(list: readonly T[]): T[] {
  return list
    .map(value => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(one => one.value)
}

/** n.b. somebody may have put a password into the URL. */
function redact(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@')
}
