/** A domain, three real nodes, links that can be cut, and a user with a password for libraries that know no certificates. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinkDriver } from '../chaos/drivers/driver.js'
import { type LocalDriver, localDriver } from '../chaos/drivers/local.js'
import { proxyLinks } from '../chaos/drivers/proxy.js'
import type { Cast } from '../chaos/plan.js'
import { type Cluster, startCluster, VHOST } from '../cluster/index.js'
import { findDevice, initPki, issueBrokerCertificate, type Pki, provision } from '../pki/index.js'
import { type Balancer, startBalancer } from './peers-balancer.js'

const CENTRE = 'vpp-0001'
const HUBS = ['heh-0001', 'heh-0002', 'heh-0003', 'heh-0004']
const USER = 'peers'

export interface PeersGround {
  readonly driver: LocalDriver
  readonly links: LinkDriver
  readonly balancer: Balancer
  readonly cast: Cast
  readonly credentials: { readonly user: string; readonly password: string; readonly vhost: string }
  /** `rabbitmq 3.10.8, 3 nodes` */
  readonly broker: string
  /** For ledgers. */
  readonly folder: string
  /** Lets passwords in: a node that was started again has forgotten it. */
  admit(): Promise<void>
  /** An operator closes every connection, all at once. @returns how many there were */
  closeConnections(): Promise<number>
  close(): Promise<void>
}

/** Starts all of it in a temporary folder; the cluster ends at the latest with this process. */
export async function peersGround(note: (line: string) => void): Promise<PeersGround> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-peers-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  try {
    note('making a domain, starting three nodes')
    const { pki } = await initPki({
      dir: join(folder, 'pki'),
      domain: 'peers',
      passphrase: randomBytes(16).toString('hex'),
    })
    await provision(pki, [{ name: CENTRE, role: 'vpp' }, ...HUBS.map(name => ({ name, role: 'heh' }))])
    const cluster = await startCluster({
      dir: join(folder, 'cluster'),
      nodes: 3,
      tls: await issueBrokerCertificate(pki, { name: 'local' }),
      definitions: pki.layout.definitions,
      ephemeral: true,
      onProgress: note,
    })
    return await groundOf(folder, pki, cluster, remove)
  } catch (error) {
    remove()
    throw error
  }
}

async function groundOf(
  folder: string,
  pki: Pki,
  cluster: Cluster,
  remove: () => void,
): Promise<PeersGround> {
  const password = randomBytes(16).toString('hex')
  const driver = localDriver(cluster)
  const links = proxyLinks(driver)
  const proxied = await links.everywhere()
  const balancer = await startBalancer(
    driver.nodes.map((node, i) => ({
      checkPort: driver.port(node),
      port: Number(new URL(proxied[i] ?? '').port),
    })),
  )
  await cluster.ctl(['add_user', USER, password])
  await cluster.ctl(['set_permissions', '-p', VHOST, USER, '.*', '.*', '.*'])
  return {
    ...{ driver, links, balancer, folder },
    cast: castOf(pki),
    credentials: { user: USER, password, vhost: VHOST },
    broker: `rabbitmq ${await cluster.version()}, ${cluster.nodes.length} nodes`,
    async admit() {
      const both = `application:set_env(rabbit, auth_mechanisms, ['EXTERNAL', 'PLAIN']), <<"done">>`
      for (const node of cluster.nodes) await cluster.evaluate(both, node)
    },
    async closeConnections() {
      const close = `rabbit_networking:close_connection(P, <<"closed by the operator">>)`
      const all = `L = rabbit_networking:connections(), [spawn(fun() -> ${close} end) || P <- L], length(L)`
      return Number(await cluster.evaluate(all))
    },
    async close() {
      await balancer.close()
      await links.close()
      await cluster.down()
      remove()
    },
  }
}

function castOf(pki: Pki): Cast {
  const participant = (name: string): { address: string; identity: string } => ({
    address: findDevice(pki, name).name,
    identity: join(pki.layout.devices, name),
  })
  return { centre: participant(CENTRE), steady: HUBS.map(participant), quiet: [], late: [], declaring: [] }
}
