/** Reads `load.parties` of a scenario file: who behaves in a way of its own. */
import { choice, duration, fields, flag, type Read, text, whole, wrong } from './fields.js'
import type { PartySpec } from './plan.js'
import type { Yaml } from './yaml.js'

const ROLE = /^(centre|(steady|quiet|late|declaring)-[1-9]\d*)$/

const party: Read<PartySpec> = fields('a map about one party', map => {
  const spec = {
    handlerMs: map.maybe('handler', duration),
    handlerLimitMs: map.maybe('handler-limit', duration),
    concurrency: map.maybe('concurrency', whole(1, 1_024)),
    outbox: map.maybe('outbox', choice('memory', 'disk')),
    until: map.maybe('until', choice('stored', 'confirmed', 'handled')),
    seen: map.maybe('seen', choice('memory', 'file', 'shared')),
    restartMs: map.maybe('restart', duration),
    unbound: map.maybe('unbound', flag),
    links: map.maybe('links', flag),
    workers: map.maybe('workers', whole(1, 16)),
  }
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined))
})

/** By role. */
export const readParties: Read<ReadonlyMap<string, PartySpec>> = (yaml: Yaml) => {
  if (yaml.is !== 'map') throw wrong(yaml, 'a map of parties: centre, steady-1, …')
  const found = [...yaml.entries].map(([role, value]) => {
    if (!ROLE.test(role))
      throw wrong(
        { ...value, is: 'scalar', value: role },
        'a party: centre, steady-1, quiet-2, late-1, declaring-1',
      )
    return [role, party(value)] as const
  })
  return new Map(found)
}

/** A role as text, for words that take one. */
export const role: Read<string> = yaml => {
  const name = text(yaml)
  if (ROLE.test(name)) return name
  throw wrong(yaml, 'a party: centre, steady-1, quiet-2, late-1, declaring-1')
}
