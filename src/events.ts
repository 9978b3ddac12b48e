/** Events of a bus: named, told to listeners and to the logger. A listener that throws harms nobody but itself. */
import type { Logger } from './bus.js'
import { asError } from './errors.js'

export type Listener = (event: unknown) => void

/** Says what happened; `alarm: true` in the detail asks for an operator, and is logged as a warning. */
export type Emit = (event: string, detail: object) => void

export class Events {
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #logger: Logger | undefined

  constructor(logger?: Logger) {
    this.#logger = logger
  }

  /** Listens for one event, or for all with `*`; returns the function that stops listening. */
  on(event: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** Tells everybody. n.b. details hold names, numbers and reasons, never a payload or a key. */
  readonly emit: Emit = (event, detail) => {
    const { alarm, ...fields } = detail as { alarm?: boolean }
    if (alarm === true) this.#logger?.warn(readable(fields), event)
    else this.#logger?.info(readable(fields), event)
    this.#tell(event, detail)
    this.#tell('*', { event, ...detail })
  }

  #tell(event: string, detail: object): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(detail)
      } catch (error) {
        this.#logger?.error({ event, reason: asError(error).message }, 'listener-failed')
      }
    }
  }
}

/** An error as JSON has no message: a log line would show everything but what happened. */
function readable(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Error ? value.message : value,
    ]),
  )
}
