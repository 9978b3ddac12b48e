/** Where faults are run: a domain, its devices and a cluster; made for the purpose, or one that runs already. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, clientAddresses, freeNetwork, openCluster, startCluster } from '../cluster/index.js'
import { readState } from '../cluster/state.js'
import {
  type FleetMember,
  initPki,
  issueBrokerCertificate,
  openPki,
  type Pki,
  provision,
} from '../pki/index.js'
import { SealbusError } from '../src/errors.js'
import { castOf } from './cast.js'
import { authorityOf } from './drivers/certificates.js'
import type { Driver } from './drivers/driver.js'
import { type LocalDriver, localDriver } from './drivers/local.js'
import { netnsDriver } from './drivers/netns.js'
import type { Cast } from './plan.js'

const NODES = 3
const ALL_LINES = 1_000_000
const CENTRE = 'vpp-0001'
const DECLARING = 'vpp-0002' // plants declare their own inboxes, hubs do not
const HUBS = { steady: 4, quiet: 4, late: 1 } as const

/** A place to run faults in. */
export interface Ground<D extends Driver = Driver> {
  readonly driver: D
  readonly cast: Cast
  /** `rabbitmq 3.10.8, 3 nodes` */
  readonly broker: string
  /** For ledgers; removed in the end unless {@link Ground.keep} was called. */
  readonly folder: string
  /** Leaves the ledgers, and the nodes' logs with them. @returns where they are */
  keep(): string
  /** Ends what was started for it, removes what was made for it. May be called twice. */
  close(): Promise<void>
}

/** How a cluster of one's own is made. */
export interface OwnGround {
  /** Each node in a network namespace of its own: partitions are then silent. Needs root. */
  readonly network?: boolean
}

/**
 * A new domain and three nodes in a temporary folder; the cluster ends at the latest with this process.
 * @throws SealbusError `configuration` where network namespaces cannot be made
 */
export async function ownGround(
  note: (line: string) => void,
  { network = false }: OwnGround = {},
): Promise<Ground<LocalDriver>> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-chaos-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  try {
    note('making a domain with its devices, starting three nodes')
    const passphrase = randomBytes(16).toString('hex')
    const { pki } = await initPki({ dir: join(folder, 'pki'), domain: 'chaos', passphrase })
    await provision(pki, members())
    const subnet = network ? freeNetwork() : undefined
    const certificate = { name: 'local', hosts: subnet === undefined ? [] : clientAddresses(subnet, NODES) }
    const tls = await issueBrokerCertificate(pki, certificate)
    const cluster = await startCluster({
      dir: join(folder, 'cluster'),
      nodes: NODES,
      tls,
      ...(subnet === undefined ? {} : { network: subnet }),
      definitions: pki.layout.definitions,
      ephemeral: true,
      onProgress: note,
    })
    const options = authorityOf({ dir: pki.layout.dir, passphrase }, certificate)
    const driver = network ? netnsDriver(cluster, options) : localDriver(cluster, options)
    return await groundOf(pki, cluster, driver, async () => {
      await cluster.down()
      remove()
    })
  } catch (error) {
    remove()
    throw error
  }
}

/**
 * A cluster of this machine that runs already, with the devices of its domain.
 * @throws SealbusError `configuration` when it has no domain or the domain lacks devices
 */
export async function borrowedGround(dir: string): Promise<Ground<LocalDriver>> {
  const cluster = openCluster(dir)
  const pkiDir = readState(cluster.dir)?.pki
  if (pkiDir === undefined) {
    throw new SealbusError(
      'configuration',
      `${dir}: expected a cluster that knows its domain; start it with sealbus cluster up --pki D`,
    )
  }
  const isApart = cluster.nodes.every(node => node.network !== undefined)
  const driver = isApart ? netnsDriver(cluster) : localDriver(cluster)
  return await groundOf(openPki({ dir: pkiDir }), cluster, driver, () => driver.heal())
}

/**
 * Somebody's own cluster: nothing is assumed of it but AMQPS, and that the devices may use it.
 * @param identity - a domain's folder (`sealbus pki init`), whose devices take part
 * @throws SealbusError `configuration` when the domain lacks devices
 */
export async function foreignGround<D extends Driver>(driver: D, identity: string): Promise<Ground<D>> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-ledgers-'))
  let kept = false
  return {
    driver,
    cast: castOf(openPki({ dir: identity })),
    broker: `${(await driver.version?.()) ?? 'a broker'}, ${driver.nodes.length} nodes (driver ${driver.kind})`,
    folder,
    keep() {
      kept = true
      return folder
    },
    async close() {
      await driver.close?.()
      if (!kept) rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function groundOf(
  pki: Pki,
  cluster: Cluster,
  driver: LocalDriver,
  end: () => Promise<void>,
): Promise<Ground<LocalDriver>> {
  const ground = await foreignGround(driver, pki.layout.dir)
  let kept = false
  return {
    ...ground,
    broker: `rabbitmq ${await cluster.version()}, ${cluster.nodes.length} nodes`,
    keep() {
      kept = true
      return ground.keep()
    },
    async close() {
      if (kept)
        for (const node of cluster.nodes)
          writeFileSync(join(ground.folder, `${node.name}.log`), node.logTail(ALL_LINES))
      await end()
      await ground.close()
    },
  }
}

function hub(number: number): string {
  return `heh-${String(number).padStart(4, '0')}`
}

function members(): FleetMember[] {
  const hubs = Object.values(HUBS).reduce((sum, count) => sum + count, 0)
  const names = Array.from({ length: hubs }, (_, i) => hub(i + 1))
  return [
    ...[CENTRE, DECLARING].map(name => ({ name, role: 'vpp' })),
    ...names.map(name => ({ name, role: 'heh' })),
  ]
}
