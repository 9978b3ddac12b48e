/** A scenario file, as data. Types only; read-script.ts makes them. Durations are ms. */
import type { Action } from './drivers/actions.js'
import type { LinkAction } from './drivers/driver.js'
import type { Group } from './plan.js'
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

/** One party in a process of its own. */
export interface PartySpec {
  /** Each run of its handler takes this long. */
  readonly handlerMs?: number
  /** The handler's limit. */
  readonly handlerLimitMs?: number
  /** Messages that do something to it: by the number in any lane that comes to it. */
  readonly at?: ReadonlyMap<number, Mishap>
  /** How much it may handle at once. */
  readonly concurrency?: number
  /** Where it keeps what it sends: default memory. */
  readonly outbox?: 'memory' | 'disk'
  /** How it remembers what it handled: default as its identity says. */
  readonly seen?: 'memory' | 'file' | 'shared'
  /** Started again when it dies, after this. */
  readonly restartMs?: number
  /** Its lanes are not held to the bound: the fault is meant for them. */
  readonly unbound?: boolean
  /** So many processes consume its inbox. */
  readonly workers?: number
}

/** What a message does to its handler, each time it comes: kill the process before or after its effect, hang, fail. */
export type Mishap = 'die-in-handler' | 'die-after-handler' | 'hang' | 'fail'

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
