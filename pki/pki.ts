/**
 * A domain's folder, opened: what it is, and its authorities, whose keys are decrypted when they are first needed.
 */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SealbusError } from '../src/errors.js'
import { type AuthorityName, createAuthorities, openAuthority } from './authority.js'
import type { Issuer } from './certificate.js'
import { DEFAULT_POLICY } from './default-policy.js'
import { definitions } from './definitions.js'
import {
  json,
  makeFolder,
  namesIn,
  readIfThere,
  readJson,
  sync,
  withFile,
  writeIfDifferent,
  writeNew,
} from './files.js'
import { type Layout, layoutOf } from './layout.js'
import { withLock } from './lock.js'
import { checkDomain } from './names.js'
import { checkNewPassphrase } from './passphrase.js'
import { type DomainPolicy, readPolicy } from './policy.js'
import { firstList, signList } from './revocation-list.js'

/** Until `cluster up` or the operator says where the brokers are. */
const PLACEHOLDER_BROKERS: readonly string[] = ['amqps://localhost:5671']

/** D/pki.json. */
export interface Settings {
  readonly version: 1
  readonly domain: string
  /** Broker URLs that go into every device's config.json. */
  readonly brokers: readonly string[]
}

export interface PkiOptions {
  readonly dir: string
  /** Of the CA keys; needed by what signs. */
  readonly passphrase?: string
  /** Default: the system's clock. */
  readonly now?: () => number
}

export interface InitOptions extends PkiOptions {
  readonly passphrase: string
  readonly domain: string
  readonly brokers?: readonly string[]
}

/** An open domain. Made by {@link openPki} and {@link initPki}. */
export class Pki {
  readonly layout: Layout
  readonly now: () => number
  #settings: Settings
  readonly #passphrase: string | undefined
  readonly #authorities = new Map<AuthorityName, Issuer>()

