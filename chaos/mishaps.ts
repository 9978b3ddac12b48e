/** What happens to handlers: one mishap at a time, and messages that bring one each time they come. */
import { type Entry, type Ledger, type Mishap, nowMs } from './ledger.js'

const LASTING: ReadonlySet<Mishap> = new Set(['poison', 'fail'])
const NEVER: Promise<never> = new Promise(() => undefined)

/** Of one process; those that last are in its ledger, so that its next life knows them. */
export class Mishaps {
  readonly #ledger: Ledger
  readonly #lasting = new Map<string, Mishap>()
  #next: Mishap | undefined

  /** @param before - what earlier lives wrote */
  constructor(ledger: Ledger, before: readonly Entry[]) {
    this.#ledger = ledger
    for (const entry of before)
      if (entry.kind === 'mishap' && LASTING.has(entry.is))
        this.#lasting.set(`${entry.lane}:${entry.n}`, entry.is)
  }

  /** Something happens to the handler of the next message that has not had a mishap. */
  arm(mishap: Mishap): void {
    this.#next = mishap
  }

  /**
   * Runs a handler's effect, with whatever happens to it. A process that dies here dies at once: nothing after it is written.
   * @throws Error for `fail`
   */
  async run(lane: string, n: number, effect: () => Promise<void>): Promise<void> {
    const mishap = this.#lasting.get(`${lane}:${n}`) ?? this.#take(lane, n)
    if (mishap === 'die-in-handler' || mishap === 'poison') die()
    if (mishap === 'hang') await NEVER
    if (mishap === 'fail') throw new Error('failing on purpose')
    await effect()
    if (mishap === 'die-after-handler') die()
  }

  #take(lane: string, n: number): Mishap | undefined {
    const mishap = this.#next
    this.#next = undefined
    if (mishap === undefined) return undefined
    this.#ledger.write({ kind: 'mishap', t: nowMs(), lane, n, is: mishap })
    if (LASTING.has(mishap)) this.#lasting.set(`${lane}:${n}`, mishap)
    return mishap
  }
}

/** n.b. SIGKILL to oneself is delivered before the call returns. */
function die(): void {
  process.kill(process.pid, 'SIGKILL')
}
