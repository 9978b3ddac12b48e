/** What the coordinator and the processes of the load say to each other (JSON over node:child_process IPC). */

import type { Mishap } from './ledger.js'
import type { LaneCount } from './party.js'
import type { Group, ProcessPlan } from './plan.js'
import type { Names } from './resolver.js'
import type { DiskFault } from './tricks.js'

/** Everything a process of the load is told at first. */
export interface Assignment {
  readonly plan: ProcessPlan
  readonly run: string
  /** Rising from 1: how often this process was started. */
  readonly life: number
  readonly lifetimeMs: number
  readonly ledgerFile: string
  /** `amqps://…`, for all its parties. */
  readonly brokers: readonly string[]
  /** Socket of a Redis, where workers share a memory. */
  readonly redis: string | undefined
  /** Hosts that stand for loopback. */
  readonly hosts: readonly string[]
}

/** What a process of the load can be made to do. */
export type Trick =
  /** Computes without a break: no timer, no I/O. */
  | { readonly is: 'block'; readonly forMs: number }
  /** Moves its wall clock (`Date`) by this from what it is now. n.b. timers and TLS keep their own time. */
  | { readonly is: 'clock'; readonly byMs: number }
  /** Host names mean something else to it from now on. */
  | { readonly is: 'names'; readonly names: Names }
  /** Its first lane carries one message of this size. */
  | { readonly is: 'large'; readonly bytes: number }
  /** Its files cannot be written, or not be synced, any more. */
  | { readonly is: 'disk'; readonly fault: DiskFault }
  /** Something happens to the handler of the next message. */
  | { readonly is: Mishap }

/** Coordinator to process. `begin` of the late group connects its parties first. */
export type Order =
  | { readonly do: 'prepare'; readonly assignment: Assignment }
  | { readonly do: 'begin'; readonly group: Group }
  | { readonly do: 'stop' }
  | { readonly do: 'trick'; readonly trick: Trick }
  | { readonly do: 'close'; readonly timeoutMs: number }

/** Process to coordinator. */
export type Report =
  | { readonly is: 'prepared' }
  | { readonly is: 'progress'; readonly lanes: Readonly<Record<string, LaneCount>> }
  | { readonly is: 'closed' }
  | { readonly is: 'failed'; readonly message: string }
