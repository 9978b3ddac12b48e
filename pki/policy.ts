/**
 * The domain's policy, D/policy.json: its roles and who may send what to whom. Each device gets the rules in which it
 * takes part, and the cards of those it may send to.
 */
import { INBOX_KINDS } from '../src/crypto/card.js'
import { parsePolicy } from '../src/crypto/policy.js'
import type { Recipient } from '../src/crypto/sealing.js'
import { SealbusError } from '../src/errors.js'
import { readJson } from './files.js'
import { checkRole } from './names.js'

/** How the broker keeps a device's mail. */
export type InboxKind = Recipient['inbox']

/** One side of a rule: everybody that has all that is named. */
export interface Selector {
  readonly role?: string
  readonly address?: string
  /** Default: one's own. */
  readonly domain?: string
}

/** As in a device's policy.json. */
export interface Rule {
  readonly from: Selector
  readonly to: Selector
  /** Exact, or ending in `*`. */
  readonly types: readonly string[]
  /** The recipient refuses what is older. */
  readonly maxAgeSeconds?: number
}

/** What a device of a role gets. */
export interface RoleSettings {
  readonly inbox: InboxKind
  /** It declares its own queues (installations); otherwise they come from the definitions (devices). */
  readonly declare: boolean
  /** Queues that its inbox is divided into by sender, for several workers, 2..64. Absent: one. */
  readonly partitions?: number
}

export interface DomainPolicy {
  readonly version: 1
  readonly roles: Readonly<Record<string, RoleSettings>>
  readonly allow: readonly Rule[]
}

/** Somebody that rules apply to. */
export interface Member {
  readonly name: string
  readonly role: string
}

/** Reads D/policy.json. @throws SealbusError `configuration` naming what is wrong in it */
export function readPolicy(path: string, domain: string): DomainPolicy {
  const given = readJson(path)
  try {
    return parseDomainPolicy(given, domain)
  } catch (cause) {
    throw new SealbusError('configuration', `${path}: ${(cause as Error).message}`, { cause })
  }
}

function parseDomainPolicy(given: unknown, domain: string): DomainPolicy {
  const { version, roles, allow, ...rest } = object(given, 'policy')
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw new TypeError(`unknown field ${JSON.stringify(unknown)}`)
  const rows = Object.entries(object(roles, 'roles')).map(([role, row]) => [
    checkRole(role),
    parseRole(role, row),
  ])
  parsePolicy(JSON.stringify({ version, allow }), domain) // the devices' own reader: what it takes, they take
  return {
    version: 1,
    roles: Object.fromEntries(rows) as Record<string, RoleSettings>,
    allow: allow as readonly Rule[],
  }
}

function parseRole(role: string, given: unknown): RoleSettings {
  const { inbox, declare, partitions } = object(given, `roles.${role}`)
  if (typeof declare !== 'boolean') throw new TypeError(`roles.${role}.declare: expected true or false`)
  const kind = checkInboxKind(String(inbox), `roles.${role}.inbox`)
  if (partitions === undefined) return { inbox: kind, declare }
  if (kind !== 'quorum' || !Number.isInteger(partitions) || Number(partitions) < 2 || Number(partitions) > 64)
    throw new TypeError(`roles.${role}.partitions: expected a whole number 2..64, of a quorum inbox`)
  return { inbox: kind, declare, partitions: Number(partitions) }
}

function object(given: unknown, where: string): Record<string, unknown> {
  if (typeof given === 'object' && given !== null && !Array.isArray(given))
    return given as Record<string, unknown>
  throw new TypeError(`${where}: expected an object`)
}

/** @throws SealbusError `configuration` */
export function checkInboxKind(given: string, where: string): InboxKind {
  const kind = INBOX_KINDS.find(known => known === given)
  if (kind !== undefined) return kind
  throw new SealbusError(
    'configuration',
    `${where}: expected ${INBOX_KINDS.join(', ')}, got ${JSON.stringify(given)}`,
  )
}

/** @throws SealbusError `configuration` for a role that the policy does not know */
export function roleSettings(policy: DomainPolicy, role: string, path: string): RoleSettings {
  const settings = Object.hasOwn(policy.roles, role) ? policy.roles[role] : undefined
  if (settings !== undefined) return settings
  const known = Object.keys(policy.roles).join(', ')
  throw new SealbusError(
    'configuration',
    `role: expected one of ${known}, got ${role}; a new role needs a row under "roles" in ${path}, then sealbus pki refresh`,
  )
}

function selects(selector: Selector, member: Member, domain: string): boolean {
  return (
    (selector.role ?? member.role) === member.role &&
    (selector.address ?? member.name) === member.name &&
    (selector.domain ?? domain) === domain
  )
}

/** The rules in which a member takes part, as they stand in its policy.json. */
export function rulesOf(policy: DomainPolicy, member: Member, domain: string): readonly Rule[] {
  return policy.allow.filter(rule => selects(rule.from, member, domain) || selects(rule.to, member, domain))
}

/**
 * Finds for each member those it exchanges messages with: who may send to somebody gets replies and receipts from
 * there, so both need the other's card. One pass over rules and members; the cost of an answer is its size.
 */
export function correspondents<M extends Member>(
  policy: DomainPolicy,
  members: readonly M[],
  domain: string,
): (member: M) => ReadonlySet<M> {
  const sides = policy.allow.map(rule => ({
    rule,
    from: members.filter(member => selects(rule.from, member, domain)),
    to: members.filter(member => selects(rule.to, member, domain)),
  }))
  return member => {
    const found = new Set<M>()
    for (const { rule, from, to } of sides) {
      if (selects(rule.from, member, domain)) for (const other of to) found.add(other)
      if (selects(rule.to, member, domain)) for (const other of from) found.add(other)
    }
    found.delete(member)
    return found
  }
}
