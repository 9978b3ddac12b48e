/** Sets up a cluster's folder: ports, cookie, TLS files, the definitions that a node boots with, the state file. */

import { randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { asError, SealbusError } from '../src/errors.js'
import { deployFolder } from './config.js'
import { type NodeNetwork, nodeNetwork } from './network.js'
import type { BrokerTls, ClusterOptions } from './options.js'
import { type ClusterPorts, MAX_NODES, reservePorts } from './ports.js'
import { ownProcess } from './process.js'
import { requireRabbitmq } from './rabbitmq.js'
import { type ClusterPaths, type ClusterState, writeState } from './state.js'

/** Makes the folder of a new cluster. @throws RangeError for a number of nodes that is none; SealbusError `configuration` */
export async function setUp(
  paths: ClusterPaths,
  name: string,
  options: ClusterOptions,
): Promise<ClusterState> {
  const count = options.nodes ?? 3
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
    throw new RangeError(`nodes must be an integer from 1 to ${MAX_NODES}, not ${count}`)
  }
  requireRabbitmq()
  mkdirSync(paths.home, { recursive: true })
  writeCookie(paths)
  copyTls(paths, options.tls)
  copyFileSync(join(deployFolder(), 'boot-definitions.json'), paths.bootDefinitions)
  const ports = await reservePorts(paths.dir, count, lastBlock(paths))
  const state = newState(name, ports, options)
  writeState(paths.dir, state)
  writeFileSync(join(paths.dir, 'ports'), String(ports.block))
  return state
}

function newState(name: string, ports: ClusterPorts, options: ClusterOptions): ClusterState {
  const place = (i: number): NodeNetwork | undefined =>
    options.network === undefined ? undefined : nodeNetwork(options.network, i + 1)
  return {
    version: 1,
    name,
    urls: ports.nodes.map((node, i) => `amqps://${place(i)?.clientAddress ?? '127.0.0.1'}:${node.amqps}`),
    portBlock: ports.block,
    epmdPort: ports.epmd,
    nodes: ports.nodes.map((node, i) => {
      const network = place(i)
      return {
        name: `rmq${i + 1}@${network?.nodeAddress ?? 'localhost'}`,
        port: node.amqps,
        distributionPort: node.distribution,
        ...(network === undefined ? {} : { network }),
      }
    }),
    ...(options.network === undefined ? {} : { network: options.network }),
    ...(options.pki === undefined ? {} : { pki: options.pki }),
    ...(options.ephemeral === true ? { owner: ownProcess() } : {}),
  }
}

/** Erlang refuses a cookie that others may read. */
function writeCookie(paths: ClusterPaths): void {
  const file = join(paths.home, '.erlang.cookie')
  rmSync(file, { force: true })
  writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o400 })
}

/** Copies the broker's TLS files into the folder, for the nodes alone. @throws SealbusError `configuration` */
export function copyTls(paths: ClusterPaths, tls: BrokerTls): void {
  mkdirSync(paths.tls, { recursive: true })
  copy(tls.clientCaFile, join(paths.tls, 'client-ca.crt'), 0o644)
  copy(tls.certFile, join(paths.tls, 'server.crt'), 0o644)
  copy(tls.keyFile, join(paths.tls, 'server.key'), 0o600)
}

function copy(from: string, to: string, mode: number): void {
  if (resolve(from) === to) return
  try {
    rmSync(to, { force: true })
    writeFileSync(to, readFileSync(from), { mode })
    chmodSync(to, mode)
  } catch (cause) {
    throw new SealbusError(
      'configuration',
      `cannot copy the broker's TLS file ${from}: ${asError(cause).message}`,
      { cause },
    )
  }
}

/** Ports of last time, so that configurations that name them stay right. */
function lastBlock(paths: ClusterPaths): number | undefined {
  const file = join(paths.dir, 'ports')
  const block = existsSync(file) ? Number(readFileSync(file, 'utf8')) : Number.NaN
  return Number.isInteger(block) ? block : undefined
}
