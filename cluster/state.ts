/** The folder of a cluster, and the state file in it by which other processes find it. */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SealbusError } from '../src/errors.js'
import type { NetworkNumber, NodeNetwork } from './network.js'
import type { ProcessId } from './process.js'

/** What `cluster.json` holds. Process ids are not in it: each has a pid file beside its node's data. */
export interface ClusterState {
  readonly version: 1
  readonly name: string
  /** For clients, e.g. `amqps://127.0.0.1:20001`. */
  readonly urls: readonly string[]
  readonly portBlock: number
  readonly epmdPort: number
  readonly nodes: readonly NodeState[]
  /** The PKI folder whose devices the cluster lets in, where there is one. */
  readonly pki?: string
  /** Set where each node has a network namespace of its own. */
  readonly network?: NetworkNumber
  /** SHA-256 of the definitions imported last, in hex. */
  readonly definitions?: string
  /** Set for clusters that must not outlive the process that started them. */
  readonly owner?: ProcessId
}

/** One node, as configured. */
export interface NodeState {
  /** Erlang name, e.g. `rmq1@localhost`. */
  readonly name: string
  readonly port: number
  readonly distributionPort: number
  /** Set where the node has a network namespace of its own. */
  readonly network?: NodeNetwork
}

/** Absolute paths inside a cluster's folder. */
export interface ClusterPaths {
  readonly dir: string
  readonly stateFile: string
  /** Held while nodes are started. */
  readonly lock: string
  /** HOME of all nodes: it holds the Erlang cookie. */
  readonly home: string
  readonly tls: string
  readonly bootDefinitions: string
  readonly epmdPid: string
  readonly epmdLog: string
}

/** Absolute paths of one node. */
export interface NodePaths {
  readonly dir: string
  readonly config: string
  readonly plugins: string
  readonly log: string
  readonly output: string
  readonly pid: string
}

/** Where a cluster called `name` lives unless a folder is given: below the current folder. */
export function defaultFolder(name: string): string {
  return resolve('.sealbus', 'clusters', name)
}

export function clusterPaths(folder: string): ClusterPaths {
  const dir = resolve(folder)
  return {
    dir,
    stateFile: join(dir, 'cluster.json'),
    lock: join(dir, '.lock'),
    home: join(dir, 'home'),
    tls: join(dir, 'tls'),
    bootDefinitions: join(dir, 'boot-definitions.json'),
    epmdPid: join(dir, 'epmd.pid'),
    epmdLog: join(dir, 'epmd.log'),
  }
}

export function nodePaths(paths: ClusterPaths, node: NodeState): NodePaths {
  const dir = join(paths.dir, 'nodes', shortName(node.name))
  return {
    dir,
    config: join(dir, 'rabbitmq.conf'),
    plugins: join(dir, 'enabled_plugins'),
    log: join(dir, 'log'),
    output: join(dir, 'output.log'),
    pid: join(dir, 'beam.pid'),
  }
}

/** `rmq1` of `rmq1@localhost`. */
export function shortName(name: string): string {
  return name.split('@')[0] ?? name
}

/** The state, or undefined when no cluster was set up in this folder. */
export function readState(folder: string): ClusterState | undefined {
  const file = clusterPaths(folder).stateFile
  if (!existsSync(file)) return undefined
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as Partial<ClusterState>
    if (state.version === 1 && Array.isArray(state.nodes)) return state as ClusterState
  } catch {
    // as below
  }
  throw new SealbusError(
    'configuration',
    `${file} is not a cluster's state of version 1: delete the folder ${folder} and start anew`,
  )
}

/** Written beside and renamed: who reads meanwhile sees the old or the new state. */
export function writeState(folder: string, state: ClusterState): void {
  const { dir, stateFile } = clusterPaths(folder)
  mkdirSync(dir, { recursive: true })
  const fresh = `${stateFile}.${randomBytes(4).toString('hex')}`
  writeFileSync(fresh, `${JSON.stringify(state, null, 2)}\n`)
  renameSync(fresh, stateFile)
}
