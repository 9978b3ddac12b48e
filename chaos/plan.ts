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
export type Group = 'steady' | 'quiet' | 'late' | 'declaring'

/** Groups whose parties connect when they are told to begin. */
export const CONNECT_AT_BEGIN: ReadonlySet<Group> = new Set(['late', 'declaring'])

/** One lane of the load. */
export interface LanePlan {
  /** `from>to#report`: the name in ledgers. */
  readonly lane: string
  readonly from: string
  readonly to: string
  /** A type that the provisioned policy allows between the two. */
  readonly type: 'report' | 'activate'
  readonly group: Group
  /** Time between two messages, ms. */
  readonly everyMs: number
  /** The first message of a quiet or late lane goes out this long after its group is told to begin, ms. */
  readonly delayMs: number
}

/** A party and the identity folder it connects with. */
export interface PartyPlan {
  readonly address: string
  readonly identity: string
  readonly group: Group
}

/** One operating-system process of the load. */
export interface ProcessPlan {
  readonly name: string
  readonly parties: readonly PartyPlan[]
  readonly lanes: readonly LanePlan[]
}

/** All processes of one run. */
export interface LoadPlan {
  /** Tells this run's messages from what another one left behind. */
  readonly run: string
  /** Lifetime of each message, ms; its promise must have settled soon after. */
  readonly lifetimeMs: number
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
}

export const DEFAULT_LIFETIME_MS = 60_000 // 1 minute
/** After a message's lifetime its promise has this long to settle. */
export const SETTLE_GRACE_MS = 5_000

/** The centre in one process, its hubs in another, those who connect later in a third. */
export function standardPlan(cast: Cast, options: PlanOptions): LoadPlan {
  const lanes: LanePlan[] = options.groups.flatMap(group => lanesOf(cast, group, options))
  const parties = options.groups.flatMap(group => cast[group].map(each => ({ ...each, group })))
  const process = (name: string, members: readonly PartyPlan[]): ProcessPlan => ({
    name,
    parties: members,
    lanes: lanes.filter(({ from }) => members.some(({ address }) => address === from)),
  })
  const processes = [
    process('centre', [{ ...cast.centre, group: 'steady' }]),
    process(
      'hubs',
      parties.filter(({ group }) => !CONNECT_AT_BEGIN.has(group)),
    ),
    process(
      'late',
      parties.filter(({ group }) => CONNECT_AT_BEGIN.has(group)),
    ),
  ]
  return {
    run: options.run,
    lifetimeMs: options.lifetimeMs ?? DEFAULT_LIFETIME_MS,
    processes: processes.filter(each => each.parties.length > 0),
  }
}

/** Everybody connects once and sends nothing: whoever declares an inbox has done so afterwards. */
export function rollCall(cast: Cast, run: string): LoadPlan {
  const parties = [cast.centre, ...cast.declaring].map(each => ({ ...each, group: 'steady' as const }))
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
    return [lane(plant, hub, 'activate', rest), lane(hub, plant, 'report', rest)]
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
