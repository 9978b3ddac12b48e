/** An operator's orders to nodes: maintenance, listeners, leaders, connections. */
import type { Actions, QueueState } from './actions.js'
import { ACTOR, answering, ask, order, type Shell, text } from './erlang.js'
import { queueStates } from './topology.js'
import { until } from './waiting.js'

/** Ranch references of a node's listeners for clients. */
const LISTENERS =
  '[R || {_, N, P, _, Ip, Port, _} <- rabbit_networking:node_client_listeners(node()), N =:= node(), ' +
  "lists:member(P, [amqp, 'amqp/ssl']), R <- [rabbit_networking:ranch_ref(Ip, Port)]]"

type Maintenance = Pick<
  Actions,
  'drain' | 'revive' | 'listenOnly' | 'moveLeaders' | 'closeConnections' | 'connections' | 'limitConnections'
>

/** @param vhost - whose queues' leaders are moved */
export function maintenanceActions(shell: Shell, vhost: string): Maintenance {
  return {
    drain: node => order(shell, 'ok = rabbit_maintenance:drain()', node),
    revive: node => order(shell, 'ok = rabbit_maintenance:revive()', node),
    async listenOnly(wanted) {
      for (const node of shell.nodes) await listening(shell, node, wanted.includes(node))
    },
    async moveLeaders(node) {
      const quorum = `Q <- rabbit_amqqueue:list(<<"${vhost}">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue`
      const move = `[catch rabbit_quorum_queue:transfer_leadership(Q, '${node}') || ${quorum}]`
      await until(async () => {
        const away = (await queueStates(shell, vhost)).filter((queue: QueueState) => queue.leader !== node)
        if (away.length > 0) await order(shell, move)
        return away.length === 0
      }, `all leaders on ${node}`)
    },
    connections: async () =>
      (await ask(shell, '[node(P) || P <- rabbit_networking:connections()]')) as string[],
    async closeConnections(reason) {
      const close = `rabbit_networking:close_connection(P, <<${[...Buffer.from(reason)].join(',')}>>)`
      return Number(await ask(shell, `L = rabbit_networking:connections(), [${close} || P <- L], length(L)`))
    },
    limitConnections: limit => limited(shell, vhost, limit),
  }
}

async function listening(shell: Shell, node: string, wanted: boolean): Promise<void> {
  const word = wanted ? 'resume' : 'suspend'
  await order(shell, `rabbit_maintenance:${word}_all_client_listeners()`, node)
  const status = wanted ? 'running' : 'suspended'
  await until(
    async () =>
      (await shell.evaluate(
        `lists:all(fun(R) -> ranch:get_status(R) =:= ${status} end, ${LISTENERS})`,
        node,
      )) === true,
    `${node}: listeners to ${word}`,
  )
}

/**
 * n.b. a node counts for itself in later versions only; what holds in all of them, and to the connection, is the limit of the
 * vhost: as many for the cluster as all its nodes may have together. What is beyond it is refused (530).
 */
async function limited(shell: Shell, vhost: string, limit: number | undefined): Promise<void> {
  const environment = `application:set_env(rabbit, connection_max, ${limit ?? 'infinity'})`
  for (const node of answering(shell)) await order(shell, environment, node)
  const total = `[{<<"max-connections">>, ${(limit ?? 0) * shell.nodes.length}}]`
  const change =
    limit === undefined
      ? `rabbit_vhost_limit:clear(${text(vhost)}, ${ACTOR})`
      : `ok = rabbit_vhost_limit:set(${text(vhost)}, ${total}, ${ACTOR})`
  await order(shell, change)
}
