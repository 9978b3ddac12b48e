/** What the coordinator and the processes of the load say to each other (JSON over node:child_process IPC). */
import type { LaneCount } from './party.js'
import type { Group, ProcessPlan } from './plan.js'

/** Everything a process of the load is told at first. */
export interface Assignment {
  readonly plan: ProcessPlan
  readonly run: string
  readonly lifetimeMs: number
  readonly ledgerFile: string
  /** `amqps://…`, for all its parties. */
  readonly brokers: readonly string[]
}

/** Coordinator to process. `begin` of the late group connects its parties first. */
export type Order =
  | { readonly do: 'prepare'; readonly assignment: Assignment }
  | { readonly do: 'begin'; readonly group: Group }
  | { readonly do: 'stop' }
  | { readonly do: 'close'; readonly timeoutMs: number }

/** Process to coordinator. */
export type Report =
  | { readonly is: 'prepared' }
  | { readonly is: 'progress'; readonly lanes: Readonly<Record<string, LaneCount>> }
  | { readonly is: 'closed' }
  | { readonly is: 'failed'; readonly message: string }
