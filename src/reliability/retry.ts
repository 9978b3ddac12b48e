/**
 * Runs an operation again while its error says that this may help. The one file that imports p-retry.
 * To change the policy of retrying, start here.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { type Backoff, backoff } from './backoff.js'

export interface RetryPolicy {
  /** Runs after the first failure; `Infinity` for ever. */
  readonly retries: number
  /** Delays between runs. Default: full jitter, 50 ms doubling to 5 s. */
  readonly backoff?: Backoff
  /** Ends the wait and forbids further runs; the result rejects with its reason. */
  readonly signal?: AbortSignal
  /** Called before each wait. */
  readonly onRetry?: (error: Error, attempt: number, delayMs: number) => void
}

const DEFAULT_BACKOFF: Backoff = backoff({ firstMs: 50, maxMs: 5000, jitter: 'full' })

/**
 * | error | |
 * | --- | --- |
 * | `retryable` is false | final |
 * | a TypeError (n.b. p-retry's rule: a mistake in the program does not go away; failed fetches excepted) | final |
 * | anything else | again, after a jittered delay, until `retries` are used up |
 *
 * @throws the last error, or the signal's reason
 */
export async function retry<R>(
  operation: (attempt: number) => R | Promise<R>,
  policy: RetryPolicy,
): Promise<R> {
  let pause = policy.backoff ?? DEFAULT_BACKOFF
  return await pRetry(operation, {
    retries: policy.retries,
    minTimeout: 0, // p-retry's own jitter is half of full: the wait is ours, below
    ...(policy.signal && { signal: policy.signal }),
    shouldRetry: async ({ error, attemptNumber }) => {
      if (!isRetryable(error)) return false
      const delayMs = pause.delayMs()
      pause = pause.next()
      policy.onRetry?.(error, attemptNumber, delayMs)
      await wait(delayMs, policy.signal)
      return true
    },
  })
}

/** False only for an error that says so itself. */
function isRetryable(error: Error): boolean {
  return (error as { retryable?: unknown }).retryable !== false
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal && { signal })
  } catch (error) {
    signal?.throwIfAborted() // timers reject with an error of their own: the caller's reason is the better one
    throw error
  }
}
