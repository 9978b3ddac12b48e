/** Where faults are run: a domain, its devices and a cluster; made for the purpose, or one that runs already. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, openCluster, startCluster } from '../cluster/index.js'
import { readState } from '../cluster/state.js'
import {
  type FleetMember,
  findDevice,
  initPki,
  issueBrokerCertificate,
  openPki,
  type Pki,
  provision,
} from '../pki/index.js'
import { SealbusError } from '../src/errors.js'
import type { ClusterDriver } from './drivers/driver.js'
import { localDriver } from './drivers/local.js'
import type { Cast, Participant } from './plan.js'

const ALL_LINES = 1_000_000
const CENTRE = 'vpp-0001'
const DECLARING = 'vpp-0002' // plants declare their own inboxes, hubs do not
const HUBS = { steady: 4, quiet: 4, late: 1 } as const

/** A place to run faults in. */
export interface Ground {
  readonly driver: ClusterDriver
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

/** A new domain and three nodes in a temporary folder; the cluster ends at the latest with this process. */
export async function ownGround(note: (line: string) => void): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-chaos-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  try {
    note('making a domain with its devices, starting three nodes')
    const passphrase = randomBytes(16).toString('hex')
    const { pki } = await initPki({ dir: join(folder, 'pki'), domain: 'chaos', passphrase })
    await provision(pki, members())
    const tls = await issueBrokerCertificate(pki, { name: 'local' })
    const cluster = await startCluster({
      dir: join(folder, 'cluster'),
      nodes: 3,
      tls,
      definitions: pki.layout.definitions,
      ephemeral: true,
      onProgress: note,
    })
    return await groundOf(pki, cluster, async () => {
      await cluster.down()
      remove()
    })
  } catch (error) {
    remove()
    throw error
  }
}

/**
 * A cluster that runs already, with the devices of its domain.
 * @throws SealbusError `configuration` when it has no domain or the domain lacks a device
 */
export async function borrowedGround(dir: string): Promise<Ground> {
  const cluster = openCluster(dir)
  const pkiDir = readState(cluster.dir)?.pki
  if (pkiDir === undefined) {
    throw new SealbusError(
      'configuration',
      `${dir}: expected a cluster that knows its domain; start it with sealbus cluster up --pki D`,
    )
  }
  return await groundOf(openPki({ dir: pkiDir }), cluster, () => Promise.resolve())
}

async function groundOf(pki: Pki, cluster: Cluster, end: () => Promise<void>): Promise<Ground> {
  const cast = castOf(pki)
  const broker = `rabbitmq ${await cluster.version()}, ${cluster.nodes.length} nodes`
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-ledgers-'))
  let kept = false
  return {
    driver: localDriver(cluster),
    cast,
    broker,
    folder,
    keep() {
      kept = true
      return folder
    },
    async close() {
      if (kept)
        for (const node of cluster.nodes)
          writeFileSync(join(folder, `${node.name}.log`), node.logTail(ALL_LINES))
      await end()
      if (!kept) rmSync(folder, { recursive: true, force: true })
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

function castOf(pki: Pki): Cast {
  const participants: Participant[] = members().map(({ name }) => ({
    address: findDevice(pki, name).name,
    identity: join(pki.layout.devices, name),
  }))
  const [centre, declaring, ...hubs] = participants
  if (centre === undefined || declaring === undefined) throw new RangeError('expected two plants')
  const { steady, quiet, late } = HUBS
  return {
    centre,
    declaring: [declaring],
    steady: hubs.slice(0, steady),
    quiet: hubs.slice(steady, steady + quiet),
    late: hubs.slice(steady + quiet, steady + quiet + late),
  }
}
