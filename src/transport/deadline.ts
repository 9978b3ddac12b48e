/** Deadlines and aborts for promises of others: nothing here pends for ever, nothing rejects unheard. */
import { SealbusError } from '../errors.js'

/** A promise with its two ends outside. (`Promise.withResolvers` needs Node 22.) */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(reason: Error): void
}

/** A new {@link Deferred}; its rejection counts as heard. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (reason: Error) => void = () => undefined
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

/**
 * The promise, or a `timeout` after `ms`. n.b. the step itself goes on: whoever asked has to end it.
 *
 * @param what - the step, for the message: "open a channel"
 */
export function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new SealbusError('timeout', `${what}: expected an answer within ${ms} ms, got none`))
    }, ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** The promise, or the signal's reason as soon as it aborts. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}

/** Resolves when the promise settles or `ms` have passed, whatever comes first. Never rejects. */
export function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  return within(ms, 'closing', promise).then(
    () => undefined,
    () => undefined,
  )
}
