/**
 * Server certificates of the broker's nodes, from the broker's own root. `cluster up` asks for one; an operator takes
 * one for each node.
 */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { SealbusError } from '../src/errors.js'
import { readAuthorityCertificate } from './authority.js'
import { generateIdentityKey, issueCertificate } from './certificate.js'
import { buildFolder, PRIVATE_FILE, readIfThere, writeNew } from './files.js'
import { checkAddress } from './names.js'
import type { Pki } from './pki.js'
import { PROFILES } from './profiles.js'

/** Every server certificate names these: nodes are reached on their own machine, too. */
const LOCAL_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '::1']
/** One that ends sooner is replaced. */
const RENEW_BEFORE_MS: number = 30 * 24 * 3600 * 1000
const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*\.?|[0-9a-fA-F:.]+)$/

export interface BrokerCertificateOptions {
  /** The node's name, which is the folder's. */
  readonly name: string
  /** Host names and addresses besides localhost, 127.0.0.1 and ::1. */
  readonly hosts?: readonly string[]
}

/** PEM files for the broker's configuration, in D/broker/nodes/NAME. */
export interface BrokerCertificate {
  readonly certFile: string
  readonly keyFile: string
  /** The root that clients' certificates are checked against. */
  readonly clientCaFile: string
  /** False: the one that was there is still good. */
  readonly issued: boolean
}

/** A server certificate for one node. @throws SealbusError `configuration` for a bad name or host; `identity` */
export async function issueBrokerCertificate(
  pki: Pki,
  options: BrokerCertificateOptions,
): Promise<BrokerCertificate> {
  const name = checkAddress(options.name)
  const hosts = [...new Set([...LOCAL_HOSTS, ...(options.hosts ?? []).map(checkHost)])]
  const folder = join(pki.layout.nodes, name)
  const files = {
    certFile: join(folder, 'server.crt'),
    keyFile: join(folder, 'server.key'),
    clientCaFile: pki.layout.identityRoot,
  }
  return pki.exclusively(() => {
    if (isGood(pki, files.certFile, hosts)) return { ...files, issued: false }
    issue(pki, folder, name, hosts)
    return { ...files, issued: true }
  })
}

function checkHost(host: string): string {
  if (host.length <= 253 && HOST.test(host)) return host.toLowerCase()
  throw new SealbusError(
    'configuration',
    `host: expected a host name or an IP address, got ${JSON.stringify(host.slice(0, 100))}`,
  )
}

function isGood(pki: Pki, path: string, hosts: readonly string[]): boolean {
  const pem = readIfThere(path)
  if (pem === undefined) return false
  const certificate = new X509Certificate(pem)
  const root = readAuthorityCertificate(pki.layout.dir, 'brokerRoot')
  const names = (host: string): boolean =>
    (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined
  return (
    Date.parse(certificate.validTo) - pki.now() > RENEW_BEFORE_MS &&
    certificate.verify(root.publicKey) &&
    hosts.every(names)
  )
}

function issue(pki: Pki, folder: string, name: string, hosts: readonly string[]): void {
  const { publicKey, privateKey } = generateIdentityKey()
  const request = {
    profile: PROFILES.brokerServer,
    subject: { commonName: name },
    publicKey,
    hosts,
    nowMs: pki.now(),
  }
  const certificate = issueCertificate(request, pki.authority('brokerRoot'))
  buildFolder(folder, pki.layout.workshop, draft => {
    writeNew(join(draft, 'server.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), PRIVATE_FILE)
    writeNew(join(draft, 'server.crt'), certificate.toString())
  })
}
