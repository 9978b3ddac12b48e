/** Drives a cluster of real nodes on this machine: signals for processes, Erlang expressions for the rest. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, type ClusterNode, VHOST } from '../../cluster/index.js'
import type { ClusterDriver, QueueState } from './driver.js'

const HEAL_LIMIT_MS = 120_000
const MOVE_LIMIT_MS = 20_000
const POLL_MS = 200
const QUORUM_QUEUES = `Q <- rabbit_amqqueue:list(<<"${VHOST}">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue`

/** Name, leader, members and running members of each quorum queue, as lists. */
const QUEUE_STATES =
  '[begin {Ra, _} = amqqueue:get_pid(Q), {resource, _, queue, Name} = amqqueue:get_name(Q), ' +
  'Nodes = maps:get(nodes, amqqueue:get_type_state(Q)), ' +
  'Leader = case ra:members([{Ra, N} || N <- Nodes], 2000) of {ok, _, {_, L}} -> L; _ -> <<>> end, ' +
  'Online = [N || N <- Nodes, is_pid(rpc:call(N, erlang, whereis, [Ra], 2000))], ' +
  `[Name, Leader, Nodes, Online] end || ${QUORUM_QUEUES}]`

/** A driver of a cluster that {@link Cluster} stands for. */
export function localDriver(cluster: Cluster): ClusterDriver {
  const nodes = cluster.nodes.map(node => node.name)
  const at = (name: string): ClusterNode => cluster.node(name)
  const order = async (name: string, expression: string): Promise<void> => {
    await cluster.evaluate(`${expression}, <<"done">>`, at(name))
  }

  const queues = async (addresses?: readonly string[]): Promise<QueueState[]> => {
    const wanted =
      addresses && new Set(addresses.flatMap(address => [`inbox.${address}`, `parked.${address}`]))
    const rows = (await cluster.evaluate(QUEUE_STATES)) as [string, string, string[], string[]][]
    return rows
      .filter(([name]) => wanted?.has(name) ?? true)
      .map(([name, leader, members, online]) => ({ name, leader, members, online }))
  }

  const driver: ClusterDriver = {
    nodes,
    url: name => `amqps://localhost:${at(name).port}`,
    port: name => at(name).port,
    kill: name => down(at(name), 'kill'),
    terminate: name => down(at(name), 'stop'),
    start: name => at(name).start(),
    drain: name => order(name, 'ok = rabbit_maintenance:drain()'),
    revive: name => order(name, 'ok = rabbit_maintenance:revive()'),
    async listenOnly(wanted) {
      for (const name of nodes) {
        const word = wanted.includes(name) ? 'resume' : 'suspend'
        await order(name, `rabbit_maintenance:${word}_all_client_listeners()`)
        await until(
          async () => (await at(name).listens()) === wanted.includes(name),
          `${name}: listeners to ${word}`,
        )
      }
    },
    queues,
    async moveLeaders(name) {
      const move = `[catch rabbit_quorum_queue:transfer_leadership(Q, '${name}') || ${QUORUM_QUEUES}], <<"done">>`
      await until(async () => {
        if ((await queues()).every(queue => queue.leader === name)) return true
        await cluster.evaluate(move)
        return false
      }, `all leaders on ${name}`)
    },
    connections: async () =>
      (await cluster.evaluate('[node(P) || P <- rabbit_networking:connections()]')) as string[],
    closeConnections: reason => cluster.closeAllConnections(reason),
    async purge(addresses) {
      const names = addresses.flatMap(address => [`inbox.${address}`, `parked.${address}`])
      const list = names.map(name => `<<"${name}">>`).join(', ')
      await cluster.evaluate(
        `[catch rabbit_amqqueue:purge(Q) || ${QUORUM_QUEUES}, lists:member(element(4, amqqueue:get_name(Q)), [${list}])], <<"done">>`,
      )
    },
    async heal() {
      const revive = 'rabbit_maintenance:revive()'
      for (const name of nodes) {
        // n.b. in maintenance a node runs and does not listen: it would never seem started
        if (at(name).pid !== undefined) await order(name, revive).catch(() => undefined)
        await at(name).start()
        await order(name, revive)
      }
      await until(
        async () => whole(await cluster.runningNodes(), await queues(), nodes.length),
        'a whole cluster',
        HEAL_LIMIT_MS,
      )
    },
  }
  return driver
}

/** A queue declared while a node was away has fewer members for ever: that is no health either. */
function whole(running: readonly string[], queues: readonly QueueState[], nodes: number): boolean {
  const sound = (queue: QueueState): boolean =>
    queue.leader !== '' && queue.online.length >= Math.min(3, nodes)
  return running.length === nodes && queues.every(sound)
}

async function down(node: ClusterNode, how: 'kill' | 'stop'): Promise<void> {
  if (node.pid === undefined) throw new Error(`${node.name} was to be ended and does not run`)
  await node[how]()
}

async function until(
  holds: () => Promise<boolean>,
  what: string,
  limitMs: number = MOVE_LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  for (;;) {
    if (await holds()) return
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`)
    await sleep(POLL_MS)
  }
}
