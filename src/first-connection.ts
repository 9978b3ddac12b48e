/**
 * Starting: a bus that cannot reach its brokers, or is refused by them, must say so instead of waiting in silence. Once
 * it was connected, every loss is mended for ever and no error is thrown for it.
 */
import { asError, isSealbusError, SealbusError } from './errors.js'
import type { Transport, TransportStatus } from './transport/transport.js'

/** How long `connect` waits for the first usable connection. */
const START_TIMEOUT_MS = 30_000
/** And where messages can be stored without one. */
const STORING_START_MS = 5_000
/** What can be wrong with consuming besides the broker shows within this. */
const BEGIN_AT_LEAST_MS = 1_000
/** setTimeout's range ends at 2^31 − 1 ms. */
const LONGEST_TIMER_MS = 86_400_000
/** A refusal (certificate, user, virtual host) that lasts this long is told at once. */
const REFUSED_MS = 5_000

/**
 * Starts a transport.
 * @param timeoutMs - `Infinity` waits for ever. Default 30 000
 * @throws SealbusError `unauthorised` when refused for 5 s, `timeout` when unreachable for `timeoutMs`: both with the
 * reason of the last attempt; whatever aborted the signal
 */
export async function firstConnection(
  transport: Pick<Transport, 'start' | 'status' | 'onStatus'>,
  timeoutMs: number = START_TIMEOUT_MS,
  signal?: AbortSignal,
): Promise<void> {
  const patience = new Patience(timeoutMs)
  const stopListening = transport.onStatus(status => patience.saw(status))
  patience.saw(transport.status())
  try {
    await transport.start(AbortSignal.any([patience.signal, ...(signal ? [signal] : [])]))
  } finally {
    stopListening()
    patience.end()
  }
}

/**
 * Starts a transport that need not be connected: what is sent is stored. Connecting goes on afterwards.
 * @param timeoutMs - default 5 000
 * @returns undefined once connected; after `timeoutMs` the reason of the last attempt
 * @throws whatever aborted the signal
 */
export async function connectionWithin(
  transport: Pick<Transport, 'start' | 'status'>,
  timeoutMs: number = STORING_START_MS,
  signal?: AbortSignal,
): Promise<Error | undefined> {
  signal?.throwIfAborted()
  const connected = transport.start().then(() => undefined)
  let stop: () => void = () => undefined
  const given = new Promise<Error>((resolve, reject) => {
    const timer = Number.isFinite(timeoutMs)
      ? setTimeout(() => resolve(failure(transport.status().reason, timeoutMs)), timeoutMs)
      : undefined
    const abort = (): void => reject(asError(signal?.reason))
    signal?.addEventListener('abort', abort)
    stop = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  })
  connected.catch(() => undefined) // n.b. when the bus closes before
  return await Promise.race([connected, given]).finally(() => stop())
}

/**
 * Waits for consuming to begin, but not for a broker: a program that stores must not stand still in `consume()`.
 * @param late - what went wrong after that
 * @throws what `begun` rejects with until then
 */
export async function begunWithin(
  begun: Promise<void>,
  timeoutMs: number = STORING_START_MS,
  late: (error: Error) => void = () => undefined,
): Promise<void> {
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>(resolve => {
    timer = setTimeout(resolve, Math.max(BEGIN_AT_LEAST_MS, Math.min(timeoutMs, LONGEST_TIMER_MS)))
  })
  begun.catch((error: unknown) => {
    if (isLate && !isSealbusError(error, 'closed')) late(asError(error))
  })
  await Promise.race([begun, enough]).finally(() => clearTimeout(timer))
  isLate = true
}

class Patience {
  readonly #over = new AbortController()
  readonly #timeoutMs: number
  readonly #timer: NodeJS.Timeout | undefined
  #refused: NodeJS.Timeout | undefined
  #reason: Error | undefined

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
    if (Number.isFinite(timeoutMs)) this.#timer = setTimeout(() => this.#giveUp(), timeoutMs)
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  saw({ state, reason }: TransportStatus): void {
    if (reason) this.#reason = reason
    if (state !== 'unauthorised' || this.#refused || !Number.isFinite(this.#timeoutMs)) return
    this.#refused = setTimeout(() => {
      this.#refused = undefined
      if (isSealbusError(this.#reason, 'unauthorised')) this.#giveUp()
    }, REFUSED_MS)
  }

  end(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#refused)
  }

  #giveUp(): void {
    this.#over.abort(failure(this.#reason, this.#timeoutMs))
  }
}

function failure(reason: Error | undefined, timeoutMs: number): SealbusError {
  if (isSealbusError(reason, 'unauthorised')) return reason
  const last = reason === undefined ? 'no attempt has ended yet' : asError(reason).message
  return new SealbusError('timeout', `no usable connection within ${timeoutMs / 1000} s: ${last}`, {
    cause: reason,
  })
}
