/** Starts the nodes of a cluster whose folder is set up, and waits until they are one cluster. */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'
import { Cluster } from './cluster.js'
import { epmdPidFiles, startEpmd } from './epmd.js'
import type { ErlangContext } from './erlang.js'
import { makeNetwork, removeNetwork, within } from './network.js'
import type { ClusterOptions } from './options.js'
import { releasePorts } from './ports.js'
import { livingProcess } from './process.js'
import { requireRabbitmq } from './rabbitmq.js'
import { type ClusterPaths, type ClusterState, nodePaths, readState, writeState } from './state.js'

/** All nodes at once: since 3.8.18 they settle by a lock of their own who forms the cluster and who joins. */
export async function launch(
  paths: ClusterPaths,
  state: ClusterState,
  options: ClusterOptions,
): Promise<Cluster> {
  const progress = options.onProgress ?? ((): void => undefined)
  const cluster = clusterOf(paths, state)
  if (options.ephemeral === true) endWithProcess(paths, state)
  const down = cluster.nodes.filter(node => node.pid === undefined)
  if (state.network !== undefined) makeNetwork(state.network, state.nodes.length)
  await startEpmd(paths, state, contextOf(paths, state))
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

/** Imports a definitions file unless the very same was imported last. @returns whether it was imported */
export async function syncDefinitions(cluster: Cluster, file: string): Promise<boolean> {
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex')
  const state = readState(cluster.dir)
  if (state === undefined || state.definitions === digest) return false
  await cluster.importDefinitions(file)
  writeState(cluster.dir, { ...state, definitions: digest })
  return true
}

/** What the nodes logged outlives their data when they did not start. */
export function keepLogs(paths: ClusterPaths, state: ClusterState): void {
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
    const pidFiles = [...state.nodes.map(node => nodePaths(paths, node).pid), ...epmdPidFiles(paths, state)]
    for (const id of pidFiles.map(livingProcess)) {
      if (id !== undefined) process.kill(id.pid, 'SIGKILL')
    }
    if (state.network !== undefined) removeNetwork(state.network, state.nodes.length)
    releasePorts(state.portBlock)
    rmSync(paths.stateFile, { force: true })
  })
}

/** The cluster of a folder, whether its nodes run or not. */
export function clusterOf(paths: ClusterPaths, state: ClusterState): Cluster {
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
  const networks = new Map(state.nodes.map(({ name, network }) => [name, network]))
  return { programs: requireRabbitmq(), env, prefix: node => within(networks.get(node)) }
}
