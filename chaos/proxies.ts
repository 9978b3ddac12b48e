/** Proxies before the nodes of a cluster, started when first asked for. */
import type { ClusterDriver } from './drivers/driver.js'
import { type FaultProxy, startProxy } from './proxy.js'

export class Proxies {
  readonly #driver: ClusterDriver
  readonly #started = new Map<string, FaultProxy>()

  constructor(driver: ClusterDriver) {
    this.#driver = driver
  }

  /** The proxy before a node. */
  async before(node: string): Promise<FaultProxy> {
    const known = this.#started.get(node)
    if (known !== undefined) return known
    const proxy = await startProxy({ port: this.#driver.port(node) })
    this.#started.set(node, proxy)
    return proxy
  }

  /** One before each node. @returns what clients dial */
  async everywhere(): Promise<string[]> {
    const proxies = await Promise.all(this.#driver.nodes.map(node => this.before(node)))
    return proxies.map(({ port }) => `amqps://localhost:${port}`)
  }

  get all(): readonly FaultProxy[] {
    return [...this.#started.values()]
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map(proxy => proxy.close()))
  }
}
