/**
 * Starting: a bus that cannot reach its brokers, or is refused by them, must say so instead of waiting in silence. Once
 * it was connected, every loss is mended for ever and no error is thrown for it.
 */
import { asError, isSealbusError, SealbusError } from './errors.js'
import type { Transport, TransportStatus } from './transport/transport.js'

/** How long `connect` waits for the first usable connection. */
export const START_TIMEOUT_MS = 30_000
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
