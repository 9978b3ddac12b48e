/**
 * What a domain needs after issuing: renewing certificates, revoking devices, and writing again whatever follows from
 * D/policy.json and D/pki.json.
 */
import { join } from 'node:path'
import type { RevocationList } from '../src/crypto/revocation.js'
import { SealbusError } from '../src/errors.js'
import { readAuthorityCertificate } from './authority.js'
import { updatedConfig } from './config-file.js'
import { deliver } from './delivery.js'
import { DeviceWriter } from './device.js'
import { writeIfDifferent } from './files.js'
import { DEVICE_FILES } from './layout.js'
import { checkBrokers, type Pki } from './pki.js'
import { type Device, findDevice, listDevices } from './registry.js'
import { isAgeing, nextList, readList, signList, withRevoked } from './revocation-list.js'

export interface Refreshed {
  readonly devices: number
  /** Files that differed and were written. */
  readonly filesChanged: number
  /** The revocation list was getting old: there is a new one. */
  readonly listRenewed: boolean
}

/**
 * Writes again what follows from D/policy.json: policies, trust files, cards, definitions; and the revocation list once
 * half of its age has passed. What does not differ is not touched.
 * @throws SealbusError `configuration`, `identity`, `store-failed`
 */
export async function refresh(pki: Pki): Promise<Refreshed> {
  return pki.exclusively(() => {
    const listRenewed = renewListIfAgeing(pki)
    return { ...rewrite(pki, listDevices(pki)), listRenewed }
  })
}

function renewListIfAgeing(pki: Pki): boolean {
  const list = readList(pki.layout.revocationList)
  if (!isAgeing(list, pki.now())) return false
  saveList(pki, nextList(list, pki.now()))
  return true
}

function rewrite(pki: Pki, devices: readonly Device[]): Omit<Refreshed, 'listRenewed'> {
  const policy = pki.policy()
  const writer = new DeviceWriter(pki, policy)
  let filesChanged = 0
  for (const device of devices) {
    if (device.folder !== undefined) filesChanged += writer.refresh(device, device.folder)
  }
  return { devices: devices.length, filesChanged: filesChanged + deliver(pki, policy, devices) }
}

function saveList(pki: Pki, list: RevocationList): void {
  writeIfDifferent(pki.layout.revocationList, signList(list, pki.authority('revocation')))
}

/**
 * Revokes devices: a new signed list in every device's folder, no rights left in the definitions, no card left with
 * others. Returns the names that were not revoked before.
 * @throws SealbusError `configuration` for an unknown name
 */
export async function revoke(pki: Pki, names: readonly string[]): Promise<readonly string[]> {
  pki.authority('revocation')
  return pki.exclusively(() => {
    const devices = names.map(name => findDevice(pki, name)).filter(device => !device.revoked)
    const issuer = readAuthorityCertificate(pki.layout.dir, 'issuing')
    const before = readList(pki.layout.revocationList)
    const list = devices.reduce(
      (sum, { certificate }) => withRevoked(sum, certificate, issuer, pki.now()),
      before,
    )
    if (devices.length > 0) saveList(pki, { ...list, number: before.number + 1 })
    rewrite(pki, listDevices(pki)) // also where an earlier run died half way
    return devices.map(device => device.name)
  })
}

export interface RenewOptions {
  /** Only what ends within so many days. */
  readonly withinDays?: number
}

/**
 * Renews certificates of devices: the same key, a new certificate, a card to match; and the revocation list where half of
 * its age has passed. Revoked devices are left alone, and so are those whose folder is not here. Returns the names renewed.
 * @throws SealbusError `configuration` for an unknown or revoked name
 */
export async function renew(
  pki: Pki,
  names: readonly string[] | 'all',
  options: RenewOptions = {},
): Promise<readonly string[]> {
  pki.authority('issuing')
  return pki.exclusively(() => {
    const chosen =
      names === 'all'
        ? listDevices(pki).filter(isRenewable)
        : names.map(name => expectRenewable(findDevice(pki, name)))
    const horizonMs = pki.now() + (options.withinDays ?? Number.POSITIVE_INFINITY) * 24 * 3600 * 1000
    const due = chosen.filter(device => device.notAfterMs <= horizonMs)
    const writer = new DeviceWriter(pki, pki.policy())
    for (const device of due) if (device.folder !== undefined) writer.renew(device, device.folder)
    if (renewListIfAgeing(pki)) rewrite(pki, listDevices(pki))
    else deliver(pki, pki.policy(), listDevices(pki))
    return due.map(device => device.name)
  })
}

function isRenewable(device: Device): boolean {
  return !device.revoked && device.folder !== undefined
}

function expectRenewable(device: Device): Device {
  if (isRenewable(device)) return device
  const why = device.revoked ? 'was revoked' : 'has no folder here; renew where its key is'
  throw new SealbusError('configuration', `${device.name}: ${why}`)
}

/**
 * Tells every device where the brokers are: D/pki.json and each config.json, where they differ. Other fields of a
 * config.json stay as they are. Returns how many files changed.
 * @throws SealbusError `configuration` for something that is no broker URL
 */
export async function setBrokers(pki: Pki, urls: readonly string[]): Promise<number> {
  const brokers = checkBrokers(urls)
  return pki.exclusively(() => {
    let changed = Number(pki.saveSettings({ ...pki.settings, brokers }))
    for (const { folder } of listDevices(pki)) {
      if (folder === undefined) continue
      changed += Number(
        writeIfDifferent(join(folder, DEVICE_FILES.config), updatedConfig(folder, { brokers })),
      )
    }
    return changed
  })
}
