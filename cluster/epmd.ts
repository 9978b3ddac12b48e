/** Erlang's port mapper of one cluster: started with it, on loopback. */

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'
import type { ErlangContext } from './erlang.js'
import { within } from './network.js'
import { livingProcess, startDetached } from './process.js'
import type { ClusterPaths, ClusterState } from './state.js'

const EPMD_LIMIT_MS = 5_000

/** One for the cluster; where nodes have namespaces of their own, one in each. */
interface Place {
  readonly address: string
  readonly pidFile: string
  readonly prefix: readonly string[]
}

/** Our own epmd, on loopback only and on our own port: node names of other clusters do not meet ours. */
export async function startEpmd(
  paths: ClusterPaths,
  state: ClusterState,
  context: ErlangContext,
): Promise<void> {
  for (const place of placesOf(paths, state)) await startOne(place, paths, state, context)
}

/** Where they write down their processes. */
export function epmdPidFiles(paths: ClusterPaths, state: ClusterState): string[] {
  return placesOf(paths, state).map(({ pidFile }) => pidFile)
}

function placesOf(paths: ClusterPaths, { nodes }: ClusterState): Place[] {
  const own = nodes.flatMap(({ network }) =>
    network === undefined
      ? []
      : [
          {
            address: network.nodeAddress,
            pidFile: `${paths.epmdPid}.${network.namespace}`,
            prefix: within(network),
          },
        ],
  )
  return own.length > 0 ? own : [{ address: '127.0.0.1', pidFile: paths.epmdPid, prefix: [] }]
}

async function startOne(
  { address, pidFile, prefix }: Place,
  paths: ClusterPaths,
  state: ClusterState,
  { programs, env }: ErlangContext,
): Promise<void> {
  if (livingProcess(pidFile) !== undefined) return
  const port = String(state.epmdPort)
  const [program, ...args] = [...prefix, programs.epmd, '-port', port, '-address', address]
  await startDetached(program, args, { env, cwd: paths.dir, logFile: paths.epmdLog, pidFile })
  if (prefix.length > 0) return // it cannot be reached from here; the nodes, which wait for each other, find it
  const deadline = Date.now() + EPMD_LIMIT_MS
  while (!(await accepts(state.epmdPort))) {
    if (livingProcess(pidFile) === undefined || Date.now() > deadline) {
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
