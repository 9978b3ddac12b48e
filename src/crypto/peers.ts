/**
 * The seams to what is known of others: whom to believe (Trust) and what they published (Directory). Contract only;
 * trust.ts and directory.ts obey it.
 */
import type { KeyObject } from 'node:crypto'
import type { Party, Sender } from '../bus.js'
import type { Recipient } from './sealing.js'

/** A leaf whose path was accepted. n.b. dates and revocation are asked again at every use. */
export interface Certificate extends Sender {
  readonly der: Uint8Array
  /** SHA-256 of the tbsCertificate, 32 bytes: the certificate's identity (its signature is malleable). */
  readonly hash: Uint8Array
  /** P-256. */
  readonly publicKey: KeyObject
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
}

/** What the revocation list says of a certificate now; `none`: no list is configured and none was ever accepted. */
export type RevocationState = 'good' | 'revoked' | 'stale' | 'none'

export interface Trust {
  /** One's own domain: a bare address means it. */
  readonly domain: string
  /** The floor: suites that may be used at all. */
  readonly suites: ReadonlySet<number>
  /**
   * Validates a path, leaf first, root left out: signatures, dates, CA flags, path length, usages, critical extensions,
   * one CN, one OU, issuer's domain, roles and prefixes. Remembers the leaf for {@link Trust.find}.
   * @throws SealbusError `untrusted`, its message naming the first rule that was broken
   */
  verify(chain: readonly Uint8Array[], nowMs: number): Certificate
  /** Accepted leaves whose hash starts with these 8 bytes; dates and path validity as of `nowMs`. */
  find(certId: Uint8Array, nowMs: number): readonly Certificate[]
  revocation(certificate: Certificate, nowMs: number): RevocationState
  /**
   * Takes a newer revocation list, if it is properly signed.
   * @throws SealbusError `untrusted`: wrong signer, rolled back, malformed
   */
  acceptRevocationList(bytes: Uint8Array, nowMs: number): void
}

/** A card that was accepted: one party's sealing keys. */
export interface Card extends Recipient {
  /** As received: cards are self-proving, and passed on unchanged. */
  readonly bytes: Uint8Array
  readonly counter: number
  readonly notBeforeMs: number
  /** Best first, as offered: `[suite, public key]`. */
  readonly keys: readonly (readonly [number, Uint8Array])[]
  readonly certificate: Certificate
}

/** What became of an offered card: `conflict` is the same counter with other bytes (the first is kept; alarm). */
export type CardOffer = 'new' | 'known' | 'older' | 'conflict'

export interface Directory {
  /** The newest accepted card, expired or not; the caller looks at the dates. */
  find(party: Party): Card | undefined
  /**
   * Validates and takes a card from any source: a folder, an envelope, the bus.
   * @throws SealbusError `untrusted`
   */
  offer(bytes: Uint8Array, nowMs: number): CardOffer
  /** Calls back at each card that was accepted as new: sessions to that party end. */
  onNew(listener: (card: Card) => void): () => void
}

/** One of our own sealing keys. n.b. `util.inspect` and JSON must not show the private half: implementations hide it. */
export interface SealingKey {
  readonly suite: number
  /** 8 bytes, docs/PROTOCOL.md. */
  readonly keyId: Uint8Array
  readonly publicKey: Uint8Array
  /** Calls `use` with the private key, 32 bytes for suite 1; do not keep it. */
  withPrivateKey<R>(use: (privateKey: Uint8Array) => R): R
}

/** One's own keys. Asked at every use, so that a renewed certificate or card takes effect while the process runs. */
export interface Identity {
  readonly certificate: Certificate
  /** One's own card as issued. */
  readonly card: Card
  /** ECDSA P-256 with SHA-256 by the identity key, r ‖ s, 64 bytes. */
  sign(data: Uint8Array): Uint8Array
  /** By key id, 16 hex digits. */
  sealingKey(keyIdHex: string): SealingKey | undefined
  /** The key was ours and has been destroyed. */
  destroyed(keyIdHex: string): boolean
}
