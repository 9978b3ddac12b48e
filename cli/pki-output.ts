/** How devices are shown. */

import type { Device } from '../pki/index.js'
import { toHex } from '../src/bytes.js'
import { parseCertificate } from '../src/crypto/certificate.js'

const date = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

function stateOf(device: Device, nowMs: number): string {
  if (device.revoked) return 'revoked'
  return device.notAfterMs < nowMs ? 'expired' : 'valid'
}

/** One line a device. */
export function table(devices: readonly Device[], nowMs: number): string {
  if (devices.length === 0) return 'no devices yet'
  const rows = devices.map(device => [
    device.name,
    device.role,
    date(device.notAfterMs),
    stateOf(device, nowMs),
  ])
  const widths = [0, 1, 2, 3].map(column => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The facts about one device. */
export function describe(device: Device, nowMs: number): Record<string, string | number> {
  const leaf = parseCertificate(new Uint8Array(device.certificate.raw))
  return {
    name: device.name,
    role: device.role,
    state: stateOf(device, nowMs),
    inbox: device.inbox,
    serial: toHex(leaf.serial),
    fingerprint: toHex(leaf.hash),
    notBefore: new Date(device.notBeforeMs).toISOString(),
    notAfter: new Date(device.notAfterMs).toISOString(),
    certificateBytes: leaf.der.length,
    cardNotAfter: new Date(device.cardNotAfterMs).toISOString(),
    folder: device.folder ?? 'handed out',
  }
}
