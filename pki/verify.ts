/**
 * Checks a device's folder the way the device itself reads it, with everything in it: path, dates, usages, card, keys,
 * cards of others; and what the revocation list says of it.
 */
import { asError } from '../src/errors.js'
import { loadIdentityFolder } from '../src/identity-folder.js'
import type { Device } from './registry.js'

/** What is wrong with a device; an empty list: nothing. */
export interface Finding {
  readonly name: string
  readonly problems: readonly string[]
}

/** Checks one device as of `nowMs`. n.b. of one that was handed out only the card is here. */
export async function verifyDevice(device: Device, nowMs: number): Promise<Finding> {
  const { name, folder } = device
  if (device.revoked) return { name, problems: ['revoked'] }
  if (folder === undefined)
    return {
      name,
      problems: ['its folder is not here: nothing to check but its dates', ...expiry(device, nowMs)],
    }
  return { name, problems: await problemsIn(folder, device, nowMs) }
}

async function problemsIn(folder: string, device: Device, nowMs: number): Promise<string[]> {
  const problems: string[] = []
  try {
    const { trust, identity } = await loadIdentityFolder(folder, {
      now: () => nowMs,
      onWarning: text => problems.push(text),
    })
    const state = trust.revocation(identity.certificate, nowMs)
    if (state === 'stale') problems.push('its revocation list is too old: run sealbus pki refresh')
    if (state === 'revoked') problems.push('its revocation list names it')
  } catch (error) {
    problems.push(asError(error).message)
  }
  return [...problems, ...expiry(device, nowMs)]
}

function expiry({ cardNotAfterMs, notAfterMs }: Device, nowMs: number): string[] {
  if (notAfterMs <= nowMs) return ['its certificate has expired: run sealbus pki renew']
  return cardNotAfterMs <= nowMs ? ['its card has expired: run sealbus pki renew'] : []
}
