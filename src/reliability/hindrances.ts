/** Why nothing is handed out or opened, as far as the connection is not to blame; said when it begins and when it ends. */
import { SealbusError } from '../errors.js'

/** Each may come and go while the other lasts. */
export type Hindrance = 'stale-revocation' | 'handlers'

export class Hindrances {
  readonly #emit: (event: string, detail: object) => void
  readonly #reasons: Map<Hindrance, Error> = new Map()

  constructor(emit: (event: string, detail: object) => void) {
    this.#emit = emit
  }

  /** The one that has lasted longest. */
  get first(): Error | undefined {
    const [first] = this.#reasons.values()
    return first
  }

  /** @param detail - for the operator, of the hindrance's own kind: no text of a handler's error */
  begin(hindrance: Hindrance, detail: string): void {
    this.#reasons.set(hindrance, REASONS[hindrance](detail))
    this.#emit('paused', { reason: hindrance, detail, alarm: true })
  }

  end(hindrance: Hindrance): void {
    if (this.#reasons.delete(hindrance)) this.#emit('resumed', { reason: hindrance, alarm: false })
  }
}

const REASONS: Readonly<Record<Hindrance, (detail: string) => Error>> = {
  'stale-revocation': () =>
    new SealbusError(
      'revocation-stale',
      'the revocation list is older than its maximum age: fetch a new one',
    ),
  handlers: name =>
    new SealbusError(
      'handler-failing',
      `the handler fails for all senders that were heard lately, the last time with ${name}: mend what it needs; one message is tried every 30 s`,
    ),
}
