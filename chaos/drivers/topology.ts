/** What an operator can do to queues, exchanges, bindings and policies; and looking at queues. */
import type { Actions, QueueState, Scalar } from './actions.js'
import { ACTOR, ask, order, resource, type Shell, text } from './erlang.js'
import type { Provisioned } from './provisioned.js'

/** Above every policy that somebody wrote. */
const PRIORITY = 1_000

type Topology = Pick<
  Actions,
  | 'deleteQueue'
  | 'replaceQueue'
  | 'deleteExchange'
  | 'unbind'
  | 'setPolicy'
  | 'clearPolicy'
  | 'queues'
  | 'purge'
>

export function topologyActions(shell: Shell, vhost: string, provisioned: Provisioned): Topology {
  const queue = (name: string): string => resource(vhost, 'queue', name)
  const exchange = (name: string): string => resource(vhost, 'exchange', name)
  return {
    async deleteQueue(name) {
      await provisioned.remember()
      await order(shell, deletion(queue(name)))
    },
    async replaceQueue(name, args) {
      await provisioned.remember(name)
      await order(shell, replacement(queue(name), table(args)))
    },
    async deleteExchange(name) {
      await provisioned.remember()
      await order(
        shell,
        `case rabbit_exchange:delete(${exchange(name)}, false, ${ACTOR}) of ok -> ok; {error, not_found} -> ok end`,
      )
    },
    async unbind(from, to) {
      await provisioned.remember()
      const found = `rabbit_binding:list_for_source_and_destination(${exchange(from)}, ${queue(to)})`
      await order(shell, `[ok = rabbit_binding:remove(B, ${ACTOR}) || B <- ${found}]`)
    },
    async setPolicy(name, { pattern, definition }) {
      const json = text(JSON.stringify(definition))
      const set = `rabbit_policy:parse_set_op(${text(vhost)}, ${text(name)}, ${text(pattern)}, ${json}, ${PRIORITY}, <<"queues">>, ${ACTOR})`
      await order(shell, `ok = ${set}`)
    },
    async clearPolicy(name) {
      const known = `lists:any(fun(P) -> rabbit_misc:pget(name, P) =:= ${text(name)} end, rabbit_policy:list_op(${text(vhost)}))`
      const clear = `rabbit_policy:delete_op(${text(vhost)}, ${text(name)}, ${ACTOR})`
      await order(shell, `case ${known} of true -> ok = ${clear}; false -> ok end`)
    },
    queues: addresses => queueStates(shell, vhost, addresses),
    async purge(addresses) {
      const list = inboxes(addresses).map(text).join(', ')
      const wanted = `lists:member(element(4, amqqueue:get_name(Q)), [${list}])`
      await order(
        shell,
        `[catch rabbit_amqqueue:purge(Q) || Q <- rabbit_amqqueue:list(${text(vhost)}), ${wanted}]`,
      )
    },
  }
}

/** Ends every policy of ours, also of a run that was killed. */
export function withoutPolicies(vhost: string): string {
  const ours = `P <- rabbit_policy:list_op(${text(vhost)}), rabbit_misc:pget(priority, P) =:= ${PRIORITY}`
  return `[ok = rabbit_policy:delete_op(${text(vhost)}, rabbit_misc:pget(name, P), ${ACTOR}) || ${ours}]`
}

/** Name, leader, members and running members of the quorum queues. */
export async function queueStates(
  shell: Shell,
  vhost: string,
  addresses?: readonly string[],
): Promise<QueueState[]> {
  const wanted = addresses && new Set(inboxes(addresses))
  const rows = (await ask(shell, queueStatesExpression(vhost))) as [string, string, string[], string[]][]
  return rows
    .filter(([name]) => wanted?.has(name) ?? true)
    .map(([name, leader, members, online]) => ({ name, leader, members, online }))
}

/** n.b. who is frozen is found out once, not by a time limit for each queue. */
function queueStatesExpression(vhost: string): string {
  return (
    'Alive = [N || N <- rabbit_nodes:all_running(), rpc:call(N, erlang, node, [], 1000) =:= N], ' +
    '[begin {Ra, _} = amqqueue:get_pid(Q), {resource, _, queue, Name} = amqqueue:get_name(Q), ' +
    'Nodes = maps:get(nodes, amqqueue:get_type_state(Q)), ' +
    'Online = [N || N <- Nodes, lists:member(N, Alive), is_pid(rpc:call(N, erlang, whereis, [Ra], 2000))], ' +
    'Leader = case Online =/= [] andalso ra:members([{Ra, N} || N <- Online], 2000) of {ok, _, {_, L}} -> L; _ -> <<>> end, ' +
    `[Name, Leader, Nodes, Online] end || Q <- rabbit_amqqueue:list(${text(vhost)}), amqqueue:get_type(Q) =:= rabbit_quorum_queue]`
  )
}

function inboxes(addresses: readonly string[]): string[] {
  return addresses.flatMap(address => [`inbox.${address}`, `parked.${address}`])
}

function deletion(name: string): string {
  const remove = `{ok, _} = rabbit_amqqueue:delete(Q, false, false, ${ACTOR})`
  return `case rabbit_amqqueue:lookup(${name}) of {ok, Q} -> ${remove}; {error, not_found} -> ok end`
}

/** Deleted and declared at once, its bindings kept: only the arguments differ. */
function replacement(name: string, args: string): string {
  const bindings = `Bindings = [B || B <- rabbit_binding:list_for_destination(${name}), element(2, B) =/= rabbit_misc:r(element(2, element(4, B)), exchange, <<>>)]`
  const declare = `{new, _} = rabbit_amqqueue:declare(${name}, true, false, ${args}, none, ${ACTOR})`
  return `${bindings}, ${deletion(name)}, ${declare}, [ok = rabbit_binding:add(B, ${ACTOR}) || B <- Bindings]`
}

/** An AMQP table. */
function table(args: Readonly<Record<string, Scalar>>): string {
  const value = (given: Scalar): string => {
    if (typeof given === 'string') return `longstr, ${text(given)}`
    if (typeof given === 'boolean') return `bool, ${given}`
    return Number.isInteger(given) ? `long, ${given}` : `double, ${given}`
  }
  return `[${Object.entries(args)
    .map(([key, given]) => `{${text(key)}, ${value(given)}}`)
    .join(', ')}]`
}
