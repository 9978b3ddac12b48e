/**
 * A real cluster for a test file, with certificates for a few users and the topology of docs/DELIVERY.md. One
 * cluster serves all tests of a file: `const cluster = withCluster()`, then `cluster().urls` inside the tests.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { type Cluster, openCluster, startCluster } from '../../cluster/index.js'
import { isAlive } from '../../cluster/process.js'
import { readState } from '../../cluster/state.js'
import { type Authority, makeAuthority, makeLeaf } from './certificates.js'
import { type TestUser, topology } from './topology.js'

const PREFIX = 'sealbus-cluster-'

/** What a client of RabbitMQ needs, as `tls.connect` takes it. */
export interface ClientTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface TestCluster {
  readonly cluster: Cluster
  readonly urls: readonly string[]
  /** Certificate of one of the users, whose name is its common name. */
  readonly tls: (user: string) => ClientTls
  /** PEM file paths of a user, for programs that want files. */
  readonly files: (user: string) => { ca: string; cert: string; key: string }
  /** A certificate for a user that is not in the definitions yet. */
  readonly addCertificate: (user: string) => ClientTls
  /** Definitions in force, as a file for `cluster.importDefinitions`. */
  readonly definitions: string
  readonly down: () => Promise<void>
}

export interface TestClusterOptions {
  /** Default 3. */
  readonly nodes?: number
  /** Default: vpp and tso self-declaring; heh-0001 and heh-0002 strict; admin, who may do everything. */
  readonly users?: readonly TestUser[]
}

export const DEFAULT_USERS: readonly TestUser[] = [
  { name: 'vpp', rights: 'self-declaring' },
  { name: 'tso', rights: 'self-declaring' },
  { name: 'heh-0001', rights: 'strict' },
  { name: 'heh-0002', rights: 'strict' },
  { name: 'admin', rights: 'everything' },
]

/** Starts a cluster in a temporary folder; what earlier, killed test runs left behind is ended first. */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  await sweep()
  const folder = mkdtempSync(join(tmpdir(), PREFIX))
  const users = options.users ?? DEFAULT_USERS
  const certificates = makeCertificates(folder, users)
  const definitions = join(folder, 'definitions.json')
  writeFileSync(definitions, JSON.stringify(topology(users)))
  const cluster = await startCluster({
    nodes: options.nodes ?? 3,
    name: 'test',
    dir: join(folder, 'cluster'),
    tls: certificates.broker,
    definitions,
    ephemeral: true,
  })
  const down = async (): Promise<void> => {
    await cluster.down()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  return { cluster, urls: cluster.urls, definitions, down, ...certificates.clients }
}

/** One cluster for all tests of a file. */
export function withCluster(options: TestClusterOptions = {}): () => TestCluster {
  let running: TestCluster | undefined
  beforeAll(async () => {
    running = await startTestCluster(options)
  }, 180_000)
  afterAll(async () => {
    await running?.down()
  }, 60_000)
  return () => {
    if (running === undefined) throw new Error('the cluster has not started')
    return running
  }
}

function makeCertificates(folder: string, users: readonly TestUser[]) {
  const identities = makeAuthority(folder, 'identity-root')
  const brokers = makeAuthority(folder, 'broker-root')
  const server = makeLeaf(brokers, 'localhost', 'serverAuth', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  for (const user of users) makeLeaf(identities, user.name, 'clientAuth')
  return {
    broker: { clientCaFile: identities.cert, certFile: server.cert, keyFile: server.key },
    clients: clientFiles(folder, identities, brokers),
  }
}

function clientFiles(
  folder: string,
  identities: Authority,
  brokers: Authority,
): Pick<TestCluster, 'tls' | 'files' | 'addCertificate'> {
  const files = (user: string): { ca: string; cert: string; key: string } => ({
    ca: brokers.cert,
    cert: join(folder, `${user}.crt`),
    key: join(folder, `${user}.key`),
  })
  const tls = (user: string): ClientTls => {
    const { ca, cert, key } = files(user)
    return { ca: readFileSync(ca, 'utf8'), cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  }
  const addCertificate = (user: string): ClientTls => {
    makeLeaf(identities, user, 'clientAuth')
    return tls(user)
  }
  return { tls, files, addCertificate }
}

/** Ends clusters whose test process is gone without having ended them (it was killed). */
async function sweep(): Promise<void> {
  mkdirSync(tmpdir(), { recursive: true })
  for (const name of readdirSync(tmpdir()).filter(each => each.startsWith(PREFIX))) {
    const dir = join(tmpdir(), name, 'cluster')
    const owner = readState(dir)?.owner
    if (owner === undefined || isAlive(owner)) continue
    await openCluster(dir).down()
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}
