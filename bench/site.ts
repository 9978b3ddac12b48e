/** Where benches that need devices and a broker run: a domain of its own in a temporary folder, and three nodes. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../cluster/index.js'
import { initPki, issueBrokerCertificate, type Pki, provision } from '../pki/index.js'

export const PLANT = 'vpp-0001'
export const HUB = 'heh-0001'
/** Nobody listens there: connecting fails at once. */
export const NOWHERE: readonly string[] = ['amqps://localhost:1']

export interface Site {
  /** Empty without a cluster. */
  readonly brokers: readonly string[]
  /** `rabbitmq 3.10.8, 3 nodes` */
  readonly broker: string
  identity(name: string): string
  /** A new folder. */
  folder(name: string): string
  close(): Promise<void>
}

/** @param nodes - 0: a domain alone */
export async function makeSite(nodes: number, note: (line: string) => void): Promise<Site> {
  const root = mkdtempSync(join(tmpdir(), 'sealbus-bench-'))
  const remove = (): void => rmSync(root, { recursive: true, force: true, maxRetries: 3 })
  try {
    const passphrase = randomBytes(16).toString('hex')
    const { pki } = await initPki({ dir: join(root, 'pki'), domain: 'bench', passphrase })
    await provision(pki, [
      { name: PLANT, role: 'vpp' },
      { name: HUB, role: 'heh' },
    ])
    const cluster = nodes > 0 ? await startNodes(pki, join(root, 'cluster'), nodes, note) : undefined
    return {
      brokers: cluster?.urls ?? [],
      broker: cluster ? `rabbitmq ${await cluster.version()}, ${nodes} nodes` : 'in this process',
      identity: name => join(pki.layout.devices, name),
      folder: name => {
        const folder = join(root, name)
        mkdirSync(folder, { recursive: true })
        return folder
      },
      close: async () => {
        await cluster?.down()
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}

async function startNodes(
  pki: Pki,
  dir: string,
  nodes: number,
  onProgress: (line: string) => void,
): ReturnType<typeof startCluster> {
  const tls = await issueBrokerCertificate(pki, { name: 'local' })
  const { definitions } = pki.layout
  return await startCluster({ dir, nodes, tls, definitions, ephemeral: true, onProgress })
}
