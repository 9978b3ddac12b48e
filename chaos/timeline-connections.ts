/** What state each party's connections were in, from what its bus told: a band without holes. */
import type { Entry, Told } from './ledger.js'
import type { ConnectionBand, ConnectionState, ConnectionStretch } from './report-model.js'
import type { Range } from './timeline-range.js'

const STATES: ReadonlySet<string> = new Set<ConnectionState>([
  'connecting',
  'ready',
  'blocked',
  'unauthorised',
  'paused',
  'draining',
  'closed',
])

interface PartyState {
  status: ConnectionState
  /** Connections by name that went away and have not come back. */
  readonly away: Set<string>
  readonly stretches: ConnectionStretch[]
  current: ConnectionState
  since: number
}

export class ConnectionsMaker {
  readonly #range: Range
  readonly #parties = new Map<string, PartyState>()

  constructor(range: Range) {
    this.#range = range
  }

  take(entry: Entry): void {
    if (entry.kind !== 'event' || !changesState(entry)) return
    const at = entry.t - this.#range.from
    const party = this.#parties.get(entry.party) ?? appeared(at)
    this.#parties.set(entry.party, party)
    apply(entry, party)
    const state = stateOf(party)
    if (state === party.current) return
    close(party, at)
    party.current = state
    party.since = at
  }

  finish(): ConnectionBand[] {
    const end = this.#range.to - this.#range.from
    return [...this.#parties].map(([name, party]) => {
      close(party, end)
      return { party: name, stretches: party.stretches }
    })
  }
}

function changesState({ name }: Told): boolean {
  return name === 'status' || name === 'connected' || name === 'disconnected'
}

function appeared(at: number): PartyState {
  return { status: 'connecting', away: new Set(), stretches: [], current: 'connecting', since: at }
}

function apply({ name, detail }: Told, party: PartyState): void {
  const { state, connection } = (detail ?? {}) as { state?: unknown; connection?: unknown }
  if (name === 'status' && typeof state === 'string' && STATES.has(state))
    party.status = state as ConnectionState
  if (typeof connection !== 'string') return
  if (name === 'disconnected') party.away.add(connection)
  if (name === 'connected') party.away.delete(connection)
}

function stateOf({ status, away }: PartyState): ConnectionState {
  return status === 'ready' && away.size > 0 ? 'partly' : status
}

/** n.b. two events of the same instant leave no stretch between them. */
function close(party: PartyState, at: number): void {
  if (at > party.since) party.stretches.push({ state: party.current, fromMs: party.since, toMs: at })
}
