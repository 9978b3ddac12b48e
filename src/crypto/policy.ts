/**
 * policy.json: which types may go from whom to whom. What no rule allows is refused. Asked at both ends.
 *
 * n.b. `sealbus/…` types (receipts, cards, replies' carriers) are no application's: no rule allows them and no pattern
 * matches them. The layers that own them decide: a receipt counts once, only from the party that the original was sealed
 * to, for something outstanding; a card proves itself. In the same way permitting a request permits its reply.
 */
import type { Party } from '../bus.js'
import { SealbusError } from '../errors.js'
import { JsonFields, type JsonObject, parseJsonObject } from './json-fields.js'
import { ADDRESS, DOMAIN, ROLE } from './leaf-profile.js'
import type { PolicyCheck } from './sealing.js'

const RESERVED = 'sealbus/'
/** A type, or the beginning of one followed by `*`. */
const TYPE_PATTERN = /^(?:[A-Za-z0-9._/-]{1,64}|[A-Za-z0-9._/-]{0,63}\*)$/
const MAX_AGE_LIMIT_S: number = 7 * 24 * 3600

/** Every field that is given has to match; without a domain one's own is meant. */
interface PartyRule {
  readonly domain: string
  readonly role: string | undefined
  readonly address: string | undefined
}

interface Rule {
  readonly from: PartyRule
  readonly to: PartyRule
  readonly types: readonly string[]
  readonly maxAgeMs: number | undefined
}

/**
 * Reads and checks policy.json.
 * @param domain - one's own: what a rule without a domain means
 * @param name - the file, for messages
 * @throws SealbusError `configuration`
 */
export function parsePolicy(text: string, domain: string, name = 'policy.json'): PolicyCheck {
  const fields = new JsonFields(parseJsonObject(text, name), name)
  fields.version(1)
  const rules = fields
    .objects('allow')
    .map((value, index) => parseRule(value, `${name}: allow[${index}]`, domain))
  fields.end()
  return { permit: (from, to, type) => permit(rules, from, to, type) }
}

function parseRule(value: JsonObject, name: string, domain: string): Rule {
  const fields = new JsonFields(value, name)
  const seconds = fields.optionalInteger('maxAgeSeconds', 1, MAX_AGE_LIMIT_S)
  const rule = {
    from: parseParty(fields.object('from'), `${name}.from`, domain),
    to: parseParty(fields.object('to'), `${name}.to`, domain),
    types: fields.texts('types', TYPE_PATTERN, 1),
    maxAgeMs: seconds === undefined ? undefined : seconds * 1000,
  }
  fields.end()
  return rule
}

function parseParty(value: JsonObject, name: string, ownDomain: string): PartyRule {
  const fields = new JsonFields(value, name)
  const rule = {
    domain: fields.optionalText('domain', DOMAIN) ?? ownDomain,
    role: fields.optionalText('role', ROLE),
    address: fields.optionalText('address', ADDRESS),
  }
  fields.end()
  if (Object.keys(value).length === 0)
    throw new SealbusError('configuration', `${name}: expected "role", "address" or "domain", got none`)
  return rule
}

/** Of several rules that allow it the strictest age counts. */
function permit(
  rules: readonly Rule[],
  from: Party & { role: string },
  to: Party & { role: string },
  type: string,
): { maxAgeMs?: number } | undefined {
  if (type.startsWith(RESERVED)) return undefined
  const allowing = rules.filter(
    rule =>
      matches(rule.from, from) && matches(rule.to, to) && rule.types.some(pattern => covers(pattern, type)),
  )
  if (allowing.length === 0) return undefined
  const ages = allowing.flatMap(rule => rule.maxAgeMs ?? [])
  return ages.length === 0 ? {} : { maxAgeMs: Math.min(...ages) }
}

function matches(rule: PartyRule, party: Party & { role: string }): boolean {
  return (
    rule.domain === party.domain &&
    (rule.role === undefined || rule.role === party.role) &&
    (rule.address === undefined || rule.address === party.address)
  )
}

function covers(pattern: string, type: string): boolean {
  return pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern
}
