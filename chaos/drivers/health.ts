/** When a cluster is whole again. */
import type { QueueState } from './actions.js'
import { ask, type Shell } from './erlang.js'
import { queueStates } from './topology.js'
import { until } from './waiting.js'

const LIMIT_MS = 120_000

/** Waits until all nodes run, and every queue has a leader and its members. @throws Error when that does not come */
export async function untilWhole(shell: Shell, vhost: string): Promise<void> {
  await until(
    async () => {
      try {
        const running = (await ask(shell, 'rabbit_nodes:all_running()')) as string[]
        return whole(running, await queueStates(shell, vhost), shell.nodes.length)
      } catch {
        return false // what does not answer is not whole
      }
    },
    'a whole cluster',
    LIMIT_MS,
  )
}

/** A queue declared while a node was away has fewer members for ever: that is no health either. */
function whole(running: readonly string[], queues: readonly QueueState[], nodes: number): boolean {
  const sound = (queue: QueueState): boolean =>
    queue.leader !== '' && queue.online.length >= Math.min(3, nodes)
  return running.length === nodes && queues.every(sound)
}
