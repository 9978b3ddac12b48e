/**
 * The seam between scenarios and the cluster that they break. Contract only; local.ts obeys it for nodes on this machine.
 * Every method that breaks something throws when it could not: a fault that did not happen must never count as survived.
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

export interface ClusterDriver {
  /** Node names; the first is number 1. */
  readonly nodes: readonly string[]
  /** What clients dial to reach a node: `amqps://localhost:PORT`. */
  url(node: string): string
  port(node: string): number
  /** SIGKILL: a power cut. Resolves when the process is gone. */
  kill(node: string): Promise<void>
  /** SIGTERM; resolves when the process is gone. */
  terminate(node: string): Promise<void>
  /** Starts a node that is down; resolves when it serves. */
  start(node: string): Promise<void>
  /** Maintenance mode: no listeners, connections closed, leaders moved away. */
  drain(node: string): Promise<void>
  /** Ends maintenance mode. */
  revive(node: string): Promise<void>
  /** Only these nodes accept new clients; connected ones stay. Resolves when it is so. */
  listenOnly(nodes: readonly string[]): Promise<void>
  /** Inbox and parking queues of these addresses; all when none is given. */
  queues(addresses?: readonly string[]): Promise<QueueState[]>
  /** Makes the node the leader of all quorum queues. @throws Error when one did not move */
  moveLeaders(node: string): Promise<void>
  /** Nodes of all client connections, one entry each. */
  connections(): Promise<string[]>
  /** Closes every client connection. @returns how many */
  closeConnections(reason: string): Promise<number>
  /** Empties the queues of these addresses: what a judged run left behind. */
  purge(addresses: readonly string[]): Promise<void>
  /** Ends all faults and waits until every node runs and every queue has all its members. @throws Error when that does not come */
  heal(): Promise<void>
}
