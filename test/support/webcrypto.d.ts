/** The names of Web Crypto that HPKE libraries' types expect to be global, as Node has them. */
import type { webcrypto } from 'node:crypto'

declare global {
  type Crypto = webcrypto.Crypto
  type CryptoKey = webcrypto.CryptoKey
  type CryptoKeyPair = webcrypto.CryptoKeyPair
  type HmacKeyGenParams = webcrypto.HmacKeyGenParams
  type JsonWebKey = webcrypto.JsonWebKey
  type KeyAlgorithm = webcrypto.KeyAlgorithm
  type KeyUsage = webcrypto.KeyUsage
  type SubtleCrypto = webcrypto.SubtleCrypto
}
