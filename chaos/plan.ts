/**
 * The load, as data: who sends to whom, how often, in which process. Types and the standard plan.
 *
 * One party in the middle (a virtual power plant) exchanges messages with hubs, both ways; each direction is a lane.
 *
 * | group | connects | sends |
 * | --- | --- | --- |
 * | `steady` | at the start | from the start |
 * | `quiet` | at the start | its first message just after the injection: a channel's first publish to that queue then falls into the time without a leader |
 * | `late` | just after the injection | at once: new senders meet the same time |
 * | `declaring` | just after the injection; it declares its own inbox | at once, and is sent to at once |
 */
import type { Until } from '../src/bus.js'

export type Group = 'steady' | 'quiet' | 'late' | 'declaring'

/** Groups whose parties connect when they are told to begin. */
export const CONNECT_AT_BEGIN: ReadonlySet<Group> = new Set(['late', 'declaring'])

/** One lane of the load. */
export interface LanePlan {
  /** `from>to#report`: the name in ledgers. */
  readonly lane: string
  readonly from: string
  readonly to: string
  /** A type that the provisioned policy allows between the two: `report`, `activate`. */
  readonly type: string
  readonly group: Group
  /** Time between two messages, ms. */
  readonly everyMs: number
  /** The first message of a quiet or late lane goes out this long after its group is told to begin, ms. */
  readonly delayMs: number
}

/** One party in a process of its own. */
export interface PartySpec {
  /** Each run of its handler takes this long. */
  readonly handlerMs?: number
  /** The handler's limit. */
  readonly handlerLimitMs?: number
  /** How much it may handle at once. */
  readonly concurrency?: number
  /** Where it keeps what it sends: default memory. */
  readonly outbox?: 'memory' | 'disk'
  /** When its `send()` resolves: default as its bus thinks fit. */
  readonly until?: Until
  /** How it remembers what it handled: default as its identity says. */
  readonly seen?: 'memory' | 'file' | 'shared'
  /** Started again when it dies, after this. */
  readonly restartMs?: number
  /** Its lanes are not held to the bound: the fault is meant for them. */
  readonly unbound?: boolean
  /** It reaches the nodes through links of its own, which can be broken apart from the others'. */
  readonly links?: boolean
  /** So many processes consume its inbox. */
  readonly workers?: number
}

/** A party and the identity folder it connects with. */
export interface PartyPlan extends PartySpec {
  /** `centre`, `steady-1`: what steps call it. */
  readonly role: string
  readonly address: string
  readonly identity: string
  readonly group: Group
  /** Of several that consume its inbox; the first is 1, and sends. */
  readonly worker?: number
}

/** One operating-system process of the load. */
export interface ProcessPlan {
  readonly name: string
  readonly parties: readonly PartyPlan[]
  readonly lanes: readonly LanePlan[]
  /** Instead of those that all are given. */
  readonly brokers?: readonly string[]
}

/** All processes of one run. */
export interface LoadPlan {
  /** Tells this run's messages from what another one left behind. */
  readonly run: string
  /** Lifetime of each message, ms; its promise must have settled soon after. */
  readonly lifetimeMs: number
  /** Socket of a Redis, where workers share a memory. */
  readonly redis?: string | undefined
  /** Hosts in the brokers' URLs that stand for loopback: links listen there under the brokers' names. */
  readonly hosts?: readonly string[]
  readonly processes: readonly ProcessPlan[]
}

/** Who takes part: addresses with their identity folders. */
export interface Cast {
  readonly centre: Participant
  readonly steady: readonly Participant[]
  readonly quiet: readonly Participant[]
  readonly late: readonly Participant[]
  /** Of the centre's role: exchange messages with the first of the steady ones. */
  readonly declaring: readonly Participant[]
  /** Message types that the policy allows: from the centre to the others, and back. Default: `activate` and `report`. */
  readonly types?: { readonly down: string; readonly up: string }
}

export interface Participant {
  readonly address: string
  readonly identity: string
}

