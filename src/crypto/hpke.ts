/**
 * HPKE (RFC 9180), as much of it as suite 1 uses: DHKEM(X25519, HKDF-SHA256) §4.1, the key schedule of mode Base §5.1,
 * and the secret export §5.3. No message is ever sealed by HPKE itself: the AEAD is "export only" (0xFFFF).
 */
import { concat, utf8 } from '../bytes.js'
import { HASH_BYTES, hkdfExpand, hkdfExtract } from './kdf.js'
import { x25519, x25519PublicKey } from './sodium.js'

/** The three numbers of a ciphersuite, RFC 9180 §7. */
export interface HpkeIds {
  readonly kemId: number
  readonly kdfId: number
  readonly aeadId: number
}

export const DHKEM_X25519_HKDF_SHA256 = 0x0020
export const HKDF_SHA256 = 0x0001
export const EXPORT_ONLY = 0xffff

/** What the sender of a context gets: `enc` for the recipient, and the exporter secret. */
export interface Encapsulated {
  readonly enc: Uint8Array
  readonly exporterSecret: Uint8Array
}

const HPKE_V1 = utf8('HPKE-v1')
const EMPTY = new Uint8Array(0)
const MODE_BASE = 0x00

/**
 * SetupBaseS, RFC 9180 §5.1.1.
 * @param publicKey - pkR, 32 bytes
 * @param ephemeralKey - skE, 32 random bytes, never used twice
 * @returns undefined where the DH is all zero
 */
export function setupBaseSender(
  ids: HpkeIds,
  publicKey: Uint8Array,
  info: Uint8Array,
  ephemeralKey: Uint8Array,
): Encapsulated | undefined {
  const enc = x25519PublicKey(ephemeralKey)
  const dh = x25519(ephemeralKey, publicKey) // §4.1 Encap
  if (dh === undefined) return undefined
  return { enc, exporterSecret: schedule(ids, sharedSecret(dh, enc, publicKey), info) }
}

/**
 * SetupBaseR, RFC 9180 §5.1.1: the exporter secret.
 * @param privateKey - skR, 32 bytes
 * @param publicKey - pkR, its public half
 * @returns undefined where the DH is all zero
 */
export function setupBaseReceiver(
  ids: HpkeIds,
  enc: Uint8Array,
  privateKey: Uint8Array,
  publicKey: Uint8Array,
  info: Uint8Array,
): Uint8Array | undefined {
  const dh = x25519(privateKey, enc) // §4.1 Decap
  if (dh === undefined) return undefined
  return schedule(ids, sharedSecret(dh, enc, publicKey), info)
}

/** Context.Export, RFC 9180 §5.3. */
export function exportSecret(
  ids: HpkeIds,
  exporterSecret: Uint8Array,
  context: Uint8Array,
  length: number,
): Uint8Array {
  return labeledExpand(hpkeSuiteId(ids), exporterSecret, 'sec', context, length)
}

/** ExtractAndExpand, RFC 9180 §4.1. */
function sharedSecret(dh: Uint8Array, enc: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const suiteId = concat(utf8('KEM'), uint16(DHKEM_X25519_HKDF_SHA256))
  const prk = labeledExtract(suiteId, EMPTY, 'eae_prk', dh)
  const secret = labeledExpand(suiteId, prk, 'shared_secret', concat(enc, publicKey), HASH_BYTES)
  dh.fill(0)
  prk.fill(0)
  return secret
}

/** KeySchedule with mode Base, RFC 9180 §5.1, up to the exporter secret. */
function schedule(ids: HpkeIds, shared: Uint8Array, info: Uint8Array): Uint8Array {
  const suiteId = hpkeSuiteId(ids)
  const pskIdHash = labeledExtract(suiteId, EMPTY, 'psk_id_hash', EMPTY)
  const infoHash = labeledExtract(suiteId, EMPTY, 'info_hash', info)
  const context = concat(Uint8Array.of(MODE_BASE), pskIdHash, infoHash)
  const secret = labeledExtract(suiteId, shared, 'secret', EMPTY)
  const exporterSecret = labeledExpand(suiteId, secret, 'exp', context, HASH_BYTES)
  shared.fill(0)
  secret.fill(0)
  return exporterSecret
}

function hpkeSuiteId({ kemId, kdfId, aeadId }: HpkeIds): Uint8Array {
  return concat(utf8('HPKE'), uint16(kemId), uint16(kdfId), uint16(aeadId))
}

/** RFC 9180 §4. */
function labeledExtract(suiteId: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return hkdfExtract(salt, concat(HPKE_V1, suiteId, utf8(label), ikm))
}

/** RFC 9180 §4. */
function labeledExpand(
  suiteId: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  return hkdfExpand(prk, concat(uint16(length), HPKE_V1, suiteId, utf8(label), info), length)
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}
