/** The kinds of drivers by name, loaded when asked for, and one driver from several. */
import { SealbusError } from '../src/errors.js'
import { composed } from './drivers/compose.js'
import type { Driver, DriverSettings, MakeDriver } from './drivers/driver.js'

/** A cluster of which nothing is known but where it listens: it can be reached, and links can stand before it. */
const remoteDriver: MakeDriver = ({ brokers }) => {
  if (brokers.length === 0)
    throw new SealbusError('configuration', 'driver proxy: expected --brokers amqps://host:port,…, got none')
  const nodes = brokers.map(url => new URL(url).host)
  return Promise.resolve({
    ...{ kind: 'proxy', nodes, actions: {} },
    url: node => brokers[nodes.indexOf(node)] ?? '',
    heal: () => Promise.resolve(),
  })
}

const KINDS: Readonly<Record<string, () => Promise<MakeDriver>>> = {
  proxy: () => Promise.resolve(remoteDriver),
  docker: async () => (await import('./drivers/docker.js')).dockerDriver,
  kubernetes: async () => (await import('./drivers/kubernetes.js')).kubernetesDriver,
  command: async () => (await import('./drivers/command.js')).commandDriver,
}

/** Names of all kinds. n.b. `local` and `netns` are what runs where the tool brings or borrows a cluster of this machine */
export const DRIVER_KINDS: readonly string[] = ['local', 'netns', ...Object.keys(KINDS)]

/** Where several kinds are asked for, each has a map of its own in the configuration. */
function partOf(settings: DriverSettings, kind: string): DriverSettings {
  const { config, configFile = 'the driver configuration' } = settings
  const part =
    typeof config === 'object' && config !== null ? (config as Record<string, unknown>)[kind] : undefined
  return { ...settings, config: part, configFile: `${configFile}: ${kind}` }
}

/**
 * One driver of these kinds; where two can do the same the last counts.
 * @throws RangeError for a kind that there is not; SealbusError `configuration` for a config that a driver cannot use
 */
export async function makeDriver(kinds: readonly string[], settings: DriverSettings): Promise<Driver> {
  const made: Driver[] = []
  for (const kind of kinds) {
    const load = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
    if (load === undefined)
      throw new RangeError(`--driver: expected some of ${DRIVER_KINDS.join(', ')}, got ${kind}`)
    made.push(await (await load())(kinds.length === 1 ? settings : partOf(settings, kind)))
  }
  const [first, ...more] = made
  if (first === undefined) throw new RangeError('--driver: expected at least one kind')
  return composed(first, ...more)
}
