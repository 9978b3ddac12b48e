/** One attempt to connect: which endpoint, which certificate, one deadline over all of it. */
import { asError, SealbusError } from '../errors.js'
import type { TlsMaterial } from './amqp.js'
import { abortable, within } from './deadline.js'
import type { Endpoint, Endpoints } from './endpoints.js'
import { Link } from './link.js'
import type { RabbitSettings } from './rabbit-options.js'
import type { DialElsewhere } from './standby.js'

/**
 * Opens connections for one purpose.
 *
 * @param purpose - shown to the broker's operator: `publishing`, `consuming`
 */
export function dialler(options: RabbitSettings, endpoints: Endpoints, purpose: string): DialElsewhere {
  return async (signal, avoided) => {
    const endAt = performance.now() + options.connectTimeoutMs
    const left = (): number => Math.max(1, Math.ceil(endAt - performance.now()))
    const step = <T>(what: string, promise: Promise<T>): Promise<T> =>
      abortable(within(left(), what, promise), signal)
    const endpoint = await step('find a broker', endpoints.next(avoided))
    const tls = endpoint.tls ? await step('read the TLS files', material(options)) : undefined
    return judged(endpoints, endpoint, Link.open(target(options, endpoint, tls, purpose), left(), signal))
  }
}

/** n.b. asked at every attempt: a renewed certificate is used without a restart. */
async function material(options: RabbitSettings): Promise<TlsMaterial> {
  try {
    if (options.tls === undefined) throw new TypeError('tls: expected a function, got nothing')
    return await options.tls()
  } catch (thrown) {
    throw new SealbusError('unauthorised', `our TLS files cannot be read: ${asError(thrown).message}`, {
      cause: thrown,
    })
  }
}

function target(
  options: RabbitSettings,
  endpoint: Endpoint,
  tls: TlsMaterial | undefined,
  purpose: string,
): Parameters<typeof Link.open>[0] {
  const { vhost, credentials, heartbeatSeconds, address } = options
  if (credentials === undefined && tls?.cert === undefined) {
    throw new SealbusError(
      'unauthorised',
      'neither a client certificate nor user and password: give one of them',
    )
  }
  return { ...endpoint, vhost, tls, credentials, heartbeatSeconds, connectionName: `${address} ${purpose}` }
}

/** What becomes of a link decides who is asked next time. */
async function judged(endpoints: Endpoints, endpoint: Endpoint, opening: Promise<Link>): Promise<Link> {
  try {
    const link = await opening
    endpoints.good(endpoint)
    void link.closed.then(reason => reason && endpoints.bad(endpoint))
    return link
  } catch (thrown) {
    endpoints.bad(endpoint)
    throw thrown
  }
}
