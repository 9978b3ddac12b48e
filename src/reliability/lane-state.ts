/**
 * What a lane may do now: a union in which each state carries only its own fields, and the transitions between them.
 * Pure: no clock, no timer, no promise. docs/DELIVERY.md, "Publishing".
 *
 * | trouble | the head alone goes out | on a channel that is | afterwards the lane |
 * | --- | --- | --- | --- |
 * | `nacked` (full inbox, or a channel trapped by a leaderless moment) | after 50–100 ms, doubling to 1 s, after 10 s to 5 s | fresh | stays there |
 * | `stalled` (no word for much longer than answers take: stalls.ts) | at once, then as above | fresh | stays there |
 * | `returned` (no inbox bound) | after 50–100 ms, doubling to 5 s | shared | flows |
 * | `refused` (its channel died of something published on it) | the same, one suspect after the other | isolated | flows |
 * | `unauthorised` (403, 404) | after 50–100 ms, doubling to 30 s, and when the state heals | isolated | flows |
 */
import type { ChannelKind } from '../transport/transport.js'
import { type Backoff, backoff } from './backoff.js'

export type Trouble = 'nacked' | 'stalled' | 'returned' | 'refused' | 'unauthorised'

interface Troubled {
  readonly trouble: Trouble
  /** When this trouble began, ms. */
  readonly sinceMs: number
  readonly backoff: Backoff
  /** Envelopes that must still go one at a time. */
  readonly suspects: number
}

/**
 * - `flowing`: several envelopes may be in flight.
 * - `stopped`: nothing goes out before `dueMs`.
 * - `probing`: the head alone goes out.
 */
export type LaneState =
  | { readonly kind: 'flowing' }
  | ({ readonly kind: 'stopped'; readonly stoppedMs: number; readonly dueMs: number } & Troubled)
  | ({ readonly kind: 'probing' } & Troubled)

export const FLOWING: LaneState = { kind: 'flowing' }

const BACKOFF: Backoff = backoff({ firstMs: 100, maxMs: 5000, jitter: 'half' })
const SLOW_BACKOFF: Backoff = backoff({ firstMs: 100, maxMs: 30_000, jitter: 'half' })

/** A queue that is about to get a new leader is asked this often at least; one that is full stays so for longer. */
const ELECTION_MS = 10_000
const EAGER_MS = 1_000

/** An inbox that is missing for so long rejects what waits for it. */
export const UNROUTABLE_AFTER_MS = 30_000

const CHANNEL: Readonly<Record<Trouble, ChannelKind>> = {
  nacked: 'fresh',
  stalled: 'fresh',
  returned: 'shared',
  refused: 'isolated',
  unauthorised: 'isolated',
}

/** Which channel the lane wants in this state. */
export function wants(state: LaneState): ChannelKind {
  return state.kind === 'flowing' ? 'shared' : CHANNEL[state.trouble]
}

/** Envelopes in flight that this state allows, where a flowing lane may have `window`. */
export function allowance(state: LaneState, window: number): number {
  if (state.kind === 'flowing') return window
  return state.kind === 'probing' ? 1 : 0
}

/**
 * Trouble came. The same trouble again waits twice as long; another one starts anew.
 * `suspects`: how many envelopes were in flight when a channel died of one of them.
 */
export function stop(
  state: LaneState,
  trouble: Trouble,
  nowMs: number,
  random: () => number,
  suspects = 0,
): LaneState {
  const again = state.kind !== 'flowing' && state.trouble === trouble
  const pause = again ? state.backoff.next() : trouble === 'unauthorised' ? SLOW_BACKOFF : BACKOFF
  const sinceMs = again ? state.sinceMs : nowMs
  const mostMs = trouble === 'nacked' && nowMs - sinceMs < ELECTION_MS ? EAGER_MS : Number.POSITIVE_INFINITY
  const waitMs =
    trouble === 'stalled' && !again ? 0 : Math.min(mostMs * (0.5 + random() / 2), pause.delayMs(random))
  return {
    kind: 'stopped',
    trouble,
    sinceMs,
    backoff: pause,
    suspects: Math.max(suspects, again ? state.suspects : 0),
    stoppedMs: nowMs,
    dueMs: soonest(trouble, nowMs, nowMs + waitMs, sinceMs + UNROUTABLE_AFTER_MS),
  }
}

/** n.b. the last try of a missing inbox falls on the moment when its sends are rejected, not seconds later. */
function soonest(trouble: Trouble, nowMs: number, dueMs: number, lastTryMs: number): number {
  return trouble === 'returned' && lastTryMs > nowMs ? Math.min(dueMs, lastTryMs) : dueMs
}

/** The pause is over: the head may go. */
export function due(state: LaneState): LaneState {
  if (state.kind !== 'stopped') return state
  const { trouble, sinceMs, suspects } = state
  return { kind: 'probing', trouble, sinceMs, backoff: state.backoff, suspects }
}

/** What went out alone was confirmed: the lane flows, or the next suspect goes. */
export function probeConfirmed(state: LaneState): LaneState {
  if (state.kind !== 'probing') return state
  if (state.suspects <= 1) return FLOWING
  return { ...state, suspects: state.suspects - 1 }
}

/**
 * The lane's channel died of something else. A new connection has no trapped channels, so a nacked lane flows; a missing
 * inbox, a suspect and a missing permission outlive the connection.
 */
export function channelLost(state: LaneState): LaneState {
  if (state.kind === 'flowing') return state
  return state.trouble === 'nacked' || state.trouble === 'stalled' ? FLOWING : state
}

/** How long a stopped lane still waits, ms. */
export function pauseMs(state: LaneState, nowMs: number): number {
  return state.kind === 'stopped' ? Math.max(0, state.dueMs - nowMs) : 0
}

/** The inbox has been missing for so long that what waits for it is rejected. */
export function unroutable(state: LaneState, nowMs: number): boolean {
  return (
    state.kind === 'stopped' && state.trouble === 'returned' && nowMs - state.sinceMs >= UNROUTABLE_AFTER_MS
  )
}
