/**
 * What the files of a device's folder become (docs/PROTOCOL.md): config, trust, policy, revocation list, one's own
 * identity, cards of others. What they mean is decided in crypto/.
 */
import { join } from 'node:path'
import { toHex } from './bytes.js'
import { type ConfigFile, parseConfigFile } from './config-file.js'
import { verifyCard } from './crypto/card.js'
import type { MemoryDirectory } from './crypto/directory.js'
import type { IdentityParts } from './crypto/identity.js'
import { createIdentity, parseIdentityKey, parseSealingKey } from './crypto/identity.js'
import type { SealingKey } from './crypto/peers.js'
import { parsePolicy } from './crypto/policy.js'
import { parseRevocationList } from './crypto/revocation.js'
import type { PolicyCheck } from './crypto/sealing.js'
import { createTrust, type KeptTrust } from './crypto/trust.js'
import { parseTrustFile, type TrustFile } from './crypto/trust-file.js'
import { asError } from './errors.js'
import type { FolderFiles } from './folder-files.js'

/** Names of the files, relative to the folder. */
export const FILES = {
  key: 'identity.key',
  certificate: 'identity.crt',
  chain: 'chain.crt',
  card: 'card.cbor',
  trust: 'trust.json',
  policy: 'policy.json',
  config: 'config.json',
  sealing: 'sealing',
} as const
/** `KEYID.key` holds a sealing key, `KEYID.destroyed` says that there was one. */
const SEALING_FILE = /^([0-9a-f]{16})\.(key|destroyed)$/
const CARD_SUFFIX = '.cbor'

/** PEM for a TLS client. n.b. holds the private key: not for logs. */
export interface TlsMaterial {
  /** The broker certificates' root; absent: the system's. */
  readonly ca?: string
  /** Leaf, then intermediates. */
  readonly cert: string
  readonly key: string
}

/** Reads and checks the files one by one; keeps nothing of what they hold. */
export class FolderReader {
  readonly #files: FolderFiles
  readonly #now: () => number
  readonly #warn: (message: string) => void

  constructor(files: FolderFiles, now: () => number, warn: (message: string) => void) {
    this.#files = files
    this.#now = now
    this.#warn = warn
  }

  async config(): Promise<ConfigFile> {
    return parseConfigFile(await this.#files.text(FILES.config), this.#files.path(FILES.config))
  }

  async trustFile(): Promise<TrustFile> {
    return parseTrustFile(await this.#files.text(FILES.trust), this.#files.path(FILES.trust))
  }

  async trust({ domain, suites, roots, issuers, revocation }: TrustFile): Promise<KeptTrust> {
    const ders: Uint8Array[] = []
    for (const root of roots) ders.push(...(await this.#files.certificates(root)))
    return this.#files.check(FILES.trust, () =>
      createTrust({ domain, suites, roots: ders, issuers, revocation }),
    )
  }

  async policy(domain: string): Promise<PolicyCheck> {
    return parsePolicy(await this.#files.text(FILES.policy), domain, this.#files.path(FILES.policy))
  }

  /** n.b. an old list is no error here: the trust says `stale`, and consuming pauses. */
  async revocations({ revocation }: TrustFile, trust: KeptTrust): Promise<void> {
    if (revocation === undefined) return
    const bytes = await this.#files.bytes(revocation.file)
    if (this.#files.check(revocation.file, () => isOlderList(bytes, trust.revocationList())))
      this.#warn(`${this.#files.path(revocation.file)}: a newer revocation list is known already, it is kept`)
    else this.#files.check(revocation.file, () => trust.acceptRevocationList(bytes, this.#now()))
  }

  async parts(trust: KeptTrust, config: ConfigFile): Promise<IdentityParts> {
    const chain = [
      ...(await this.#files.certificates(FILES.certificate)),
      ...(await this.#files.certificates(FILES.chain)),
    ]
    const certificate = this.#files.check(FILES.certificate, () => trust.verify(chain, this.#now()))
    if (certificate.address !== config.address)
      throw this.#files.broken(
        FILES.config,
        `expected address ${certificate.address} of the certificate, got ${config.address}`,
      )
    const keyText = await this.#files.secret(FILES.key)
    const privateKey = this.#files.check(FILES.key, () => parseIdentityKey(keyText))
    const cardBytes = await this.#files.bytes(FILES.card)
    const card = this.#files.check(FILES.card, () => verifyCard(cardBytes, trust, this.#now()))
    const { sealingKeys, destroyed } = await this.#sealing()
    const parts = { privateKey, certificate, card, sealingKeys, destroyed }
    this.#files.check(FILES.card, () => createIdentity(parts))
    return parts
  }

  async #sealing(): Promise<{ sealingKeys: SealingKey[]; destroyed: string[] }> {
    const sealingKeys: SealingKey[] = []
    const destroyed: string[] = []
    for (const name of await this.#files.list(FILES.sealing)) {
      const [, keyId = '', kind] = SEALING_FILE.exec(name) ?? []
      if (kind === 'destroyed') destroyed.push(keyId)
      if (kind === 'key') sealingKeys.push(await this.#sealingKey(join(FILES.sealing, name), keyId))
    }
    return { sealingKeys, destroyed }
  }

  async #sealingKey(file: string, keyId: string): Promise<SealingKey> {
    const text = await this.#files.secret(file)
    const key = this.#files.check(file, () => parseSealingKey(text))
    if (toHex(key.keyId) !== keyId)
      throw this.#files.broken(file, `its key id is ${toHex(key.keyId)}, rename it or restore it`)
    return key
  }

  /** One card that does not hold is a warning: it costs the way to one peer, not the start. */
  async cards(config: ConfigFile, directory: MemoryDirectory): Promise<void> {
    for (const folder of config.directory) {
      for (const name of (await this.#files.list(folder)).filter(file => file.endsWith(CARD_SUFFIX)))
        await this.#offer(join(folder, name), directory)
    }
  }

  async #offer(file: string, directory: MemoryDirectory): Promise<void> {
    const bytes = await this.#files.bytes(file)
    try {
      const offer = directory.offer(bytes, this.#now())
      if (offer === 'conflict')
        this.#warn(`${this.#files.path(file)}: another card with the same counter is known, it is kept`)
    } catch (error) {
      this.#warn(`${this.#files.path(file)}: ${asError(error).message}; it is left out`)
    }
  }

  /** n.b. read at once: a reconnect must not queue behind the fsyncs of the state folder for a thread of the pool. */
  tls(config: ConfigFile): TlsMaterial {
    const cert = `${this.#files.textNow(FILES.certificate).trimEnd()}\n${this.#files.textNow(FILES.chain)}`
    const key = this.#files.textNow(FILES.key)
    return config.serverCa === undefined
      ? { cert, key }
      : { ca: this.#files.textNow(config.serverCa), cert, key }
  }

  async password({ passwordFile }: ConfigFile): Promise<string | undefined> {
    if (passwordFile === undefined) return undefined
    return (await this.#files.secret(passwordFile)).replace(/\r?\n$/, '')
  }
}

/** n.b. a newer list may have been kept in the state folder: the file is then out of date, or put back. */
export function isOlderList(bytes: Uint8Array, held: Uint8Array | undefined): boolean {
  return held !== undefined && parseRevocationList(bytes).number < parseRevocationList(held).number
}
