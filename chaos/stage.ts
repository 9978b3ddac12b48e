/** What the steps of a scenario work with during one run. Types only. */
import type { Driver, LinkDriver } from './drivers/driver.js'
import type { Cast } from './plan.js'
import type { Trick } from './protocol.js'
import type { Random } from './random.js'

/** A run before its load. */
export interface Place {
  readonly driver: Driver
  /** Between clients and nodes; ended after the run. Undefined where nothing stands there. */
  readonly links: LinkDriver | undefined
  readonly random: Random
  readonly cast: Cast
  /** A line for people. */
  readonly note: (line: string) => void
  /** Ends what is waited for. */
  readonly signal: AbortSignal
}

/** A run with its load flowing. */
export interface Stage extends Place {
  readonly load: LoadControl
  /** A party's own links. @throws Error `not injected: …` where it has none */
  linksOf(party: string): LinkDriver
  /** Must be called at the moment of the injection; again where a fault comes several times. */
  injected(): void
}

/** What steps can do to the processes of the load. Parties go by their roles: `centre`, `steady-1`; a second worker is `steady-1-worker-2`. */
export interface LoadControl {
  /** SIGKILL to the process of a party. Resolves when it is gone; its unsettled sends are nobody's promise any more. */
  kill(party: string): Promise<void>
  /** The worker that is served: of several that consume a party's inbox the one that handled last. @throws Error when none did */
  active(party: string): string
  /** Drains and ends the process in order. */
  shutDown(party: string): Promise<void>
  /** Waits until the process has ended by itself. @throws Error after the limit */
  ended(party: string, limitMs: number): Promise<void>
  /** A new life of the process: the same identity and state folder, numbers from 0 in lanes of a new name. */
  revive(party: string): Promise<void>
  /** SIGSTOP. */
  freeze(party: string): void
  /** SIGCONT. */
  thaw(party: string): void
  /** Something for the program itself. */
  trick(party: string, trick: Trick): void
  /** Waits until a message that a party handled from now on is written down. @throws Error after the limit */
  handled(party: string, limitMs: number): Promise<void>
}
