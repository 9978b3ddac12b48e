/**
 * A second connection, to another node, that is open already when the first dies: what remains is the opening of channels.
 * It costs the broker a connection more for each that we use, and us its heartbeats.
 */
import { Backoff } from './backoff.js'
import { pause } from './deadline.js'
import type { Link } from './link.js'
import type { Dial } from './reconnect.js'

/** Opens a connection, elsewhere than at `avoided` (`host:port`) where there is another node. */
export type DialElsewhere = (signal: AbortSignal, avoided?: string) => Promise<Link>

export class Standby {
  readonly #dial: DialElsewhere
  readonly #ready: (where: string) => void
  readonly #stop = new AbortController()
  #link: Link | undefined
  #keeping = 0

  /** @param ready - told whenever one stands by; must not throw */
  constructor(dial: DialElsewhere, ready: (where: string) => void) {
    this.#dial = dial
    this.#ready = ready
  }

  /** Gives what stands by, at once; else opens one. Another is opened behind it. */
  get dial(): Dial {
    const dial = async (signal: AbortSignal): Promise<Link> => {
      const link = this.#take() ?? (await this.#dial(signal))
      void this.#keep(link)
      return link
    }
    return Object.assign(dial, { isReady: () => this.#link?.open === true })
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#take()?.close()
  }

  #take(): Link | undefined {
    const link = this.#link?.open ? this.#link : undefined
    this.#link = undefined
    return link
  }

  /** Until `active` is dead, or another is active, there is one that stands by. Never rejects. */
  async #keep(active: Link): Promise<void> {
    const { signal } = this.#stop
    const turn = ++this.#keeping
    const backoff = new Backoff()
    while (turn === this.#keeping && active.open && !signal.aborted) {
      const delayMs = (await this.#open(active.where)) ? await this.#watch(active, backoff) : backoff.failed()
      await Promise.race([pause(delayMs, signal), active.closed])
    }
  }

  /** Until one of both is dead; how long to wait then. */
  async #watch(active: Link, backoff: Backoff): Promise<number> {
    const openedAt = performance.now()
    await Promise.race([this.#link?.closed, active.closed])
    return backoff.lost(performance.now() - openedAt)
  }

  /** n.b. one that comes when `active` is dead already serves as well. */
  async #open(avoided: string): Promise<boolean> {
    if (this.#link?.open) return true
    const link = await this.#dial(this.#stop.signal, avoided).catch(() => undefined)
    if (link === undefined) return false
    if (this.#stop.signal.aborted || this.#link?.open) await link.close()
    else {
      this.#link = link
      this.#ready(link.where)
    }
    return true
  }
}
