/** Erlang's port mapper of one cluster: started with it, on loopback. */

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SealbusError } from '../src/errors.js'
import type { ErlangContext } from './erlang.js'
import { livingProcess, startDetached } from './process.js'
import type { ClusterPaths, ClusterState } from './state.js'

const EPMD_LIMIT_MS = 5_000

/** Our own epmd, on loopback only and on our own port: node names of other clusters do not meet ours. */
export async function startEpmd(
  paths: ClusterPaths,
  state: ClusterState,
  { programs, env }: ErlangContext,
): Promise<void> {
  if (livingProcess(paths.epmdPid) !== undefined) return
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
