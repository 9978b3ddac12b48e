/** A device's config.json: where its brokers are and how it keeps its state. `connect` reads it. */
import { join } from 'node:path'
import { SealbusError } from '../src/errors.js'
import { EXCHANGE, VHOST } from './definitions.js'
import { json, readJson } from './files.js'
import { DEVICE_FILES } from './layout.js'
import type { InboxKind } from './policy.js'

/** What the domain decides; every other field is the device's own to change. */
export interface ManagedConfig {
  readonly address: string
  readonly brokers: readonly string[]
  readonly inbox: { readonly kind: InboxKind; readonly declare: boolean; readonly partitions?: number }
}

/** The text of a new one. */
export function newConfig({ address, brokers, inbox }: ManagedConfig): string {
  return json({
    version: 1,
    address,
    brokers,
    vhost: VHOST,
    exchange: EXCHANGE,
    serverCa: DEVICE_FILES.brokerRoot,
    directory: [DEVICE_FILES.cards],
    state: 'state',
    seen: 'file',
    inbox,
  })
}

/** The text of the one in the folder with the managed fields as they should be, the others as they are. */
export function updatedConfig(folder: string, managed: Partial<ManagedConfig>): string {
  const path = join(folder, DEVICE_FILES.config)
  const given = readJson(path)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new SealbusError('configuration', `${path}: expected an object`)
  }
  return json({ ...given, ...managed })
}
