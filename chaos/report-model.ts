/**
 * What a chaos report says, as data. Types only: report-run.ts makes it from ledgers, report-html.ts and report-junit.ts
 * render it. Times are ms from the run's start unless a name says otherwise; nothing here is text of a payload or a key.
 */
import type { LaneGap } from './gap.js'
import type { Violation } from './invariants.js'
import type { LaneName } from './ledger.js'

/** `met`: all promises kept. `not met`: at least one was broken. `no result`: the fault could not be injected or judged. */
export type RunVerdict = 'met' | 'not met' | 'no result'

/** All runs of one command. */
export interface ReportModel {
  /** `sealbus chaos run`, `sealbus chaos soak`. */
  readonly title: string
  /** ISO 8601, of the report. */
  readonly madeAt: string
  readonly seed: string
  /** What to type to have all of it again. */
  readonly command: string
  readonly runs: readonly RunModel[]
}

/** One run of one scenario. */
export interface RunModel {
  /** The scenario's: `2`, `4a`. */
  readonly id: string
  readonly name: string
  /** A sentence or two about what is broken, for people; may be empty. */
  readonly description: string
  /** Rising from 1 within the scenario. */
  readonly number: number
  readonly seed: string
  /** What to type to have this run again. */
  readonly command: string
  /** Broker, nodes, load, versions, driver: in the order of showing. */
  readonly configuration: readonly Setting[]
  /** Ms since the epoch: time 0 of all other times. */
  readonly startedAt: number
  readonly durationMs: number
  readonly verdict: RunVerdict
  /** Why there is no result. */
  readonly error?: string
  /** In the order of injection. */
  readonly faults: readonly FaultSpan[]
  /** I1 to I6, each once. */
  readonly invariants: readonly InvariantVerdict[]
  /** I6: what was measured, each held to its own bound. */
  readonly measures: readonly GapMeasure[]
  readonly totals: Totals
  readonly timeline: Timeline
  /** What was said during the run, and what a reader should know beside it. */
  readonly notes: readonly string[]
}

export interface Setting {
  readonly name: string
  readonly value: string
}

/** From the order to break to the moment when all was whole again. */
export interface FaultSpan {
  readonly name: string
  readonly injectedMs: number
  /** Absent when it was not healed before the load's end. */
  readonly healedMs?: number
}

/** One way to measure how long the service was away: a series of every lane, from an instant on. */
export interface GapMeasure {
  /** `gap`: both series from the injection; `publish`, `delivery`: one of them; `after heal`: both from the end of healing. */
  readonly name: string
  /** Of the worst lane. */
  readonly gapMs: number
  /** Absent where it is held to nothing. */
  readonly boundMs?: number | undefined
  /** Worst first. */
  readonly gaps: readonly LaneGap[]
}

export type Invariant = Violation['invariant']

export interface InvariantVerdict {
  readonly invariant: Invariant
  /** What it asks, in a few words. */
  readonly asks: string
  readonly verdict: 'held' | 'broken' | 'not judged'
  /** The judge's sentences. */
  readonly violations: readonly string[]
  /** Each message that was lost, handled again and so on, in ranges: what broke it, or where it held, what the scenario allows. */
  readonly messages: readonly NamedMessages[]
}

/** Neighbours of one lane that broke the same promise: the numbers `fromN` to `toN`, both included. */
export interface NamedMessages {
  readonly what: 'lost' | 'duplicated' | 'reordered' | 'pending' | 'rejected'
  readonly lane: LaneName
  readonly fromN: number
  readonly toN: number
  /** Where `send()` told it: 16 hex digits, and the numbers in it. */
  readonly epoch?: string
  readonly fromSeq?: number
  readonly toSeq?: number
  /** When the first of them was confirmed (lost), handled again (duplicated), handled (reordered), sent (pending), rejected. */
  readonly atMs: number
  /** `buffer-full`, for rejected ones. */
  readonly code?: string
}

export interface Totals {
  readonly sent: number
  readonly resolved: number
  readonly rejected: number
  /** Messages, each counted once. */
  readonly handled: number
  /** Effects beyond the first of a message. */
  readonly handledAgain: number
  /** In a place with a name: parked, expired, returned. */
  readonly placed: number
  /** How often a lane stopped because of a nack. */
  readonly nacked: number
}

/** All series have one value for each bin; bin `i` begins at `i * binMs`. */
export interface Timeline {
  readonly binMs: number
  /** Messages in the bin. */
  readonly sent: readonly number[]
  readonly resolved: readonly number[]
  readonly handled: readonly number[]
  /** From `send()` to its resolving, of what resolved in the bin. */
  readonly resolveLatency: Latency
  /** From `send()` to the end of the handler, of what was handled in the bin. */
  readonly handleLatency: Latency
  /** One a party, in the order of their first event. */
  readonly connections: readonly ConnectionBand[]
  /** The longest stretches without a confirm or a delivery in a lane that sends, longest first. */
  readonly silences: readonly Silence[]
  /** One a process. */
  readonly memory: readonly MemoryCurve[]
}

/** Ms; null where the bin has no value. */
export interface Latency {
  readonly p50: readonly (number | null)[]
  readonly p99: readonly (number | null)[]
}

/** `partly`: one of the party's connections is away, while its bus is ready. */
export type ConnectionState =
  | 'connecting'
  | 'ready'
  | 'partly'
  | 'blocked'
  | 'unauthorised'
  | 'paused'
  | 'draining'
  | 'closed'

export interface ConnectionBand {
  readonly party: string
  /** Without holes from the party's first event on. */
  readonly stretches: readonly ConnectionStretch[]
}

export interface ConnectionStretch {
  readonly state: ConnectionState
  readonly fromMs: number
  readonly toMs: number
}

export interface Silence {
  readonly lane: LaneName
  readonly series: 'confirms' | 'deliveries'
  readonly fromMs: number
  readonly toMs: number
}

export interface MemoryCurve {
  readonly process: string
  readonly points: readonly MemoryPoint[]
}

export interface MemoryPoint {
  readonly atMs: number
  readonly rssBytes: number
  readonly heapBytes: number
}
