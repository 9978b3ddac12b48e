/**
 * The seam between scenarios and what they break: drivers that say what they can do. Contract only.
 *
 * A cluster driver does things to nodes, queues and rights; a link driver stands between clients and nodes. A run has any
 * number of the first (compose.ts makes one of them) and at most one of the second. What a scenario asks for and no driver
 * can do is an error of the run, never a pass. {@link ClusterDriver} is the shape that the first scenarios use.
 */
import type { Cluster } from '../../cluster/index.js'
import type { Pace } from '../pipe.js'
import type { Direction, ProxyConnection, Tap } from '../proxy.js'
import type { Actions, QueueState } from './actions.js'

export type { QueueState } from './actions.js'

/** Breaks a cluster, and mends it. */
export interface Driver {
  /** `local`, `netns`, `docker`, `kubernetes`, `command`: for errors. */
  readonly kind: string
  /** Node names; the first is number 1. */
  readonly nodes: readonly string[]
  /** What clients dial to reach a node: `amqps://localhost:PORT`. */
  url(node: string): string
  /** What it can do; `capabilities` of compose.ts reads the names off. */
  readonly actions: Partial<Actions>
  /** Ends all faults of this driver and waits until the cluster is whole, as far as it can see. @throws Error when that does not come */
  heal(): Promise<void>
  /** `rabbitmq 3.10.8`, where it can be known. */
  readonly version?: () => Promise<string>
  /** The end of it, also after Ctrl-C: waits for what is under way, ends what it broke, removes what was made for it. May be called twice. */
  readonly close?: () => Promise<void>
}

/** What may happen to a link. */
export type LinkAction = 'reset' | 'blackhole' | 'pace' | 'refuse' | 'cut'

/** Stands between clients and nodes. Nodes go by the names of the cluster driver; none given means all. */
export interface LinkDriver {
  readonly kind: string
  readonly can: ReadonlySet<LinkAction>
  /** Hosts in the URLs that stand for loopback: the brokers' own, where their certificates do not name it. */
  readonly hosts: readonly string[]
  /** What clients dial instead, in the order of the nodes. Begins to listen when first asked. */
  everywhere(): Promise<string[]>
  /** Live connections through these links. Each can be reset, cut at an exact byte, blackholed. */
  connections(nodes?: readonly string[]): readonly ProxyConnection[]
  /** Looks at each new connection before its first byte; the tap it returns may cut it. Undefined: nobody looks. */
  watch(onConnection: ((connection: ProxyConnection) => Tap | undefined) | undefined): void
  /** Resets what is open. @returns how many */
  reset(nodes?: readonly string[]): number
  /**
   * Carries nothing, of old connections and new ones, in these directions (both by default), and answers nothing. Off: what was
   * held goes on; a side that gave up meanwhile is reset.
   */
  blackhole(on: boolean, nodes?: readonly string[], directions?: readonly Direction[]): void
  /** New connections are reset at once. */
  refuse(on: boolean, nodes?: readonly string[]): void
  /** Latency, bandwidth, slices, for old and new connections; `{}`: none. */
  pace(pace: Pace, nodes?: readonly string[]): void
  /** Ends all of it. */
  heal(): void
  close(): Promise<void>
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

/** What a driver is made from; each driver's module exports one such function (`dockerDriver`, `commandDriver`, …). */
export interface DriverSettings {
  /** `--brokers`, or the urls of the cluster that `--cluster` or the tool itself brought. */
  readonly brokers: readonly string[]
  /** The content of `--driver-config FILE`, parsed; undefined without one. The driver checks it, and names the file in errors. */
  readonly config: unknown
  readonly configFile: string | undefined
  /** The nodes of this machine, where the tool knows them. */
  readonly cluster: Cluster | undefined
  /** A line for people. */
  readonly note: (line: string) => void
}

/** @throws SealbusError `configuration` for a config that it cannot use */
export type MakeDriver = (settings: DriverSettings) => Promise<Driver>
