/**
 * Reading a device's folder (docs/PROTOCOL.md): keys, certificate, chain, card, trust, policy, config, revocation list,
 * cards of others. All file input of an identity is here; what the files mean is decided in crypto/.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { toHex } from './bytes.js'
import { type ConfigFile, parseConfigFile } from './config-file.js'
import { verifyCard } from './crypto/card.js'
import { createDirectory, type MemoryDirectory } from './crypto/directory.js'
import type { IdentityParts } from './crypto/identity.js'
import { createIdentity, parseIdentityKey, parseSealingKey } from './crypto/identity.js'
import type { Identity, SealingKey } from './crypto/peers.js'
import { parsePolicy } from './crypto/policy.js'
import { parseRevocationList } from './crypto/revocation.js'
import type { PolicyCheck } from './crypto/sealing.js'
import { createTrust, type KeptTrust } from './crypto/trust.js'
import { parseTrustFile, type TrustFile } from './crypto/trust-file.js'
import { asError, isSealbusError, SealbusError } from './errors.js'

const FILES = {
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
/** Permission bits of group and others. */
const OTHERS = 0o077

/** PEM for a TLS client. n.b. holds the private key: not for logs. */
export interface TlsMaterial {
  /** The broker certificates' root; absent: the system's. */
  readonly ca?: string
  /** Leaf, then intermediates. */
  readonly cert: string
  readonly key: string
}

/** A device's folder, read and checked. */
export interface LoadedFolder {
  readonly dir: string
  readonly config: ConfigFile
  readonly identity: Identity
  readonly trust: KeptTrust
  readonly directory: MemoryDirectory
  /** Asks the newest policy.json that was read. */
  readonly policy: PolicyCheck
  /** Absolute path of the state folder, where the config names one. */
  readonly statePath: string | undefined
  /** Reads the files of the TLS client anew: at each attempt to connect. @throws SealbusError `identity` */
  tls(): Promise<TlsMaterial>
  /** The broker user's password, read anew; undefined where the config names none. @throws SealbusError */
  password(): Promise<string | undefined>
  /**
   * Reads the revocation list, one's own identity (certificate, chain, keys, card: all or nothing), the policy and the cards
   * again, each whether or not the others hold; the trust file and the config need a restart.
   * @throws SealbusError `identity`, `configuration`: afterwards, with all that was found broken
   */
  reload(): Promise<void>
  /** Reads only one's own certificate, chain, keys and card again, all or nothing. @throws SealbusError `identity` */
  reloadIdentity(): Promise<void>
}

export interface LoadOptions {
  /** Milliseconds since 1970. Default the system's. */
  readonly now?: () => number
  /** What is not as it should be, but no reason to stop: a key that others can read, a card that does not hold. */
  readonly onWarning?: (message: string) => void
}

/**
 * Reads a device's folder.
 * @throws SealbusError `identity` or `configuration`: names the file, what was expected, what to do
 */
export async function loadIdentityFolder(dir: string, options: LoadOptions = {}): Promise<LoadedFolder> {
  const folder = new FolderReader(dir, options.now ?? Date.now, options.onWarning ?? (() => undefined))
  const config = await folder.config()
  const trustFile = await folder.trustFile()
  const trust = await folder.trust(trustFile)
  await folder.revocations(trustFile, trust)
  const identity = createIdentity(await folder.parts(trust, config))
  let current = await folder.policy(trustFile.domain)
  const directory = createDirectory(trust)
  await folder.cards(config, directory)
  const reloadIdentity = async (): Promise<void> => {
    const parts = await folder.parts(trust, config)
    folder.check(FILES.certificate, () => identity.renew(parts))
  }
  return {
    dir: folder.dir,
    config,
    identity,
    trust,
    directory,
    policy: { permit: (from, to, type) => current.permit(from, to, type) },
    statePath: config.state === undefined ? undefined : folder.path(config.state),
    tls: () => new Promise(resolve => resolve(folder.tls(config))),
    password: () => folder.password(config),
    // n.b. the list first: a broken certificate of our own must not keep a stolen device of others in
    reload: () =>
      tryEach(
        () => folder.revocations(trustFile, trust),
        reloadIdentity,
        async () => {
          current = await folder.policy(trustFile.domain)
        },
        () => folder.cards(config, directory),
      ),
    reloadIdentity,
  }
}

