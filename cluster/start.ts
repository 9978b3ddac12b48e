/** Sets up a cluster's folder and starts its nodes; opens one that runs already. */

import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withLock } from '../pki/lock.js'
import { asError, SealbusError } from '../src/errors.js'
import { Cluster } from './cluster.js'
import { deployFolder } from './config.js'
import type { ErlangContext } from './erlang.js'
import { type ClusterPorts, MAX_NODES, releasePorts, reservePorts } from './ports.js'
import { livingProcess, ownProcess, startDetached } from './process.js'
import { requireRabbitmq } from './rabbitmq.js'
import {
  type ClusterPaths,
  type ClusterState,
  clusterPaths,
  defaultFolder,
  nodePaths,
  readState,
  writeState,
} from './state.js'

const ATTEMPTS = 3 // of finding ports that nobody takes before the nodes do
const EPMD_LIMIT_MS = 5_000
const LOCK_WAIT_MS = 180_000 // for another process that starts the same cluster

/** PEM files of the broker. */
export interface BrokerTls {
  /** Roots that client certificates are checked against. */
  readonly clientCaFile: string
  /** The broker's certificate for `localhost` and `127.0.0.1`, followed by its intermediates. */
  readonly certFile: string
  readonly keyFile: string
}

export interface ClusterOptions {
  /** How many nodes, 1 to 7. Default 3. */
  readonly nodes?: number
  /** Default `dev`. */
  readonly name?: string
  /** The cluster's folder. Default `.sealbus/clusters/NAME` below the current folder. */
  readonly dir?: string
  readonly tls: BrokerTls
  /** A definitions file to import once all nodes are there. */
  readonly definitions?: string
  /** The PKI folder, to be remembered in the state. */
  readonly pki?: string
  /** The cluster ends at the latest when this process ends in an orderly way. Default false. */
  readonly ephemeral?: boolean
  /** Hears a line for each step. */
  readonly onProgress?: (line: string) => void
}

/**
 * Starts a cluster, or the nodes that are down of one that exists in the folder.
 *
 * @throws {@link SealbusError} `configuration` or `timeout`, with the end of the log of the node that did not start
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const name = checkName(options.name ?? 'dev')
  const paths = clusterPaths(options.dir ?? defaultFolder(name))
  mkdirSync(paths.dir, { recursive: true })
  return await withLock(paths.lock, () => startUnderLock(paths, name, options), LOCK_WAIT_MS)
}

async function startUnderLock(paths: ClusterPaths, name: string, options: ClusterOptions): Promise<Cluster> {
  const existing = readState(paths.dir)
  if (existing !== undefined) return await revive(paths, existing, options)
  for (let attempt = 1; ; attempt++) {
    const state = await setUp(paths, name, options)
    try {
      return await launch(paths, state, options)
    } catch (error) {
      const portTaken = clusterOf(paths, state).nodes.some(node => node.logTail(200).includes('eaddrinuse'))
      keepLogs(paths, state)
      await clusterOf(paths, state).down()
      if (!portTaken || attempt === ATTEMPTS) throw error
      options.onProgress?.('somebody took one of the ports first; trying others')
    }
  }
}

/**
 * A cluster that was set up before, whether its nodes run or not.
 *
 * @param dir - the cluster's folder
 * @throws {@link SealbusError} `configuration` when there is none
 */
export function openCluster(dir: string): Cluster {
  const paths = clusterPaths(dir)
  const state = readState(paths.dir)
  if (state === undefined) {
    throw new SealbusError(
      'configuration',
      `no cluster in ${paths.dir}: start one with sealbus cluster up, or name its folder with --dir`,
    )
  }
  return clusterOf(paths, state)
}

/** Imports a definitions file unless the very same was imported last. @returns whether it was imported */
export async function syncDefinitions(cluster: Cluster, file: string): Promise<boolean> {
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex')
  const state = readState(cluster.dir)
  if (state === undefined || state.definitions === digest) return false
  await cluster.importDefinitions(file)
  writeState(cluster.dir, { ...state, definitions: digest })
  return true
}

async function revive(paths: ClusterPaths, state: ClusterState, options: ClusterOptions): Promise<Cluster> {
  const wanted = options.nodes ?? state.nodes.length
  if (wanted !== state.nodes.length) {
    throw new SealbusError(
      'configuration',
      `the cluster in ${paths.dir} has ${state.nodes.length} nodes, ${wanted} were asked for: end it first (sealbus cluster down), or choose another --name`,
    )
  }
  copyTls(paths, options.tls)
  return await launch(paths, state, options)
}

async function setUp(paths: ClusterPaths, name: string, options: ClusterOptions): Promise<ClusterState> {
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
  return {
    version: 1,
    name,
    urls: ports.nodes.map(node => `amqps://127.0.0.1:${node.amqps}`),
    portBlock: ports.block,
    epmdPort: ports.epmd,
    nodes: ports.nodes.map((node, i) => ({
      name: `rmq${i + 1}@localhost`,
      port: node.amqps,
      distributionPort: node.distribution,
    })),
    ...(options.pki === undefined ? {} : { pki: options.pki }),
    ...(options.ephemeral === true ? { owner: ownProcess() } : {}),
  }
}

