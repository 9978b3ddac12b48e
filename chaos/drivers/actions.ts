/**
 * What can be done to a cluster, as data and as types: the words that scenario files, drivers and errors share.
 * Contract only. Every action resolves when it has happened, and throws when it could not: a fault that did not happen must
 * never count as survived. Each is idempotent: what is so already is made so again without complaint.
 */

/** One queue, as the cluster sees it now. */
export interface QueueState {
  readonly name: string
  /** Empty while there is none. */
  readonly leader: string
  readonly members: readonly string[]
  /** Members whose replica runs. */
  readonly online: readonly string[]
}

/** An argument of a queue, a value of a policy. */
export type Scalar = string | number | boolean

/** Everything that some driver can do. Nodes, queues, exchanges and users go by their names in the broker. */
export interface Actions {
  // processes
  /** SIGKILL: a power cut. Resolves when the process is gone. */
  kill(node: string): Promise<void>
  /** SIGTERM: an orderly stop. Resolves when the process is gone. */
  terminate(node: string): Promise<void>
  /** Starts a node that is down; resolves when it serves, or at once with `wait: false` (it may need others to come up). */
  start(node: string, options?: { readonly wait?: boolean }): Promise<void>
  /** SIGSTOP: frozen, its connections open. */
  pause(node: string): Promise<void>
  /** SIGCONT. */
  resume(node: string): Promise<void>

  // the network between nodes
  /**
   * Two nodes reach each other only if they share a group: `[[a], [b, c]]` isolates a, `[[a, c], [b, c]]` cuts a from b alone.
   * Clients reach every node as before.
   */
  partition(groups: readonly (readonly string[])[]): Promise<void>
  /** All nodes reach each other again. */
  healPartition(): Promise<void>

  // an operator's orders
  /** Maintenance mode: no listeners, connections closed, leaders moved away. */
  drain(node: string): Promise<void>
  /** Ends maintenance mode. */
  revive(node: string): Promise<void>
  /** Only these nodes accept new clients; connected ones stay. Resolves when it is so. */
  listenOnly(nodes: readonly string[]): Promise<void>
  /** Makes the node the leader of all quorum queues. @throws Error when one did not move */
  moveLeaders(node: string): Promise<void>
  /** Closes every client connection. @returns how many */
  closeConnections(reason: string): Promise<number>
  /** So many client connections a node at most; undefined: no limit. */
  limitConnections(limit: number | undefined): Promise<void>

  // resources
  memoryAlarm(node: string, on: boolean): Promise<void>
  diskAlarm(node: string, on: boolean): Promise<void>

  // topology
  deleteQueue(queue: string): Promise<void>
  /** Deletes the queue and declares it with other arguments, bound as before. */
  replaceQueue(queue: string, args: Readonly<Record<string, Scalar>>): Promise<void>
  deleteExchange(exchange: string): Promise<void>
  /** Takes away the bindings between an exchange and a queue. */
  unbind(exchange: string, queue: string): Promise<void>
  /** An operator's policy over queues, above all others. */
  setPolicy(
    name: string,
    policy: { readonly pattern: string; readonly definition: Readonly<Record<string, Scalar>> },
  ): Promise<void>
  clearPolicy(name: string): Promise<void>

  /** Bodies on channels that are opened from now on are at most so large, bytes; undefined: as configured. */
  limitBodies(bytes: number | undefined): Promise<void>

  // rights
  /** All permissions in the vhost, and no topic permissions that narrow them; until the definitions are restored. */
  grantEverything(user: string): Promise<void>
  /** Takes all permissions in the vhost from the user; connections stay open. */
  revokePermissions(user: string): Promise<void>
  /** The broker closes the user's connections. */
  deleteUser(user: string): Promise<void>
  /** The vhost of the bus, with all that is in it. */
  deleteVhost(): Promise<void>
  /** Brings back what was provisioned: vhost, users, permissions, exchanges, policies, queues and bindings. */
  restoreDefinitions(): Promise<void>
  /** The folder of a device gets a new certificate and key. */
  renewIdentity(address: string): Promise<void>
  /** Nodes serve this certificate from now on: one that has expired, or a new good one. */
  replaceCertificates(which: 'expired' | 'valid'): Promise<void>

  // looking, and clearing up
  /** Inbox and parking queues of these addresses; all when none is given. */
  queues(addresses?: readonly string[]): Promise<QueueState[]>
  /** Nodes of all client connections, one entry each. */
  connections(): Promise<string[]>
  /** Empties the queues of these addresses: what a judged run left behind. */
  purge(addresses: readonly string[]): Promise<void>
}

/** The name of one. */
export type Action = keyof Actions

/** The same as text, for checks of what people write: the compiler holds it complete. */
const ALL: Readonly<Record<Action, true>> = {
  ...{ kill: true, terminate: true, start: true, pause: true, resume: true },
  ...{ partition: true, healPartition: true },
  ...{ drain: true, revive: true, listenOnly: true, moveLeaders: true },
  ...{ closeConnections: true, limitConnections: true, memoryAlarm: true, diskAlarm: true },
  ...{ deleteQueue: true, replaceQueue: true, deleteExchange: true, unbind: true },
  ...{
    setPolicy: true,
    clearPolicy: true,
    grantEverything: true,
    revokePermissions: true,
    deleteUser: true,
    deleteVhost: true,
  },
  ...{ limitBodies: true, renewIdentity: true },
  ...{ restoreDefinitions: true, replaceCertificates: true, queues: true, connections: true, purge: true },
}
export const ACTIONS: ReadonlySet<Action> = new Set(Object.keys(ALL) as Action[])
