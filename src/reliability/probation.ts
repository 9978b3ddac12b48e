/**
 * After a start that follows no orderly end: a message may have killed the process, and it comes again. Until 20 messages
 * have been handled one handler runs at a time, and each attempt is written down before. A message that was being tried
 * whenever the process died is known by that, and is not tried a third time.
 */
import type { EpochKey, SeenStore } from './seen.js'

/** Messages to be handled before the next one counts as harmless. */
const PROVEN = 20
/** The attempt that is not made any more. */
const MAX_ATTEMPTS = 3

export interface ProbationOptions {
  readonly store: Pick<SeenStore, 'attempt' | 'survived'>
  /** The former process did not close in order. */
  readonly unclean: boolean
  readonly emit: (event: string, detail: object) => void
}

export class Probation {
  readonly #options: ProbationOptions
  #left: number

  constructor(options: ProbationOptions) {
    this.#options = options
    this.#left = options.unclean && options.store.attempt ? PROVEN : 0
    if (options.unclean) options.emit('unclean-start', { alarm: true })
  }

  get isOn(): boolean {
    return this.#left > 0
  }

  /** Writes the attempt down; false where the message must not be tried. @throws SealbusError `store-failed`, `closed` */
  async admits(key: EpochKey, seq: number): Promise<boolean> {
    const attempts = (await this.#options.store.attempt?.(key, seq)) ?? 0
    return attempts < MAX_ATTEMPTS
  }

  /** The handler has ended, whatever came of it. */
  survived(key: EpochKey, seq: number): void {
    this.#options.store.survived?.(key, seq)
  }

  /** A message was handled, and that is remembered. */
  handled(): void {
    if (!this.isOn) return
    this.#left -= 1
    if (this.#left === 0) this.#options.emit('probation-over', { alarm: false })
  }
}
