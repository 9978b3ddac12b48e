/**
 * Where everything stands in a domain's folder. The only file that spells a path.
 */
import { join } from 'node:path'

export interface Layout {
  readonly dir: string
  /** What the domain is: its name, its brokers. Its presence says that the folder is complete. */
  readonly settings: string
  /** The domain's policy, for editing. */
  readonly policy: string
  readonly identityRoot: string
  readonly brokerRoot: string
  /** The newest revocation list. */
  readonly revocationList: string
  /** CA keys, encrypted, and the certificates below the root. */
  readonly ca: string
  readonly devices: string
  readonly cards: string
  readonly definitions: string
  /** Server certificates, one folder a node. */
  readonly nodes: string
  readonly lock: string
  /** Drafts: whatever is in it belongs to a process that has died. */
  readonly workshop: string
}

export function layoutOf(dir: string): Layout {
  return {
    dir,
    settings: join(dir, 'pki.json'),
    policy: join(dir, 'policy.json'),
    identityRoot: join(dir, 'identity-root.crt'),
    brokerRoot: join(dir, 'broker-root.crt'),
    revocationList: join(dir, 'revoked.cbor'),
    ca: join(dir, 'ca'),
    devices: join(dir, 'devices'),
    cards: join(dir, 'cards'),
    definitions: join(dir, 'broker', 'definitions.json'),
    nodes: join(dir, 'broker', 'nodes'),
    lock: join(dir, '.lock'),
    workshop: join(dir, '.tmp'),
  }
}

/** The names inside a device's folder; see docs/PROTOCOL.md for their contents. */
export const DEVICE_FILES = {
  key: 'identity.key',
  certificate: 'identity.crt',
  chain: 'chain.crt',
  sealing: 'sealing',
  card: 'card.cbor',
  trust: 'trust.json',
  policy: 'policy.json',
  config: 'config.json',
  revocationList: 'revoked.cbor',
  cards: 'cards',
  identityRoot: 'identity-root.crt',
  brokerRoot: 'broker-root.crt',
} as const

const CARD_SUFFIX = '.cbor'

/** `NAME.cbor` */
export function cardFile(name: string): string {
  return name + CARD_SUFFIX
}

/** The inverse of {@link cardFile}; undefined for another file. */
export function cardName(file: string): string | undefined {
  return file.endsWith(CARD_SUFFIX) ? file.slice(0, -CARD_SUFFIX.length) : undefined
}