class FolderReader {
  readonly dir: string
  readonly #now: () => number
  readonly #warn: (message: string) => void

  constructor(dir: string, now: () => number, warn: (message: string) => void) {
    this.dir = resolve(dir)
    this.#now = now
    this.#warn = warn
  }

  path(name: string): string {
    return resolve(this.dir, name)
  }

  async config(): Promise<ConfigFile> {
    return parseConfigFile(await this.#text(FILES.config), this.path(FILES.config))
  }

  async trustFile(): Promise<TrustFile> {
    return parseTrustFile(await this.#text(FILES.trust), this.path(FILES.trust))
  }

  async trust({ domain, suites, roots, issuers, revocation }: TrustFile): Promise<KeptTrust> {
    const ders: Uint8Array[] = []
    for (const root of roots) ders.push(...(await this.#certificates(root)))
    return this.check(FILES.trust, () => createTrust({ domain, suites, roots: ders, issuers, revocation }))
  }

  async policy(domain: string): Promise<PolicyCheck> {
    return parsePolicy(await this.#text(FILES.policy), domain, this.path(FILES.policy))
  }

  /** n.b. an old list is no error here: the trust says `stale`, and consuming pauses. */
  async revocations({ revocation }: TrustFile, trust: KeptTrust): Promise<void> {
    if (revocation === undefined) return
    const bytes = await this.#bytes(revocation.file)
    if (this.check(revocation.file, () => isOlderList(bytes, trust.revocationList())))
      this.#warn(`${this.path(revocation.file)}: a newer revocation list is known already, it is kept`)
    else this.check(revocation.file, () => trust.acceptRevocationList(bytes, this.#now()))
  }

  async parts(trust: KeptTrust, config: ConfigFile): Promise<IdentityParts> {
    const chain = [
      ...(await this.#certificates(FILES.certificate)),
      ...(await this.#certificates(FILES.chain)),
    ]
    const certificate = this.check(FILES.certificate, () => trust.verify(chain, this.#now()))
    if (certificate.address !== config.address)
      throw this.#broken(
        FILES.config,
        `expected address ${certificate.address} of the certificate, got ${config.address}`,
      )
    const keyText = await this.#secret(FILES.key)
    const privateKey = this.check(FILES.key, () => parseIdentityKey(keyText))
    const cardBytes = await this.#bytes(FILES.card)
    const card = this.check(FILES.card, () => verifyCard(cardBytes, trust, this.#now()))
    const { sealingKeys, destroyed } = await this.#sealing()
    const parts = { privateKey, certificate, card, sealingKeys, destroyed }
    this.check(FILES.card, () => createIdentity(parts))
    return parts
  }

  async #sealing(): Promise<{ sealingKeys: SealingKey[]; destroyed: string[] }> {
    const sealingKeys: SealingKey[] = []
    const destroyed: string[] = []
    for (const name of await this.#list(FILES.sealing)) {
      const [, keyId = '', kind] = SEALING_FILE.exec(name) ?? []
      if (kind === 'destroyed') destroyed.push(keyId)
      if (kind === 'key') sealingKeys.push(await this.#sealingKey(join(FILES.sealing, name), keyId))
    }
    return { sealingKeys, destroyed }
  }

  async #sealingKey(file: string, keyId: string): Promise<SealingKey> {
    const text = await this.#secret(file)
    const key = this.check(file, () => parseSealingKey(text))
    if (toHex(key.keyId) !== keyId)
      throw this.#broken(file, `its key id is ${toHex(key.keyId)}, rename it or restore it`)
    return key
  }

  /** One card that does not hold is a warning: it costs the way to one peer, not the start. */
  async cards(config: ConfigFile, directory: MemoryDirectory): Promise<void> {
    for (const folder of config.directory) {
      for (const name of (await this.#list(folder)).filter(file => file.endsWith(CARD_SUFFIX)))
        await this.#offer(join(folder, name), directory)
    }
  }

  async #offer(file: string, directory: MemoryDirectory): Promise<void> {
    const bytes = await this.#bytes(file)
    try {
      const offer = directory.offer(bytes, this.#now())
      if (offer === 'conflict')
        this.#warn(`${this.path(file)}: another card with the same counter is known, it is kept`)
    } catch (error) {
      this.#warn(`${this.path(file)}: ${asError(error).message}; it is left out`)
    }
  }

  /** n.b. read at once: a reconnect must not queue behind the fsyncs of the state folder for a thread of the pool. */
  tls(config: ConfigFile): TlsMaterial {
    const cert = `${this.#textNow(FILES.certificate).trimEnd()}\n${this.#textNow(FILES.chain)}`
    const key = this.#textNow(FILES.key)
    return config.serverCa === undefined ? { cert, key } : { ca: this.#textNow(config.serverCa), cert, key }
  }

  async password({ passwordFile }: ConfigFile): Promise<string | undefined> {
    if (passwordFile === undefined) return undefined
    return (await this.#secret(passwordFile)).replace(/\r?\n$/, '')
  }

  /** Runs one step over a file's contents; whatever it refuses is told with the file's name. */
  check<T>(file: string, step: () => T): T {
    try {
      return step()
    } catch (error) {
      const { message } = asError(error)
      if (isSealbusError(error, 'configuration')) throw this.#error('configuration', file, message, error)
      throw this.#broken(file, message, error)
    }
  }

  #textNow(file: string): string {
    try {
      return readFileSync(this.path(file), 'utf8')
    } catch (error) {
      throw this.#unreadable(file, error)
    }
  }

  async #text(file: string): Promise<string> {
    return Buffer.from(await this.#bytes(file)).toString('utf8')
  }

  async #bytes(file: string): Promise<Uint8Array> {
    try {
      return new Uint8Array(await readFile(this.path(file)))
    } catch (error) {
      throw this.#unreadable(file, error)
    }
  }

  /** A file that only its owner should be able to read. */
  async #secret(file: string): Promise<string> {
    const text = await this.#text(file)
    const { mode } = await stat(this.path(file))
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0)
      this.#warn(`${this.path(file)}: others may read this private file, expected mode 0600: chmod 600 it`)
    return text
  }

  async #list(folder: string): Promise<string[]> {
    try {
      return (await readdir(this.path(folder))).sort()
    } catch (error) {
      throw this.#unreadable(folder, error)
    }
  }

  /** Every certificate of a PEM file, in DER. */
  async #certificates(file: string): Promise<Uint8Array[]> {
    const text = await this.#text(file)
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    if (blocks.length === 0) throw this.#broken(file, 'expected a certificate as PEM, found none')
    return this.check(file, () => blocks.map(pem => new Uint8Array(new X509Certificate(pem).raw)))
  }

  #unreadable(file: string, error: unknown): SealbusError {
    const { code = 'unknown error' } = asError(error) as NodeJS.ErrnoException
    const what = code === 'ENOENT' ? 'it is missing' : `it cannot be read (${code})`
    return this.#broken(file, `${what}, provision the device again or restore its folder`, error)
  }

  #broken(file: string, message: string, cause?: unknown): SealbusError {
    return this.#error('identity', file, message, cause)
  }

  #error(code: 'identity' | 'configuration', file: string, message: string, cause?: unknown): SealbusError {
    const text = message.startsWith(this.path(file)) ? message : `${this.path(file)}: ${message}`
    return new SealbusError(code, text, cause === undefined ? undefined : { cause })
  }
}

/** Takes every step, whatever becomes of the others. @throws SealbusError with the messages of all that failed */
async function tryEach(...steps: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: Error[] = []
  for (const step of steps) await step().catch((error: unknown) => errors.push(asError(error)))
  const [first, ...more] = errors
  if (first === undefined) return
  if (more.length === 0) throw first
  const code = isSealbusError(first, 'configuration') ? 'configuration' : 'identity'
  throw new SealbusError(code, errors.map(({ message }) => message).join('; '), { cause: first })
}

/** n.b. a newer list may have been kept in the state folder: the file is then out of date, or put back. */
export function isOlderList(bytes: Uint8Array, held: Uint8Array | undefined): boolean {
  return held !== undefined && parseRevocationList(bytes).number < parseRevocationList(held).number
}