  constructor(options: PkiOptions, settings: Settings) {
    this.layout = layoutOf(resolve(options.dir))
    this.#settings = settings
    this.now = options.now ?? Date.now
    this.#passphrase = options.passphrase
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Keeps the settings in D/pki.json; returns whether they differed. */
  saveSettings(settings: Settings): boolean {
    this.#settings = settings
    return writeIfDifferent(this.layout.settings, json(settings))
  }

  get domain(): string {
    return this.settings.domain
  }

  /** As D/policy.json stands now. @throws SealbusError `configuration` */
  policy(): DomainPolicy {
    return readPolicy(this.layout.policy, this.settings.domain)
  }

  /** An authority with its key. @throws SealbusError `identity` for a wrong passphrase or none */
  authority(name: AuthorityName): Issuer {
    const open = this.#authorities.get(name)
    if (open !== undefined) return open
    if (this.#passphrase === undefined) {
      throw new SealbusError('identity', `passphrase: expected the one of ${this.layout.ca}, got none`)
    }
    const issuer = openAuthority(this.layout.dir, name, this.#passphrase)
    this.#authorities.set(name, issuer)
    return issuer
  }

  /** Runs what changes the folder; nobody else changes it meanwhile. */
  async exclusively<T>(work: () => T): Promise<T> {
    return withLock(this.layout.lock, () => {
      rmSync(this.layout.workshop, { recursive: true, force: true })
      try {
        return work()
      } finally {
        rmSync(this.layout.workshop, { recursive: true, force: true })
      }
    })
  }
}

/** Opens an existing domain. @throws SealbusError `configuration` where there is none */
export function openPki(options: PkiOptions): Pki {
  const { settings } = layoutOf(options.dir)
  if (readIfThere(settings) === undefined) {
    throw new SealbusError(
      'configuration',
      `${options.dir}: expected a domain's folder, found none; make one with sealbus pki init`,
    )
  }
  return new Pki(options, parseSettings(readJson(settings), settings))
}

function parseSettings(given: unknown, path: string): Settings {
  const { version, domain, brokers } = (given ?? {}) as Record<string, unknown>
  if (version !== 1)
    throw new SealbusError('configuration', `${path}: version: expected 1, got ${String(version)}`)
  if (!Array.isArray(brokers))
    throw new SealbusError('configuration', `${path}: brokers: expected an array of URLs`)
  return { version, domain: checkDomain(String(domain)), brokers: checkBrokers(brokers.map(String)) }
}

/** @throws SealbusError `configuration` */
export function checkBrokers(urls: readonly string[]): readonly string[] {
  const bad = urls.find(url => !/^amqps?:\/\/[^\s/]+/.test(url))
  if (urls.length > 0 && bad === undefined) return urls
  throw new SealbusError('configuration', `brokers: expected amqps://HOST:PORT, got ${bad ?? 'none'}`)
}

/**
 * Makes a domain: two roots, an issuing CA, the key for revocations, a policy and empty definitions. Where the folder
 * already is one, it is opened and nothing changes.
 * @throws SealbusError `configuration`: bad domain, a passphrase that is too short, a folder with something else in it; `identity`: wrong passphrase
 */
export async function initPki(options: InitOptions): Promise<{ pki: Pki; created: boolean }> {
  checkDomain(options.domain)
  const brokers = checkBrokers(options.brokers ?? PLACEHOLDER_BROKERS)
  const layout = layoutOf(resolve(options.dir))
  const fresh = readIfThere(layout.settings) === undefined
  if (fresh) {
    refuseForeign(layout)
    checkNewPassphrase(options.passphrase)
  }
  const existed = folderExists(layout.dir)
  makeFolder(layout.dir)
  return withLock(layout.lock, () => {
    const created = readIfThere(layout.settings) === undefined
    if (created) create(layout, { version: 1, domain: options.domain, brokers }, options, existed)
    const pki = openPki(options)
    if (pki.domain !== options.domain) {
      throw new SealbusError(
        'configuration',
        `${layout.dir}: is the domain ${pki.domain}, not ${options.domain}; choose another folder`,
      )
    }
    if (!created) pki.authority('issuing') // the passphrase is the right one
    return { pki, created }
  }).finally(() => {
    if (!existed && namesIn(layout.dir).length === 0) rmSync(layout.dir, { recursive: true, force: true })
  })
}

function folderExists(dir: string): boolean {
  try {
    readdirSync(dir)
    return true
  } catch {
    return false
  }
}

/** A draft of an earlier run that died may be there; anything else is not ours to mix with. */
function refuseForeign({ dir, workshop }: Layout): void {
  if (namesIn(workshop).length > 0 || namesIn(dir).length === 0) return
  throw new SealbusError(
    'configuration',
    `${dir}: expected an empty folder or none, found files that are not a domain's`,
  )
}

function create(layout: Layout, settings: Settings, options: InitOptions, existed: boolean): void {
  const draft = join(layout.workshop, 'init')
  rmSync(layout.workshop, { recursive: true, force: true })
  try {
    makeFolder(draft)
    fill(layoutOf(draft), settings, options)
    publish(draft, layout)
  } catch (cause) {
    for (const name of existed ? namesIn(draft) : [])
      rmSync(join(layout.dir, name), { recursive: true, force: true })
    throw cause
  } finally {
    rmSync(layout.workshop, { recursive: true, force: true })
  }
}

function fill(draft: Layout, settings: Settings, { passphrase, now = Date.now }: InitOptions): void {
  const signer = createAuthorities(draft.dir, settings.domain, passphrase, now()).get('revocation')
  if (signer === undefined) throw new Error('expected an authority for revocations')
  for (const folder of [draft.devices, draft.cards, draft.nodes]) makeFolder(folder)
  writeNew(draft.revocationList, signList(firstList(settings.domain, now()), signer))
  writeNew(draft.policy, json(DEFAULT_POLICY))
  writeNew(draft.definitions, definitions([]))
  writeNew(draft.settings, json(settings))
}

/** Moves everything into place, the settings last: they say that the rest is there. */
function publish(draft: string, layout: Layout): void {
  const last = 'pki.json'
  for (const name of [...namesIn(draft).filter(each => each !== last), last]) {
    const target = join(layout.dir, name)
    rmSync(target, { recursive: true, force: true })
    withFile(target, () => renameSync(join(draft, name), target))
  }
  withFile(layout.dir, () => sync(layout.dir))
}
