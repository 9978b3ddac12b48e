/** Drives a cluster of real nodes on this machine: signals for processes, Erlang expressions for the rest. */
import type { Cluster, ClusterNode } from '../../cluster/index.js'
import { VHOST } from '../../cluster/index.js'
import type { BrokerTls } from '../../cluster/options.js'
import type { Actions } from './actions.js'
import { disconnected, reconnected } from './distribution.js'
import type { ClusterDriver, Driver } from './driver.js'
import { order, type Shell } from './erlang.js'
import { untilWhole } from './health.js'
import { type OperatorActions, operatorActions } from './operator.js'
import { withoutPolicies } from './topology.js'
import { until } from './waiting.js'

const FREEZE_LIMIT_MS = 2_000

/** What a driver of local nodes cannot find out by itself. */
export interface LocalOptions {
  /** Issues a server certificate: one that has expired, or a good one. Without it there is no `replaceCertificates`. */
  readonly certificate?: (which: 'expired' | 'valid') => Promise<BrokerTls>
  /** Gives a device's folder a new certificate and key. Without it there is no `renewIdentity`. */
  readonly renew?: (address: string) => Promise<void>
  /** Other means of partitioning; default: the nodes refuse each other (drivers/distribution.ts). */
  readonly network?: Pick<Actions, 'partition' | 'healPartition'>
}

/** What runs on this machine can do all of it, but for certificates whose authority is locked. */
export type LocalActions = OperatorActions &
  Omit<Actions, keyof OperatorActions | 'replaceCertificates' | 'renewIdentity'> &
  Partial<Pick<Actions, 'replaceCertificates' | 'renewIdentity'>>

/** Both seams: scenario files ask for actions, the first scenarios for methods. */
export type LocalDriver = Driver & ClusterDriver & { readonly actions: LocalActions }

/** A driver of a cluster that {@link Cluster} stands for. */
export function localDriver(cluster: Cluster, options: LocalOptions = {}): LocalDriver {
  const nodes = cluster.nodes.map(node => node.name)
  const at = (name: string): ClusterNode => cluster.node(name)
  const shell: Shell = {
    nodes,
    evaluate: (expression, name) => cluster.evaluate(expression, at(name)),
    answers: name => at(name).pid !== undefined && !at(name).isPaused,
  }
  const network = options.network ?? {
    partition: groups => disconnected(shell, groups),
    healPartition: () => reconnected(shell),
  }
  const actions: LocalActions = {
    ...operatorActions(shell),
    ...processActions(at),
    ...network,
    ...certificateActions(cluster, options),
    ...(options.renew === undefined ? {} : { renewIdentity: options.renew }),
  }
  const heal = (): Promise<void> => healed(cluster, shell, actions)
  return {
    kind: 'local',
    nodes,
    url: name => at(name).url.replace('127.0.0.1', 'localhost'),
    port: name => at(name).port,
    version: async () => `rabbitmq ${await cluster.version()}`,
    actions,
    ...actions,
    heal,
  }
}

function processActions(
  at: (name: string) => ClusterNode,
): Pick<Actions, 'kill' | 'terminate' | 'start' | 'pause' | 'resume'> {
  return {
    kill: name => down(at(name), 'kill'),
    terminate: name => down(at(name), 'stop'),
    start: async (name, { wait = true } = {}) => (wait ? at(name).start() : at(name).launch()),
    async pause(name) {
      const node = at(name)
      if (node.pid === undefined) throw new Error(`${name} was to be frozen and does not run`)
      node.pause()
      await until(() => Promise.resolve(node.isPaused), `${name} to be frozen`, FREEZE_LIMIT_MS)
    },
    async resume(name) {
      const node = at(name)
      node.resume()
      await until(() => Promise.resolve(!node.isPaused), `${name} to go on`, FREEZE_LIMIT_MS)
    },
  }
}

/** n.b. only a handshake looks at a certificate: connections that are there go on. */
function certificateActions(
  cluster: Cluster,
  { certificate }: LocalOptions,
): Partial<Pick<Actions, 'replaceCertificates'>> {
  if (certificate === undefined) return {}
  return { replaceCertificates: async which => cluster.replaceCertificate(await certificate(which)) }
}

async function down(node: ClusterNode, how: 'kill' | 'stop'): Promise<void> {
  if (node.pid === undefined) throw new Error(`${node.name} was to be ended and does not run`)
  await node[how]()
}

/** In an order in which each step can work: processes, the network, RabbitMQ itself, and then what is in it. */
async function healed(cluster: Cluster, shell: Shell, actions: LocalActions): Promise<void> {
  for (const node of cluster.nodes) if (node.isPaused) await actions.resume(node.name)
  await Promise.all(cluster.nodes.map(node => node.launch())) // n.b. together: the last to go down must be there first
  await actions.healPartition().catch(() => undefined) // n.b. one that just starts cannot be asked; a minority needs it to start
  // n.b. in maintenance a node runs and does not listen: it would never seem started
  for (const { name } of cluster.nodes) await actions.revive(name).catch(() => undefined)
  await Promise.all(cluster.nodes.map(node => node.waitUntilReady()))
  await actions.healPartition()
  for (const { name } of cluster.nodes) await order(shell, unburdened(), name)
  await actions.listenOnly(shell.nodes)
  await actions.restoreDefinitions()
  await actions.limitConnections(undefined)
  await actions.limitBodies(undefined)
  await order(shell, withoutPolicies(VHOST))
  await actions.replaceCertificates?.('valid')
  await untilWhole(shell, VHOST)
}

/** Out of maintenance, thresholds as configured; clearing an alarm that is not there costs nothing. */
function unburdened(): string {
  const configured = (key: string): string => `element(2, {ok, _} = application:get_env(rabbit, ${key}))`
  return (
    `ok = rabbit_maintenance:revive(), vm_memory_monitor:set_vm_memory_high_watermark(${configured('vm_memory_high_watermark')}), ` +
    `rabbit_disk_monitor:set_disk_free_limit(${configured('disk_free_limit')})`
  )
}
