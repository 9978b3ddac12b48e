/** A scenario file, as data. Types only; read-script.ts makes them. Durations are ms. */
import type { Action } from './drivers/actions.js'
import type { LinkAction } from './drivers/driver.js'
import type { Group, PartySpec } from './plan.js'
import type { Play } from './play.js'

export interface Script {
  readonly file: string
  /** `2`, `4a`: a row, or a sub-case of one; any word in files of one's own. */
  readonly id: string
  readonly name: string
  /** May be empty. */
  readonly description: string
  readonly bound: Bound
  readonly place: Placing
  readonly load: LoadSpec
  readonly steps: readonly Step[]
  /** How long the fault is looked at, from the injection. */
  readonly observeMs: number
  readonly heal: readonly Step[]
  /** Whether healing belongs to the fault (a restart, a revival): its gaps count too. */
  readonly healingCounts: boolean
  /** Load after healing. */
  readonly afterMs: number
  /** Longest time of draining. */
  readonly drainMs: number
  readonly expect: Expectation
}

/** I6: how long each series of a lane may be silent; what is absent is not judged. */
export interface Bound {
  /** Confirms, from the injection. */
  readonly publishMs?: number
  /** First deliveries, from the injection. */
  readonly deliveryMs?: number
  /** Both, from the end of healing. */
  readonly afterHealMs?: number
}

/** Where leaders and clients are when the fault comes. The chosen node is drawn by the seed. */
export interface Placing {
  readonly leaders: 'chosen' | 'elsewhere' | 'anywhere'
  readonly clients: 'chosen' | 'elsewhere' | 'anywhere'
  /** Clients reach the nodes through links that can be broken. */
  readonly links: boolean
}

export interface LoadSpec {
  readonly groups: readonly Group[]
  /** Messages a second in each lane; absent: the run's. */
  readonly rate?: number
  /** Of each message. */
  readonly lifetimeMs: number
  /** Parties that behave in ways of their own, by role: `centre`, `steady-1`. */
  readonly parties: ReadonlyMap<string, PartySpec>
}

/** What else must, or may, have happened. */
export interface Expectation {
  /** Codes with which a send may end. */
  readonly rejections: readonly string[]
  /** Events that somebody must have told after the injection. */
  readonly events: readonly string[]
  /** Events that nobody may tell between injection and end. */
  readonly noEvents: readonly string[]
  /** So many messages may be handled twice: a receiver died between effect and mark. */
  readonly twice: number
}

/** One thing to do. */
export interface Step {
  /** `kill`, `wait`. */
  readonly word: string
  /** What a driver must be able to do. */
  readonly needs: readonly Action[]
  readonly needsLinks: readonly LinkAction[]
  /** The first such step is the injection. */
  readonly breaks: boolean
  /** @throws Error when it could not be done */
  readonly run: (play: Play) => Promise<void>
}
