/** Sets up a cluster's folder and starts its nodes; opens one that runs already. */

import { mkdirSync } from 'node:fs'
import { withLock } from '../pki/lock.js'
import { SealbusError } from '../src/errors.js'
import type { Cluster } from './cluster.js'
import { clusterOf, keepLogs, launch } from './launch.js'
import type { ClusterOptions } from './options.js'
import { copyTls, setUp } from './set-up.js'
import { type ClusterPaths, type ClusterState, clusterPaths, defaultFolder, readState } from './state.js'

const ATTEMPTS = 3 // of finding ports that nobody takes before the nodes do
const LOCK_WAIT_MS = 180_000 // for another process that starts the same cluster

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

function checkName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,40}$/.test(name)) return name
  throw new RangeError(`a cluster's name is 1 to 40 letters, digits, - or _, not ${JSON.stringify(name)}`)
}
