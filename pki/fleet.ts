/**
 * Issuing: one device or ten thousand. What was issued before stays as it is; what is missing is made; nothing is
 * made when anything in the list cannot be.
 */
import { SealbusError } from '../src/errors.js'
import { deliver } from './delivery.js'
import { DeviceWriter } from './device.js'
import { checkFleet, type FleetMember } from './names.js'
import type { Pki } from './pki.js'
import { type DomainPolicy, type InboxKind, roleSettings } from './policy.js'
import { type Device, findDevice, listDevices } from './registry.js'
import { readList, revokedBefore } from './revocation-list.js'

export interface ProvisionOptions {
  /** Give revoked names a new identity; the old one stays revoked. Default false: they are left alone. */
  readonly again?: boolean
  /** Default: as D/policy.json says for the role. */
  readonly inbox?: InboxKind
  /** Hears how many of how many new devices are made. */
  readonly onProgress?: (done: number, total: number) => void
}

export interface Provisioned {
  /** Names of new devices. */
  readonly issued: readonly string[]
  /** Names that were there, untouched. */
  readonly present: readonly string[]
  /** Names that were revoked, left alone. */
  readonly revoked: readonly string[]
  /** Other files that changed: cards for the others, the definitions. */
  readonly filesChanged: number
}

/**
 * Issues those of a fleet that are missing.
 * @throws SealbusError `configuration`: bad name, unknown role, a name issued with another role; `identity`: wrong
 * passphrase; `store-failed`: full disk. What was made until then is complete, the same call goes on from there.
 */
export async function provision(
  pki: Pki,
  members: readonly FleetMember[],
  options: ProvisionOptions = {},
): Promise<Provisioned> {
  checkFleet(members)
  pki.authority('issuing') // a wrong passphrase is told before anything else
  return pki.exclusively(() => run(pki, members, options))
}

/** Issues one device. n.b. a revoked name is refused. @throws SealbusError as {@link provision} */
export async function issueDevice(
  pki: Pki,
  member: FleetMember,
  options: ProvisionOptions = {},
): Promise<{ device: Device; issued: boolean }> {
  const { issued, revoked } = await provision(pki, [member], options)
  if (revoked.length > 0) {
    throw new SealbusError(
      'configuration',
      `${member.name}: was revoked; choose another name, or give it a new identity with --again`,
    )
  }
  return { device: findDevice(pki, member.name), issued: issued.length > 0 }
}

function run(pki: Pki, members: readonly FleetMember[], options: ProvisionOptions): Provisioned {
  const policy = pki.policy()
  const existing = new Map(listDevices(pki).map(device => [device.name, device]))
  for (const member of members) checkMember(pki, policy, member, existing.get(member.name))
  const isMissing = (device: Device | undefined): boolean =>
    device === undefined || (device.revoked && options.again === true)
  const missing = members.filter(({ name }) => isMissing(existing.get(name)))
  const made = issueAll(pki, policy, missing, options)
  const devices = new Map([...existing.values(), ...made].map(device => [device.name, device]))
  const old = members.flatMap(({ name }) => existing.get(name) ?? []).filter(device => !isMissing(device))
  return {
    issued: made.map(({ name }) => name),
    present: old.filter(device => !device.revoked).map(device => device.name),
    revoked: old.filter(device => device.revoked).map(device => device.name),
    filesChanged: deliver(pki, policy, [...devices.values()].sort(byName)),
  }
}

/** By code unit, as everywhere: the same devices give the same definitions. */
const byName = (a: Device, b: Device): number => (a.name < b.name ? -1 : 1)

function checkMember(pki: Pki, policy: DomainPolicy, { name, role }: FleetMember, before?: Device): void {
  roleSettings(policy, role, pki.layout.policy)
  if (before === undefined || before.role === role) return
  throw new SealbusError(
    'configuration',
    `${name}: is issued already, with the role ${before.role}, not ${role}; choose another name`,
  )
}

function issueAll(
  pki: Pki,
  policy: DomainPolicy,
  missing: readonly FleetMember[],
  { inbox, onProgress }: ProvisionOptions,
): Device[] {
  if (missing.length === 0) return []
  const writer = new DeviceWriter(pki, policy)
  const before = revokedBefore(readList(pki.layout.revocationList))
  return missing.map((member, i) => {
    const kind = inbox ?? roleSettings(policy, member.role, pki.layout.policy).inbox
    const device = writer.issue({ ...member, inbox: kind, notBeforeMs: before(member.name) ?? 0 })
    onProgress?.(i + 1, missing.length)
    return device
  })
}
