/** Options of the RabbitMQ transport: checked once, at construction. */
import type { Logger } from '../bus.js'
import { SealbusError } from '../errors.js'
import type { TlsMaterial } from './amqp.js'
import { LAST_MS } from './backoff.js'
import { type BrokerList, parseBroker } from './endpoints.js'
import type { InboxKind } from './topology.js'

export interface RabbitOptions {
  /** `amqps://host[:port]` of every node, or a function that is asked before each attempt. */
  readonly brokers: BrokerList
  /** One's own address, `[A-Za-z0-9_-]{1,64}`: user name, inbox, word of the routing key. */
  readonly address: string
  /** Default `sealbus`. */
  readonly vhost?: string
  /** Name of the topic exchange; `.parked` is appended for the other. Default `sealbus`. */
  readonly exchange?: string
  /** Asked at each attempt, so renewed certificates are used. Needed for `amqps`. */
  readonly tls?: () => Promise<TlsMaterial>
  /** User and password (SASL PLAIN). Absent: EXTERNAL, the client certificate says who we are. */
  readonly credentials?: { readonly user: string; readonly password: string }
  readonly inbox: {
    readonly kind: InboxKind
    /** Declare the own inbox and parking; else they come from the broker's definitions. */
    readonly declare: boolean
    /** Queues that it is divided into by sender, for several workers, 2..64; quorum only. Default: not divided. */
    readonly partitions?: number
  }
  /** Of a divided inbox: the part that is this worker's; it takes others while nobody consumes them. Default: all parts. */
  readonly partition?: number
  /** For DNS, TCP, TLS and AMQP handshake together, 100..120 000 ms. Default 5 000. */
  readonly connectTimeoutMs?: number
  /** The longest pause between two attempts to connect, ms, 1 000..600 000; each is random from 0 on. Default 5 000. */
  readonly reconnectMaxMs?: number
  /** 1..3 600 s. Default 10. */
  readonly heartbeatSeconds?: number
  /** Publish and consume on one connection: an alarm then stops consuming too. Default false. */
  readonly oneConnection?: boolean
  /**
   * Keep another connection open to another node, for publishing and for consuming each, and go on with it at once when the
   * present one dies. Twice the connections at the broker. Default false.
   */
  readonly standby?: boolean
  /** Permits `amqp://`. Default false. */
  readonly allowPlaintext?: boolean
  readonly logger?: Logger
}

/** Options with their defaults. */
export type RabbitSettings = Required<Omit<RabbitOptions, 'tls' | 'credentials' | 'logger' | 'partition'>> &
  Pick<RabbitOptions, 'tls' | 'credentials' | 'logger' | 'partition'>

const DEFAULTS = {
  vhost: 'sealbus',
  exchange: 'sealbus',
  connectTimeoutMs: 5_000,
  reconnectMaxMs: LAST_MS,
  heartbeatSeconds: 10,
  oneConnection: false,
  standby: false,
  allowPlaintext: false,
} as const

/**
 * Options checked and completed.
 *
 * @throws SealbusError `configuration`, naming the option
 * @throws RangeError a number out of its range
 */
export function settings(options: RabbitOptions): RabbitSettings {
  const all: RabbitSettings = { ...DEFAULTS, ...withoutUndefined(options) }
  word('address', all.address, /^[A-Za-z0-9_-]{1,64}$/)
  word('exchange', all.exchange, /^[A-Za-z0-9._:-]{1,200}$/)
  word('vhost', all.vhost, /^[^\0]{1,200}$/)
  word('inbox.kind', all.inbox.kind, /^(?:quorum|classic|transient)$/)
  range('connectTimeoutMs', all.connectTimeoutMs, 100, 120_000)
  range('reconnectMaxMs', all.reconnectMaxMs, 1_000, 600_000)
  range('heartbeatSeconds', all.heartbeatSeconds, 1, 3_600)
  const { partitions = 1 } = all.inbox
  range('inbox.partitions', partitions, 1, all.inbox.kind === 'quorum' ? 64 : 1)
  if (all.partition !== undefined) range('partition', all.partition, 1, partitions)
  if (typeof all.brokers !== 'function') checkBrokers(all.brokers, all)
  return all
}

function checkBrokers(brokers: readonly string[], all: RabbitSettings): void {
  if (brokers.length === 0) throw configuration('brokers', 'at least one URL', 'none')
  const parsed = brokers.map(text => parseBroker(text, all.allowPlaintext))
  if (parsed.some(broker => broker.tls) && all.tls === undefined) {
    throw configuration('tls', 'a function that gives the CA of the brokers (amqps)', 'nothing')
  }
  if (parsed.some(broker => !broker.tls) && all.credentials === undefined) {
    throw configuration('credentials', 'user and password where a broker is plaintext', 'nothing')
  }
}

function word(name: string, value: string, form: RegExp): void {
  if (!form.test(value)) throw configuration(name, form.source, JSON.stringify(value))
}

function range(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${name}: expected a whole number ${least}..${most}, got ${value}`)
}

function configuration(name: string, expected: string, given: string): SealbusError {
  return new SealbusError('configuration', `${name}: expected ${expected}, got ${given}`)
}

/** An option given as undefined takes its default. */
function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
