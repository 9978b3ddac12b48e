/** What the demonstration plays on: a PKI of its own, a broker, and somebody who watches the broker. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, findRabbitmq, startCluster } from '../cluster/index.js'
import { initPki, issueBrokerCertificate, type Pki, provision } from '../pki/index.js'
import type { Bus } from '../src/bus.js'
import { connect, MemoryBroker, memoryTransport } from '../src/index.js'
import { CAST } from './cast.js'
import { castShadow } from './shadow.js'

/** Says what happens, for people. */
export type Say = (line: string) => void

/** What was done to the connections. */
export interface Blow {
  /** `performance.now()`. */
  readonly at: number
  /** For people: what was done. */
  readonly what: string
  /** For people: since what a gap is counted. */
  readonly since: string
}

export interface Stage {
  /** For the last line: `rabbitmq 3.10.8, 3 nodes`, or `embedded`. */
  readonly broker: string
  /** One member of the cast, connected to the first node as long as it lives. */
  join(name: string): Promise<Bus>
  /** Ends what everybody is connected to. */
  kill(): Promise<Blow>
  /** Every body that the broker's operator could see. */
  captured(): Promise<Uint8Array[]>
  end(): Promise<void>
}

/** Sets the stage: with RabbitMQ where it is installed and wanted, else in this process. */
export async function setStage(say: Say, embedded: boolean): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'sealbus-demo-'))
  // Also where the run is interrupted: the folder holds keys.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  process.once('SIGINT', () => process.exit(130))
  try {
    const pki = await makePki(dir, say)
    if (!embedded && findRabbitmq() !== undefined) return await onRabbitmq(dir, pki, say)
    return inProcess(dir)
  } catch (error) {
    rmSync(dir, { recursive: true, force: true })
    throw error
  }
}

async function makePki(dir: string, say: Say): Promise<Pki> {
  const passphrase = randomBytes(16).toString('hex') // the CA lives as long as the demonstration
  const { pki } = await initPki({ dir: join(dir, 'pki'), domain: 'field', passphrase })
  await provision(pki, CAST)
  say(`provisioned ${CAST.length} identities: a VPP, a TSO, a BEMCom connector and ten home energy hubs`)
  return pki
}

async function onRabbitmq(dir: string, pki: Pki, say: Say): Promise<Stage> {
  say('starting three RabbitMQ nodes on loopback: TLS, client certificates, no passwords')
  const tls = await issueBrokerCertificate(pki, { name: 'cluster' })
  const { definitions } = pki.layout
  const cluster = await startCluster({
    dir: join(dir, 'cluster'),
    tls,
    definitions,
    ephemeral: true,
    onProgress: line => say(`  ${line}`),
  })
  try {
    const shadow = await castShadow(cluster, pki)
    const broker = `rabbitmq ${await cluster.version()}, ${cluster.nodes.length} nodes`
    return new RabbitmqStage(dir, cluster, broker, () => shadow.captured())
  } catch (error) {
    await cluster.down()
    throw error
  }
}

class RabbitmqStage implements Stage {
  readonly broker: string
  readonly captured: () => Promise<Uint8Array[]>
  readonly #dir: string
  readonly #cluster: Cluster
  #opening = true

  constructor(dir: string, cluster: Cluster, broker: string, captured: () => Promise<Uint8Array[]>) {
    this.#dir = dir
    this.#cluster = cluster
    this.broker = broker
    this.captured = captured
  }

  join(name: string): Promise<Bus> {
    const identity = join(this.#dir, 'pki', 'devices', name)
    // Everybody starts on the first node, so that its death concerns everybody; then all nodes are good.
    const brokers = (): Promise<readonly string[]> =>
      Promise.resolve(this.#opening ? this.#cluster.urls.slice(0, 1) : this.#cluster.urls)
    return connect({ identity, brokers })
  }

  async kill(): Promise<Blow> {
    this.#opening = false
    const node = this.#cluster.node(1)
    const killed = node.kill()
    const at = performance.now()
    await killed
    return { at, what: `SIGKILL to ${node.name}, the node that everybody is connected to`, since: 'the kill' }
  }

  async end(): Promise<void> {
    await this.#cluster.down()
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 3 })
  }
}

function inProcess(dir: string): Stage {
  const broker = new MemoryBroker()
  const bodies: Uint8Array[] = []
  broker.observe(({ body }) => bodies.push(body))
  return {
    broker: 'embedded',
    join: name =>
      connect({ identity: join(dir, 'pki', 'devices', name), transport: memoryTransport(broker, name) }),
    kill: () => {
      broker.killConnections()
      const at = performance.now()
      return Promise.resolve({ at, what: 'all connections to the embedded bus are cut', since: 'the cut' })
    },
    captured: () => Promise.resolve(bodies),
    end: () => {
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
      return Promise.resolve()
    },
  }
}
