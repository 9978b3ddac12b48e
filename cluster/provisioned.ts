/** A cluster for the devices of a PKI folder: server certificate, definitions, users, and the URLs back to the devices. */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  type BrokerCertificate,
  initPki,
  issueBrokerCertificate,
  layoutOf,
  openPki,
  setBrokers,
} from '../pki/index.js'
import { isSealbusError, SealbusError } from '../src/errors.js'
import type { Cluster } from './cluster.js'
import type { ClusterOptions } from './options.js'
import { startCluster } from './start.js'
import { clusterPaths, defaultFolder, readState } from './state.js'

/** The server certificate's folder in the PKI. All nodes are on this machine, so one certificate serves them. */
const CERTIFICATE = 'loopback'

export interface ProvisionedClusterOptions extends Omit<ClusterOptions, 'tls' | 'definitions' | 'pki'> {
  /** The folder made by `sealbus pki init`. */
  readonly pki: string
  /** Asked for only when a server certificate has to be issued. */
  readonly passphrase: () => Promise<string>
}

/**
 * Starts a cluster that lets in exactly the devices of a PKI folder, or brings a running one up to date: definitions
 * are imported when they have changed, users that are no longer in them are deleted, and each device's `config.json`
 * names the cluster's URLs.
 *
 * @throws SealbusError `configuration`, `identity` (wrong passphrase), `timeout`
 */
export async function startProvisionedCluster(options: ProvisionedClusterOptions): Promise<Cluster> {
  const { passphrase, ...rest } = options
  const dir = resolve(options.pki)
  const folder = clusterPaths(options.dir ?? defaultFolder(options.name ?? 'dev')).dir
  refuseOtherPki(folder, dir)
  const tls = await serverCertificate(dir, passphrase)
  const { definitions } = layoutOf(dir)
  const cluster = await startCluster({ ...rest, dir: folder, pki: dir, tls, definitions })
  await deleteFormerUsers(cluster, definitions, options.onProgress)
  const changed = await setBrokers(openPki({ dir }), cluster.urls)
  if (changed > 0) options.onProgress?.(`broker URLs written to ${changed} files below ${dir}`)
  return cluster
}

/** A domain of its own for a cluster that is started without one. @returns its folder and its passphrase's file */
export async function ownPki(folder: string): Promise<{ pki: string; passphraseFile: string }> {
  const pki = join(resolve(folder), 'pki')
  const passphraseFile = join(resolve(folder), 'pki-passphrase')
  mkdirSync(folder, { recursive: true })
  if (!existsSync(passphraseFile))
    writeFileSync(passphraseFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 })
  const passphrase = readFileSync(passphraseFile, 'utf8').trim()
  await initPki({ dir: pki, domain: 'dev', passphrase })
  return { pki, passphraseFile }
}

function refuseOtherPki(folder: string, pki: string): void {
  const other = readState(folder)?.pki
  if (other === undefined || other === pki) return
  throw new SealbusError(
    'configuration',
    `the cluster in ${folder} belongs to the PKI folder ${other}, not to ${pki}: end it first (sealbus cluster down), or choose another --name`,
  )
}

/** Without the passphrase where the certificate of last time is still good. */
async function serverCertificate(dir: string, passphrase: () => Promise<string>): Promise<BrokerCertificate> {
  try {
    return await issueBrokerCertificate(openPki({ dir }), { name: CERTIFICATE })
  } catch (error) {
    if (!isSealbusError(error, 'identity')) throw error
  }
  return await issueBrokerCertificate(openPki({ dir, passphrase: await passphrase() }), { name: CERTIFICATE })
}

/** An import adds and changes but deletes nobody, and a busy channel outlives its permissions; deleting the user cuts it. */
async function deleteFormerUsers(
  cluster: Cluster,
  definitions: string,
  onProgress?: (line: string) => void,
): Promise<void> {
  const { users = [], permissions = [] } = JSON.parse(readFileSync(definitions, 'utf8')) as Definitions
  const cut = new Set(permissions.filter(mayNothing).map(row => row.user))
  const wanted = new Set(users.map(user => user.name).filter(name => !cut.has(name)))
  for (const user of await cluster.users()) {
    if (wanted.has(user)) continue
    await cluster.deleteUser(user)
    onProgress?.(`${user} is revoked or no longer in the definitions: deleted, its connections are closed`)
  }
}

/** The part of a definitions file that says who gets in. */
interface Definitions {
  readonly users?: readonly { readonly name: string }[]
  readonly permissions?: readonly Permission[]
}

interface Permission {
  readonly user: string
  readonly configure: string
  readonly write: string
  readonly read: string
}

/** A revoked device's row: expressions that match the empty name only. */
function mayNothing({ configure, write, read }: Permission): boolean {
  return [configure, write, read].every(expression => expression === '^$')
}
