/** What a scenario expects beside the invariants: events that somebody must tell, and events that nobody may tell. Pure. */
import type { Violation } from './invariants.js'
import type { Entry, Told } from './ledger.js'
import type { Expectation } from './script.js'

/** @param from - events before it do not count, ms since the epoch */
export function asExpected(
  entries: readonly Entry[],
  { events, noEvents }: Pick<Expectation, 'events' | 'noEvents'>,
  { from, until }: { readonly from: number; readonly until: number },
): Violation[] {
  const told = entries.filter(
    (entry): entry is Told => entry.kind === 'event' && entry.t >= from && entry.t <= until,
  )
  const missing = events.filter(name => told.every(each => each.name !== name))
  const odd = noEvents.map(name => ({ name, told: told.filter(each => each.name === name) }))
  return [
    ...missing.map(name => broken(`expected the event ${name}, which nobody told`)),
    ...odd.filter(each => each.told.length > 0).map(each => broken(unwanted(each.name, each.told))),
  ]
}

function unwanted(name: string, told: readonly Told[]): string {
  const parties = [...new Set(told.map(({ party }) => party))].slice(0, 5).join(', ')
  return `expected no event ${name}, which was told ${told.length} times, by ${parties}`
}

function broken(message: string): Violation {
  return { invariant: 'I6', message }
}
