/**
 * The names that a domain gives out: addresses, domains, roles, and the numbered names of a fleet.
 */
import { ADDRESS, DOMAIN, ROLE } from '../src/crypto/leaf-profile.js'
import { SealbusError } from '../src/errors.js'

/** Digits of a fleet's number at least: `heh-0001`. */
const FLEET_DIGITS = 4
/** Devices of one fleet at most. */
export const MAX_FLEET = 1_000_000

function check(pattern: RegExp, what: string, rule: string, given: string): string {
  if (pattern.test(given)) return given
  throw new SealbusError(
    'configuration',
    `${what}: expected ${rule}, got ${JSON.stringify(given.slice(0, 100))}`,
  )
}

/** A device's name, which is its address, its certificate's CN and its RabbitMQ user. @throws SealbusError `configuration` */
export function checkAddress(name: string): string {
  return check(ADDRESS, 'name', '1 to 64 of A-Z a-z 0-9 _ -', name)
}

/** @throws SealbusError `configuration` */
export function checkDomain(domain: string): string {
  // n.b. a folder named after a domain must stay inside its parent
  if (domain === '.' || domain === '..') return check(/^$/, 'domain', 'more than dots', domain)
  return check(DOMAIN, 'domain', '1 to 64 of A-Z a-z 0-9 . _ -', domain)
}

/** A role, which is the certificate's OU. @throws SealbusError `configuration` */
export function checkRole(role: string): string {
  return check(ROLE, 'role', '1 to 64 of A-Z a-z 0-9 . _ -', role)
}

/** One device of a fleet. */
export interface FleetMember {
  readonly name: string
  readonly role: string
}

/**
 * Numbered names, from 1, padded to at least 4 digits: `heh-0001`.
 * @throws SealbusError `configuration` for a bad count, prefix or role
 */
export function numberedFleet(prefix: string, count: number, role: string): FleetMember[] {
  if (!Number.isInteger(count) || count < 1 || count > MAX_FLEET) {
    throw new SealbusError(
      'configuration',
      `count: expected a whole number from 1 to ${MAX_FLEET}, got ${count}`,
    )
  }
  checkRole(role)
  const digits = Math.max(FLEET_DIGITS, String(count).length)
  const name = (n: number): string => prefix + String(n).padStart(digits, '0')
  checkAddress(name(count))
  return Array.from({ length: count }, (_, i) => ({ name: name(i + 1), role }))
}

/**
 * A fleet's list: the header `name,role`, then one device a line; empty lines and lines that start with `#` are left out.
 * @throws SealbusError `configuration` naming the line
 */
export function parseFleetCsv(text: string): readonly FleetMember[] {
  const rows = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line, i) => ({ number: i + 1, cells: line.split(',').map(unquote) }))
    .filter(row => row.cells.join('') !== '' && !row.cells[0]?.startsWith('#'))
  const header = rows.shift()?.cells.map(cell => cell.toLowerCase()) ?? []
  const at = { name: header.indexOf('name'), role: header.indexOf('role') }
  if (at.name < 0 || at.role < 0) {
    throw new SealbusError('configuration', 'CSV: expected the columns name,role in the first line')
  }
  return checkFleet(rows.map(row => member(row.cells[at.name] ?? '', row.cells[at.role] ?? '', row.number)))
}

function unquote(cell: string): string {
  return cell.trim().replace(/^"(.*)"$/, '$1')
}

function member(name: string, role: string, line: number): FleetMember {
  try {
    return { name: checkAddress(name), role: checkRole(role) }
  } catch (cause) {
    throw new SealbusError('configuration', `CSV line ${line}: ${(cause as Error).message}`, { cause })
  }
}

/** Good names and roles, each name once. @throws SealbusError `configuration` */
export function checkFleet<T extends FleetMember>(members: readonly T[]): readonly T[] {
  const roles = new Map<string, string>()
  for (const { name, role } of members) {
    const other = roles.get(checkAddress(name))
    if (other !== undefined) {
      throw new SealbusError('configuration', `${name}: is in the list twice (${other}, ${role}); keep one`)
    }
    roles.set(name, checkRole(role))
  }
  return members
}