/** All nodes at once: since 3.8.18 they settle by a lock of their own who forms the cluster and who joins. */
async function launch(paths: ClusterPaths, state: ClusterState, options: ClusterOptions): Promise<Cluster> {
  const progress = options.onProgress ?? ((): void => undefined)
  const cluster = clusterOf(paths, state)
  if (options.ephemeral === true) endWithProcess(paths, state)
  const down = cluster.nodes.filter(node => node.pid === undefined)
  await startEpmd(paths, state)
  await Promise.all(
    down.map(async node => {
      node.prepare(paths, state)
      await node.launch()
      progress(`${node.name} starts (process ${node.pid ?? 0}, port ${node.port})`)
    }),
  )
  if (down.length > 0) progress('waiting until they have found each other; 10 to 30 seconds are usual')
  await Promise.all(
    down.map(async node => {
      await node.waitUntilReady()
      progress(`${node.name} listens on ${node.url}`)
    }),
  )
  await waitUntilJoined(cluster)
  if (options.definitions !== undefined && (await syncDefinitions(cluster, options.definitions)))
    progress('definitions imported')
  return cluster
}

async function waitUntilJoined(cluster: Cluster): Promise<void> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const running = await cluster.runningNodes()
    if (running.length === cluster.nodes.length) return
    if (Date.now() > deadline) {
      throw new SealbusError(
        'timeout',
        `only ${running.join(', ')} of ${cluster.nodes.length} nodes found each other within 30 s`,
      )
    }
    await sleep(200)
  }
}

/** Our own epmd, on loopback only and on our own port: node names of other clusters do not meet ours. */
async function startEpmd(paths: ClusterPaths, state: ClusterState): Promise<void> {
  if (livingProcess(paths.epmdPid) !== undefined) return
  const { programs, env } = contextOf(paths, state)
  const args = ['-port', String(state.epmdPort), '-address', '127.0.0.1']
  await startDetached(programs.epmd, args, {
    env,
    cwd: paths.dir,
    logFile: paths.epmdLog,
    pidFile: paths.epmdPid,
  })
  const deadline = Date.now() + EPMD_LIMIT_MS
  while (!(await accepts(state.epmdPort))) {
    if (livingProcess(paths.epmdPid) === undefined || Date.now() > deadline) {
      throw new SealbusError(
        'configuration',
        `epmd does not listen on 127.0.0.1:${state.epmdPort} (eaddrinuse?); see ${paths.epmdLog}`,
      )
    }
    await sleep(20)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    const done = (open: boolean) => () => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', done(true)).once('error', done(false))
  })
}

function clusterOf(paths: ClusterPaths, state: ClusterState): Cluster {
  return new Cluster(paths.dir, state, contextOf(paths, state))
}

/** Nothing of the user's own RabbitMQ or Erlang settings gets through. */
function contextOf(paths: ClusterPaths, state: ClusterState): ErlangContext {
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: paths.home,
    LANG: 'C.UTF-8',
    ERL_EPMD_PORT: String(state.epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP_SECONDS: '0',
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CTL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none',
    RABBITMQ_CTL_DIST_PORT_MIN: '35000',
    RABBITMQ_CTL_DIST_PORT_MAX: '39000',
  }
  return { programs: requireRabbitmq(), env }
}

/** Erlang refuses a cookie that others may read. */
function writeCookie(paths: ClusterPaths): void {
  const file = join(paths.home, '.erlang.cookie')
  rmSync(file, { force: true })
  writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o400 })
}

function copyTls(paths: ClusterPaths, tls: BrokerTls): void {
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

/** What the nodes logged outlives their data when they did not start. */
function keepLogs(paths: ClusterPaths, state: ClusterState): void {
  const kept = join(paths.dir, 'failed')
  rmSync(kept, { recursive: true, force: true })
  mkdirSync(kept)
  for (const node of clusterOf(paths, state).nodes)
    writeFileSync(join(kept, `${node.name}.log`), node.logTail(1_000))
}

function endWithProcess(paths: ClusterPaths, state: ClusterState): void {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    // A signal that nobody handles ends the process without its exit event.
    if (process.listenerCount(name) === 0) process.once(name, () => process.exit(1))
  }
  process.once('exit', () => {
    const pidFiles = [...state.nodes.map(node => nodePaths(paths, node).pid), paths.epmdPid]
    for (const id of pidFiles.map(livingProcess)) {
      if (id !== undefined) process.kill(id.pid, 'SIGKILL')
    }
    releasePorts(state.portBlock)
    rmSync(paths.stateFile, { force: true })
  })
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,40}$/.test(name)) return name
  throw new RangeError(`a cluster's name is 1 to 40 letters, digits, - or _, not ${JSON.stringify(name)}`)
}
