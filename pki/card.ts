/** A device's sealing keys and cards: its first one, and the next that goes with a renewed certificate. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { toHex } from '../src/bytes.js'
import { issueCard, parseCard } from '../src/crypto/card.js'
import { keyIdOf } from '../src/crypto/suites.js'
import type { InboxKind } from './policy.js'

/** X25519: the suite that every device has. */
const SUITE = 1

/** Who signs a card. */
export interface CardSigner {
  readonly domain: string
  /** Leaf first, root left out. */
  readonly chain: readonly Uint8Array[]
  /** The identity key. */
  readonly privateKey: KeyObject
}

/** A sealing key for the folder `sealing/`. */
export interface SealingKeyFile {
  /** `KEYID.key` */
  readonly file: string
  /** PKCS#8 in PEM (RFC 8410 §7). */
  readonly content: string
}

/** Makes a sealing key and the card that publishes it. */
export function issueFirstCard(
  signer: CardSigner,
  inbox: InboxKind,
  nowMs: number,
): { card: Uint8Array; sealingKey: SealingKeyFile } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  const raw = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'))
  const card = issueCard({ ...requestOf(signer), keys: [[SUITE, raw]], inbox, nowMs })
  const content = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { card, sealingKey: { file: `${toHex(keyIdOf(SUITE, raw))}.key`, content } }
}

/** The same keys for a new certificate. */
export function issueNextCard(signer: CardSigner, before: Uint8Array, nowMs: number): Uint8Array {
  const { keys, inbox, lifetimeSeconds, counter } = parseCard(before)
  return issueCard({ ...requestOf(signer), keys, inbox, lifetimeSeconds, lastCounter: counter, nowMs })
}

function requestOf({ domain, chain, privateKey }: CardSigner) {
  return { domain, chain, signer: privateKey }
}
