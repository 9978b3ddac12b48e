/**
 * Whether something whose handlers keep failing is handed more: a state machine, as a union in which each state carries only
 * what it needs. Pure; the clock comes with each call.
 *
 * | state | goes over to | when |
 * | --- | --- | --- |
 * | running | paused | it fails as often in a row as is allowed |
 * | paused | trying | 30 s are over |
 * | trying | running | the one message that is tried succeeds |
 * | trying | paused | it fails |
 */

/** How long a pause lasts. */
export const PAUSE_MS = 30_000 // 30 seconds
/** Tries that fail before the message that is tried is given up, so that a run of bad ones passes in the end. */
const MAX_TRIALS = 10

export type Circuit =
  | { readonly state: 'running'; readonly failures: number }
  | { readonly state: 'paused'; readonly sinceMs: number; readonly untilMs: number; readonly trials: number }
  | {
      readonly state: 'trying'
      readonly sinceMs: number
      readonly trials: number
      readonly isUnderWay: boolean
    }

export const RUNNING: Circuit = { state: 'running', failures: 0 }

/** More may be handed out now. */
export function isOpen(circuit: Circuit): boolean {
  return circuit.state === 'running' || (circuit.state === 'trying' && !circuit.isUnderWay)
}

/** A message is handed out. */
export function afterStart(circuit: Circuit): Circuit {
  return circuit.state === 'trying' ? { ...circuit, isUnderWay: true } : circuit
}

/** It has come to nothing: the handler was stopped, or never began. */
export function afterNothing(circuit: Circuit): Circuit {
  return circuit.state === 'trying' ? { ...circuit, isUnderWay: false } : circuit
}

/** @param allowed - failures in a row that it takes to pause */
export function afterFailure(circuit: Circuit, nowMs: number, allowed: number): Circuit {
  if (circuit.state === 'paused') return circuit // it was under way when the pause began
  if (circuit.state === 'trying') {
    const trials = (circuit.trials + 1) % MAX_TRIALS
    return { state: 'paused', sinceMs: circuit.sinceMs, untilMs: nowMs + PAUSE_MS, trials }
  }
  const failures = circuit.failures + 1
  return failures < allowed ? { state: 'running', failures } : paused(nowMs)
}

/** Paused from now on. */
export function paused(nowMs: number): Circuit {
  return { state: 'paused', sinceMs: nowMs, untilMs: nowMs + PAUSE_MS, trials: 0 }
}

/** A pause that is over becomes a try; `early`: without waiting for its end. */
export function afterTime(circuit: Circuit, nowMs: number, early = false): Circuit {
  if (circuit.state !== 'paused' || (!early && nowMs < circuit.untilMs)) return circuit
  return { state: 'trying', sinceMs: circuit.sinceMs, trials: circuit.trials, isUnderWay: false }
}

/** After a try that has failed: it was the last for its message. */
export function isExhausted(circuit: Circuit): boolean {
  return circuit.state === 'paused' && circuit.trials === 0
}
