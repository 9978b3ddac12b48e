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
 */
export type Group = 'steady' | 'quiet' | 'late'

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

/** The centre in one process, its hubs in another, the late ones in a third. */
export function standardPlan(cast: Cast, options: PlanOptions): LoadPlan {
  const lanes: LanePlan[] = []
  const hubs: PartyPlan[] = []
  for (const group of options.groups) {
    for (const { address, identity } of cast[group]) {
      hubs.push({ address, identity, group })
      const shared = { group, everyMs: options.everyMs, delayMs: group === 'steady' ? 0 : options.delayMs() }
      lanes.push(
        lane(cast.centre.address, address, 'activate', shared),
        lane(address, cast.centre.address, 'report', shared),
      )
    }
  }
  const process = (name: string, parties: readonly PartyPlan[]): ProcessPlan => ({
    name,
    parties,
    lanes: lanes.filter(({ from }) => parties.some(({ address }) => address === from)),
  })
  const processes = [
    process('centre', [{ ...cast.centre, group: 'steady' }]),
    process(
      'hubs',
      hubs.filter(({ group }) => group !== 'late'),
    ),
    process(
      'late',
      hubs.filter(({ group }) => group === 'late'),
    ),
  ]
  return {
    run: options.run,
    lifetimeMs: options.lifetimeMs ?? DEFAULT_LIFETIME_MS,
    processes: processes.filter(({ parties }) => parties.length > 0),
  }
}

/** Addresses of everybody in the cast. */
export function addressesOf(cast: Cast): string[] {
  return [cast.centre, ...cast.steady, ...cast.quiet, ...cast.late].map(({ address }) => address)
}

function lane(
  from: string,
  to: string,
  type: LanePlan['type'],
  rest: Pick<LanePlan, 'group' | 'everyMs' | 'delayMs'>,
): LanePlan {
  return { lane: `${from}>${to}#report`, from, to, type, ...rest }
}
