/**
 * Who takes part, from a domain's devices: one of a role that exchanges messages both ways with most others is the centre,
 * those others are its hubs. In the domain that the tool makes itself these are a plant and its hubs.
 */
import { type Device, listDevices, type Pki, type Rule } from '../pki/index.js'
import { SealbusError } from '../src/errors.js'
import type { Cast, Participant } from './plan.js'

/** So many hubs at most play each part; the steady ones come first. */
const PARTS = { steady: 4, quiet: 4, late: 1 } as const

/** Roles that may send to each other, and with which types. */
interface Pair {
  readonly centre: string
  readonly hub: string
  readonly down: string
  readonly up: string
}

/**
 * The cast of a domain.
 * @throws SealbusError `configuration` when no two roles of its devices exchange messages both ways
 */
export function castOf(pki: Pki): Cast {
  const devices = listDevices(pki).filter(({ folder, revoked }) => folder !== undefined && !revoked)
  const { allow, roles } = pki.policy()
  const ofRole = (role: string): Device[] => devices.filter(device => device.role === role)
  const [pair] = pairs(allow, Object.keys(roles))
    .filter(({ centre, hub }) => ofRole(centre).length > 0 && ofRole(hub).length > 0)
    .sort((a, b) => ofRole(b.hub).length - ofRole(a.hub).length || a.centre.localeCompare(b.centre))
  if (pair === undefined)
    throw new SealbusError(
      'configuration',
      `${pki.layout.dir}: expected devices of two roles that may send to each other (policy.json), got ${[...new Set(devices.map(({ role }) => role))].join(', ') || 'no device'}; issue some with sealbus pki provision`,
    )
  return played(pair, ofRole(pair.centre), ofRole(pair.hub), roles[pair.centre]?.declare === true)
}

function played(pair: Pair, plants: readonly Device[], hubs: readonly Device[], declares: boolean): Cast {
  const [centre, ...others] = plants.map(participant)
  if (centre === undefined) throw new RangeError('expected a centre')
  const players = hubs.map(participant)
  const { steady, quiet, late } = PARTS
  return {
    centre,
    declaring: declares ? others.slice(0, 1) : [],
    steady: players.slice(0, steady),
    quiet: players.slice(steady, steady + quiet),
    late: players.slice(steady + quiet, steady + quiet + late),
    types: { down: pair.down, up: pair.up },
  }
}

function participant({ name, folder }: Device): Participant {
  return { address: name, identity: folder ?? '' }
}

/** n.b. rules about single addresses or other domains say nothing of roles, and are left out. */
function pairs(rules: readonly Rule[], roles: readonly string[]): Pair[] {
  return roles.flatMap(centre =>
    roles.flatMap(hub => {
      const down = typeBetween(rules, centre, hub)
      const up = typeBetween(rules, hub, centre)
      return hub === centre || down === undefined || up === undefined ? [] : [{ centre, hub, down, up }]
    }),
  )
}

/** The first type that one role may send to the other; of `bemcom/*` one that it covers. */
function typeBetween(rules: readonly Rule[], from: string, to: string): string | undefined {
  const rule = rules.find(
    each =>
      each.from.role === from &&
      each.to.role === to &&
      each.from.address === undefined &&
      each.to.address === undefined,
  )
  return rule?.types[0]?.replace(/\*$/, 'chaos')
}