/** Knobs of the standard plan. */
export interface PlanOptions {
  readonly run: string
  readonly everyMs: number
  readonly groups: readonly Group[]
  /** Delay of the first message of a quiet or late lane, asked for each. */
  readonly delayMs: () => number
  readonly lifetimeMs?: number
  /** Those that behave in a way of their own, by role; each gets a process of its own. */
  readonly parties?: ReadonlyMap<string, PartySpec>
}

export const DEFAULT_LIFETIME_MS = 60_000 // 1 minute
/** After a message's lifetime its promise has this long to settle. */
export const SETTLE_GRACE_MS = 5_000

/** Nobody behaves in a way of their own. */
const NOBODY: ReadonlyMap<string, PartySpec> = new Map()

/** The centre in one process, its hubs in another, those who connect later in a third; special ones each in their own. */
export function standardPlan(cast: Cast, options: PlanOptions): LoadPlan {
  const { run, groups, lifetimeMs = DEFAULT_LIFETIME_MS, parties: specs = NOBODY } = options
  const lanes = groups.flatMap(group => lanesOf(cast, group, options))
  const parties = [
    { ...cast.centre, role: 'centre', group: 'steady' as const },
    ...groups.flatMap(group => cast[group].map((each, i) => ({ ...each, role: `${group}-${i + 1}`, group }))),
  ].map((party): PartyPlan => ({ ...party, ...specs.get(party.role) }))
  const processOf = ({ role, group }: PartyPlan): string => {
    if (specs.has(role) || role === 'centre') return role
    return CONNECT_AT_BEGIN.has(group) ? 'late' : 'hubs'
  }
  const names = [...new Set(parties.map(processOf))]
  const processes = names.map(name =>
    processPlan(
      name,
      parties.filter(party => processOf(party) === name),
      lanes,
    ),
  )
  return { run, lifetimeMs, processes: processes.flatMap(withWorkers) }
}

function processPlan(name: string, parties: readonly PartyPlan[], lanes: readonly LanePlan[]): ProcessPlan {
  return { name, parties, lanes: lanes.filter(({ from }) => parties.some(({ address }) => address === from)) }
}

/** More workers of the same inbox: they handle, and send nothing of their own. */
function withWorkers(process: ProcessPlan): ProcessPlan[] {
  const workers = Math.max(1, ...process.parties.map(party => party.workers ?? 1))
  const more = Array.from({ length: workers - 1 }, (_, i) => ({
    ...process,
    name: `${process.name}-worker-${i + 2}`,
    parties: process.parties.map(party => ({ ...party, worker: i + 2 })),
    lanes: [],
  }))
  return [process, ...more]
}

/** Everybody connects once and sends nothing: whoever declares an inbox has done so afterwards. */
export function rollCall(cast: Cast, run: string): LoadPlan {
  const parties = [cast.centre, ...cast.declaring].map(each => ({
    ...each,
    role: each.address,
    group: 'steady' as const,
  }))
  return { run, lifetimeMs: DEFAULT_LIFETIME_MS, processes: [{ name: 'roll-call', parties, lanes: [] }] }
}

/** Addresses of everybody in the cast. */
export function addressesOf(cast: Cast): string[] {
  const { centre, steady, quiet, late, declaring } = cast
  return [centre, ...steady, ...quiet, ...late, ...declaring].map(({ address }) => address)
}

/** Both directions between each of a group and its peer. */
function lanesOf(cast: Cast, group: Group, { everyMs, delayMs }: PlanOptions): LanePlan[] {
  return cast[group].flatMap(({ address }) => {
    const [plant, hub] =
      group === 'declaring' ? [address, cast.steady[0]?.address] : [cast.centre.address, address]
    if (hub === undefined) throw new RangeError('standardPlan: expected at least one steady hub')
    const rest = { group, everyMs, delayMs: group === 'quiet' || group === 'late' ? delayMs() : 0 }
    const { down, up } = cast.types ?? { down: 'activate', up: 'report' }
    return [lane(plant, hub, down, rest), lane(hub, plant, up, rest)]
  })
}

function lane(
  from: string,
  to: string,
  type: LanePlan['type'],
  rest: Pick<LanePlan, 'group' | 'everyMs' | 'delayMs'>,
): LanePlan {
  return { lane: `${from}>${to}#report`, from, to, type, ...rest }
}
