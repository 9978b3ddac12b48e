/** Who listens to a transport's status and events. A listener that throws harms nobody. */
import type { Logger } from '../bus.js'
import type { TransportEvent, TransportStatus } from './transport.js'

/** Remembers the status, tells of its changes and of events, and writes both to the log. */
export class Notices {
  #status: TransportStatus = { state: 'connecting' }
  #statusListeners = new Set<(status: TransportStatus) => void>()
  #eventListeners = new Set<(event: TransportEvent) => void>()
  #logger: Logger | undefined

  constructor(logger: Logger | undefined) {
    this.#logger = logger
  }

  get status(): TransportStatus {
    return this.#status
  }

  onStatus(listener: (status: TransportStatus) => void): () => void {
    this.#statusListeners.add(listener)
    return () => void this.#statusListeners.delete(listener)
  }

  onEvent(listener: (event: TransportEvent) => void): () => void {
    this.#eventListeners.add(listener)
    return () => void this.#eventListeners.delete(listener)
  }

  /** Sets the status; told only where it differs. */
  setStatus(status: TransportStatus): void {
    const { state, reason } = this.#status
    if (state === status.state && reason?.message === status.reason?.message) return
    this.#status = status
    this.#log(status)
    for (const listener of this.#statusListeners) quietly(() => listener(status))
  }

  event(event: TransportEvent): void {
    this.#logger?.debug({ ...event.detail }, event.name)
    for (const listener of this.#eventListeners) quietly(() => listener(event))
  }

  /** n.b. a refusal is for people: it does not mend itself. */
  #log({ state, reason }: TransportStatus): void {
    const fields = reason === undefined ? { state } : { state, reason: reason.message }
    if (state === 'unauthorised') this.#logger?.error(fields, 'broker refuses us')
    else if (state === 'blocked') this.#logger?.warn(fields, 'broker blocks publishers')
    else this.#logger?.info(fields, 'transport status')
  }
}

function quietly(tell: () => void): void {
  try {
    tell()
  } catch {
    // the listener's own business
  }
}
