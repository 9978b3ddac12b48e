/** The suites: one row each. What differs between them is the KEM; docs/PROTOCOL.md "Suites". */
import { concat, lp, utf8 } from '../bytes.js'
import {
  DHKEM_X25519_HKDF_SHA256,
  EXPORT_ONLY,
  exportSecret,
  HKDF_SHA256,
  type HpkeIds,
  setupBaseReceiver,
  setupBaseSender,
} from './hpke.js'
import { sha256 } from './kdf.js'
import { X25519_BYTES } from './sodium.js'

export const KEY_ID_BYTES = 8
/** The secret of a session, 32 bytes. */
export const SESSION_SECRET_BYTES = 32
const EXPORT_CONTEXT = utf8('sealbus-v1 envelope')
const KEY_ID_LABEL = lp('sealbus-v1 key-id')

/** What is sent along with the first secret of a session: `enc`, and the secret itself. */
export interface NewSession {
  readonly enc: Uint8Array
  readonly secret: Uint8Array
}

export interface Suite {
  readonly id: number
  /** Length of `enc`. */
  readonly encBytes: number
  readonly publicKeyBytes: number
  /** Random bytes that one encapsulation takes. */
  readonly seedBytes: number
  /** @returns undefined for a public key that no session can be made with */
  encapsulate(publicKey: Uint8Array, info: Uint8Array, seed: Uint8Array): NewSession | undefined
  /** @returns the secret; undefined for an `enc` that no session can be made with */
  decapsulate(
    enc: Uint8Array,
    privateKey: Uint8Array,
    publicKey: Uint8Array,
    info: Uint8Array,
  ): Uint8Array | undefined
}

/** X25519 / HKDF-SHA256 / ChaCha20-Poly1305 with ECDSA P-256. */
const SUITE_1: Suite = dhkemSuite(1, {
  kemId: DHKEM_X25519_HKDF_SHA256,
  kdfId: HKDF_SHA256,
  aeadId: EXPORT_ONLY,
})

const SUITES: ReadonlyMap<number, Suite> = new Map([[SUITE_1.id, SUITE_1]])

/** The row of a suite; undefined where we have none. */
export function suiteOf(id: number): Suite | undefined {
  return SUITES.get(id)
}

/** `keyId = H(lp("sealbus-v1 key-id") ‖ suite ‖ pkR)[0..8]`. */
export function keyIdOf(suite: number, publicKey: Uint8Array): Uint8Array {
  return sha256(concat(KEY_ID_LABEL, Uint8Array.of(suite), publicKey)).subarray(0, KEY_ID_BYTES)
}

function dhkemSuite(id: number, ids: HpkeIds): Suite {
  return {
    id,
    encBytes: X25519_BYTES,
    publicKeyBytes: X25519_BYTES,
    seedBytes: X25519_BYTES,
    encapsulate(publicKey, info, seed) {
      const sent = setupBaseSender(ids, publicKey, info, seed)
      return sent && { enc: sent.enc, secret: sessionSecret(ids, sent.exporterSecret) }
    },
    decapsulate(enc, privateKey, publicKey, info) {
      const exporterSecret = setupBaseReceiver(ids, enc, privateKey, publicKey, info)
      return exporterSecret && sessionSecret(ids, exporterSecret)
    },
  }
}

function sessionSecret(ids: HpkeIds, exporterSecret: Uint8Array): Uint8Array {
  const secret = exportSecret(ids, exporterSecret, EXPORT_CONTEXT, SESSION_SECRET_BYTES)
  exporterSecret.fill(0)
  return secret
}
