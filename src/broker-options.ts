/** An identity folder's config and what `connect` was asked for, as options of the RabbitMQ transport. */
import { rootCertificates } from 'node:tls'
import { SealbusError } from './errors.js'
import type { LoadedFolder } from './identity-folder.js'
import type { RabbitOptions } from './transport/rabbit-options.js'

/** How brokers are reached. */
export interface BrokerOptions {
  /** `amqps://host:port` of every node, or a function asked before each attempt. Default: the config's. */
  readonly brokers?: readonly string[] | (() => Promise<readonly string[]>)
  /**
   * What the next two default to. `hub`: one of thousands, which all come back at once when a node has died, to a broker
   * that has milliseconds for each handshake; so it is patient. Default `installation`.
   *
   * | profile | connectTimeoutMs | reconnectMaxMs |
   * | --- | --- | --- |
   * | `installation` | 5 000 | 5 000 |
   * | `hub` | 15 000 | 60 000 |
   */
  readonly profile?: 'installation' | 'hub'
  /** For DNS, TCP, TLS and AMQP handshake together, 100..120 000 ms. Default: the profile's. */
  readonly connectTimeoutMs?: number
  /** The longest pause between two attempts to connect, each random from 0 on, 1 000..600 000 ms. Default: the profile's. */
  readonly reconnectMaxMs?: number
  /** 1..3 600 s. Default 10. */
  readonly heartbeatSeconds?: number
  /** One connection for publishing and consuming, for small devices: an alarm then stops consuming too. Default false. */
  readonly oneConnection?: boolean
  /** Keep another connection open to another node, for each that is used, and go on with it at once. Default false. */
  readonly standby?: boolean
  /**
   * Of a divided inbox (config.json, `inbox.partitions`): the part that is this worker's, from 1. It takes others while nobody
   * consumes them. Needs a seen store that the workers share. Default: all parts, for a single process.
   */
  readonly partition?: number
}

const PROFILES: Readonly<
  Record<string, { readonly connectTimeoutMs: number; readonly reconnectMaxMs: number }>
> = {
  installation: { connectTimeoutMs: 5_000, reconnectMaxMs: 5_000 },
  hub: { connectTimeoutMs: 15_000, reconnectMaxMs: 60_000 },
}

/** The transport's options. @throws SealbusError `configuration` for a profile that there is not, or an unreadable password */
export async function rabbitOptions(
  folder: LoadedFolder,
  options: BrokerOptions = {},
): Promise<RabbitOptions> {
  const { config } = folder
  const { brokers = config.brokers, profile = 'installation' } = options
  const { connectTimeoutMs, reconnectMaxMs } = { ...profileOf(profile), ...given(options) }
  const { heartbeatSeconds, oneConnection, partition, standby } = options
  const password = await folder.password()
  return {
    brokers,
    address: config.address,
    vhost: config.vhost,
    exchange: config.exchange,
    tls: async () => ({ ca: rootCertificates.join('\n'), ...(await folder.tls()) }),
    ...(config.user !== undefined &&
      password !== undefined && { credentials: { user: config.user, password } }),
    inbox: config.inbox,
    connectTimeoutMs,
    reconnectMaxMs,
    ...(heartbeatSeconds !== undefined && { heartbeatSeconds }),
    ...(oneConnection !== undefined && { oneConnection }),
    ...(partition !== undefined && { partition }),
    ...(standby !== undefined && { standby }),
  }
}

function profileOf(name: string): { connectTimeoutMs: number; reconnectMaxMs: number } {
  const profile = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined
  if (profile !== undefined) return profile
  throw new SealbusError(
    'configuration',
    `profile: expected installation or hub, got ${JSON.stringify(name)}`,
  )
}

function given({ connectTimeoutMs, reconnectMaxMs }: BrokerOptions): {
  connectTimeoutMs?: number
  reconnectMaxMs?: number
} {
  return {
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    ...(reconnectMaxMs !== undefined && { reconnectMaxMs }),
  }
}
