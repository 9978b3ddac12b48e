/**
 * Links that can be broken: one TCP proxy (chaos/proxy.ts) before each node, for any cluster that can be reached from here.
 *
 * n.b. clients dial the proxies on loopback. Where the brokers' certificates do not name `localhost`, the URLs keep the
 * brokers' own hosts, and whoever connects must take those for loopback: {@link ProxyLinks.hosts} says which.
 */
import type { Pace } from '../pipe.js'
import {
  DIRECTIONS,
  type Direction,
  type FaultProxy,
  type ProxyConnection,
  startProxy,
  type Tap,
} from '../proxy.js'
import type { Driver, LinkDriver } from './driver.js'

const AMQPS_PORT = 5671
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Proxies as links. */
export interface ProxyLinks extends LinkDriver {
  readonly kind: 'proxy'
  /** Hosts in the URLs that stand for loopback. */
  readonly hosts: readonly string[]
}

/** Something between clients and the nodes of a driver. */
export function proxyLinks({ nodes, url }: Pick<Driver, 'nodes' | 'url'>): ProxyLinks {
  const proxies = new Map<string, FaultProxy>()
  const hostOf = (node: string): string => new URL(url(node)).hostname
  const of = (wanted: readonly string[] = nodes): FaultProxy[] =>
    wanted.flatMap(node => {
      const proxy = proxies.get(node)
      return proxy === undefined ? [] : [proxy]
    })
  const links: ProxyLinks = {
    kind: 'proxy',
    can: new Set(['reset', 'blackhole', 'pace', 'refuse', 'cut'] as const),
    hosts: [...new Set(nodes.map(hostOf))].filter(host => !LOOPBACK.has(host)),
    async everywhere() {
      for (const node of nodes)
        if (!proxies.has(node)) proxies.set(node, await startProxy(targetOf(url(node))))
      return nodes.map(node => dialled(hostOf(node), proxies.get(node)?.port ?? 0))
    },
    connections: (wanted?: readonly string[]): ProxyConnection[] =>
      of(wanted).flatMap(proxy => [...proxy.connections]),
    watch(onConnection: ((connection: ProxyConnection) => Tap | undefined) | undefined) {
      for (const proxy of of()) proxy.onConnection = onConnection
    },
    reset: wanted => of(wanted).reduce((sum, proxy) => sum + proxy.resetAll(), 0),
    blackhole(on, wanted, directions: readonly Direction[] = DIRECTIONS) {
      for (const proxy of of(wanted)) {
        if (on) proxy.blackhole(directions)
        else proxy.restore()
      }
    },
    refuse(on, wanted) {
      for (const proxy of of(wanted)) proxy.refusing = on
    },
    pace(pace: Pace, wanted) {
      for (const proxy of of(wanted)) proxy.pace = pace
    },
    heal() {
      links.watch(undefined)
      links.refuse(false)
      links.pace({})
      links.blackhole(false)
    },
    async close() {
      await Promise.all(of().map(proxy => proxy.close()))
      proxies.clear()
    },
  }
  return links
}

function targetOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return { host: LOOPBACK.has(hostname) ? '127.0.0.1' : host, port: port === '' ? AMQPS_PORT : Number(port) }
}

function dialled(host: string, port: number): string {
  return `amqps://${LOOPBACK.has(host) ? 'localhost' : host}:${port}`
}
