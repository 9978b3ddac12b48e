/**
 * Starting: a bus that cannot reach its brokers, or is refused by them, must say so instead of waiting in silence. Once
 * it was connected, every loss is mended for ever and no error is thrown for it.
 */
import { asError, isSealbusError, SealbusError } from './errors.js'
import type { Transport, TransportStatus } from './transport/transport.js'

/** How long `connect` waits for the first usable connection. */
export const START_TIMEOUT_MS = 30_000
/** And where messages can be stored without one. */
export const STORING_START_MS = 5_000
/** A refusal (certificate, user, virtual host) that lasts this long is told at once. */
const REFUSED_MS = 5_000

/**
 * Starts a transport.
 * @param timeoutMs - `Infinity` waits for ever
 * @throws SealbusError `unauthorised` when refused for 5 s, `timeout` when unreachable for `timeoutMs`: both with the
 * reason of the last attempt; whatever aborted the signal
 */
export async function firstConnection(
  transport: Pick<Transport, 'start' | 'status' | 'onStatus'>,
  timeoutMs: number,
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
 * @returns undefined once connected; after `timeoutMs` the reason of the last attempt
 * @throws whatever aborted the signal
 */
export async function connectionWithin(
  transport: Pick<Transport, 'start' | 'status'>,
  timeoutMs: number,
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
