/**
 * A device's folder, loaded: keys, certificate, chain, card, trust, policy, config, revocation list, cards of others
 * (docs/PROTOCOL.md); and loaded again while the process runs.
 */
import type { ConfigFile } from './config-file.js'
import { createDirectory, type MemoryDirectory } from './crypto/directory.js'
import { createIdentity } from './crypto/identity.js'
import type { Identity } from './crypto/peers.js'
import type { PolicyCheck } from './crypto/sealing.js'
import type { KeptTrust } from './crypto/trust.js'
import { asError, isSealbusError, SealbusError } from './errors.js'
import { FolderFiles } from './folder-files.js'
import { FILES, FolderReader, type TlsMaterial } from './folder-reader.js'

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
  const warn = options.onWarning ?? ((): void => undefined)
  const files = new FolderFiles(dir, warn)
  const folder = new FolderReader(files, options.now ?? Date.now, warn)
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
    files.check(FILES.certificate, () => identity.renew(parts))
  }
  return {
    dir: files.dir,
    config,
    identity,
    trust,
    directory,
    policy: { permit: (from, to, type) => current.permit(from, to, type) },
    statePath: config.state === undefined ? undefined : files.path(config.state),
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
