/**
 * What a secured bus does for its identity while it runs: reads the folder again now and then, so that renewals and
 * revocations take effect; renews one's own card and destroys sealing keys when it is time; tells a new card to everybody
 * whose card we have.
 */
import type { CoreBus } from './bus-parts.js'
import { equal } from './bytes.js'
import type { Clock } from './clock.js'
import type { SessionOpener } from './crypto/opener.js'
import { asError } from './errors.js'
import type { Emit } from './events.js'
import type { LoadedFolder } from './identity-folder.js'
import { CARD_TYPE } from './reliability/receipts.js'
import { rotate } from './rotation.js'
import { keepRevocationList } from './state-folder.js'

/** A card that was not fetched within a day rides on the next envelope anyway. */
const CARD_TTL_S: number = 24 * 3_600

/** Starts with {@link Upkeep.start}, once the bus is there; ends with {@link Upkeep.stop}. */
export class Upkeep {
  readonly #folder: LoadedFolder
  readonly #opener: SessionOpener
  readonly #clock: Clock
  readonly #emit: Emit
  readonly #state: string | undefined
  #announced: Uint8Array
  #kept: Uint8Array | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(folder: LoadedFolder, opener: SessionOpener, clock: Clock, emit: Emit, state?: string) {
    this.#folder = folder
    this.#opener = opener
    this.#clock = clock
    this.#emit = emit
    this.#state = state
    this.#announced = folder.identity.card.bytes
  }

  start(bus: CoreBus, everyMs: number): void {
    const round = (): void => {
      this.#running = this.#round(bus).finally(() => {
        if (this.#timer) this.#timer = setTimeout(round, everyMs)
      })
    }
    this.#timer = setTimeout(round, everyMs)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#running
  }

  /** Keeps the revocation list in the state folder, so that a restart cannot roll it back. @throws SealbusError `store-failed` */
  async keepRevocations(): Promise<void> {
    const list = this.#folder.trust.revocationList()
    if (this.#state === undefined || list === undefined) return
    if (this.#kept !== undefined && equal(this.#kept, list)) return
    await keepRevocationList(this.#state, list)
    this.#kept = list
  }

  /** n.b. each step by itself: a file of ours that is broken must neither stop a revocation nor a key's destruction. */
  async #round(bus: CoreBus): Promise<void> {
    await this.#try(() => this.#folder.reload())
    await this.#try(() => this.keepRevocations())
    await this.#try(() => this.#rotate())
    await this.#try(() => {
      this.#opener.endSessions()
      this.#announce(bus)
      bus.recheck()
    })
  }

  async #rotate(): Promise<void> {
    const { renewed, destroyed } = await rotate(this.#folder, this.#clock.now())
    if (renewed !== undefined) this.#emit('card-renewed', { keyId: renewed })
    for (const keyId of destroyed) this.#emit('key-destroyed', { keyId })
  }

  async #try(step: () => void | Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      this.#emit('reload-failed', { reason: asError(error).message, alarm: true })
    }
  }

  #announce(bus: CoreBus): void {
    const { bytes, address } = this.#folder.identity.card
    if (equal(bytes, this.#announced)) return
    this.#announced = bytes
    for (const peer of this.#folder.directory.cards()) {
      if (peer.address !== address) bus.sendSystem(peer, CARD_TYPE, bytes, CARD_TTL_S)
    }
  }
}
