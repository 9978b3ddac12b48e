/**
 * Brings a domain's folder up to date after devices have come, gone or changed: D/cards, the cards in the devices'
 * folders, the broker's definitions. Writes what differs and nothing else, so it may run at any time, also after a crash.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseCard } from '../src/crypto/card.js'
import { definitions } from './definitions.js'
import { makeFolder, namesIn, readIfThere, writeIfDifferent } from './files.js'
import { cardFile, cardName, DEVICE_FILES } from './layout.js'
import type { Pki } from './pki.js'
import { correspondents, type DomainPolicy, roleSettings } from './policy.js'
import type { Device } from './registry.js'

/** Returns how many files changed. */
export function deliver(
  pki: Pki,
  policy: DomainPolicy,
  devices: readonly Device[],
  onDevice?: () => void,
): number {
  let changed = 0
  for (const device of devices) changed += putCard(pki.layout.cards, device)
  const valid = devices.filter(device => !device.revoked)
  const known = new Set(devices.map(device => device.name))
  const correspondentsOf = correspondents(policy, valid, pki.domain)
  for (const device of valid) {
    onDevice?.()
    if (device.folder === undefined) continue
    changed += deliverCards(join(device.folder, DEVICE_FILES.cards), correspondentsOf(device), known)
  }
  return changed + Number(writeDefinitions(pki, policy, devices))
}

function deliverCards(folder: string, wanted: ReadonlySet<Device>, known: ReadonlySet<string>): number {
  makeFolder(folder)
  const names = new Set([...wanted].map(device => device.name))
  const surplus = namesIn(folder).filter(file => {
    const name = cardName(file)
    return name !== undefined && known.has(name) && !names.has(name)
  })
  for (const file of surplus) rmSync(join(folder, file))
  let changed = surplus.length
  for (const device of wanted) changed += putCard(folder, device)
  return changed
}

/** n.b. a card that is newer than ours came from its device itself, and stays. */
function putCard(folder: string, device: Device): number {
  const path = join(folder, cardFile(device.name))
  const before = readIfThere(path)
  if (before !== undefined && (before.equals(device.card) || parseCard(before).counter >= device.cardCounter))
    return 0
  return Number(writeIfDifferent(path, device.card))
}

/** Writes D/broker/definitions.json where it differs; returns whether it did. */
export function writeDefinitions(pki: Pki, policy: DomainPolicy, devices: readonly Device[]): boolean {
  const users = devices.map(({ name, role, inbox, revoked }) => {
    const { declare, partitions } = roleSettings(policy, role, pki.layout.policy)
    return { name, inbox, declare, revoked, ...(inbox === 'quorum' && partitions && { partitions }) }
  })
  return writeIfDifferent(pki.layout.definitions, definitions(users))
}
