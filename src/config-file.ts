/** config.json of an identity folder: which brokers, which inbox, where the state lies. Checked field by field. */

import { JsonFields, type JsonObject, parseJsonObject } from './crypto/json-fields.js'
import { ADDRESS } from './crypto/leaf-profile.js'
import type { Recipient } from './crypto/sealing.js'
import { SealbusError } from './errors.js'

export interface ConfigFile {
  /** One's own: equals the certificate's CN. */
  readonly address: string
  /** `amqps://host:port`, without user, password and path. May be empty: `connect` can be given others. */
  readonly brokers: readonly string[]
  readonly vhost: string
  /** Its parked twin is called `<exchange>.parked`. */
  readonly exchange: string
  /** PEM file of the broker certificates' root; absent: the system's roots. */
  readonly serverCa?: string
  /** Folders of cards, relative to the config file. */
  readonly directory: readonly string[]
  /** Folder of the state, relative to the config file. */
  readonly state?: string
  /** Where it is remembered what was handled. `file` needs `state`. */
  readonly seen: 'file' | 'memory'
  /** Where sealed messages wait for the broker. `file` needs `state`. Absent: `memory`. */
  readonly outbox?: 'file' | 'memory'
  readonly inbox: {
    readonly kind: Recipient['inbox']
    readonly declare: boolean
    /** Queues that it is divided into by sender, for several workers, 2..64. */
    readonly partitions?: number
  }
  /** For brokers that know users by password instead of by certificate. */
  readonly user?: string
  /** File that holds the password, relative to the config file. */
  readonly passwordFile?: string
}

const BROKER = /^amqps:\/\/[^/?#@\s]+\/?$/
const NAME = /^[^\s]{1,255}$/
const FILE = /^.{1,4096}$/

/**
 * Reads and checks config.json.
 * @param name - the file, for messages
 * @throws SealbusError `configuration`
 */
export function parseConfigFile(text: string, name = 'config.json'): ConfigFile {
  const fields = new JsonFields(parseJsonObject(text, name), name)
  fields.version(1)
  const config: ConfigFile = {
    address: fields.text('address', ADDRESS),
    brokers: fields.texts('brokers', BROKER),
    vhost: fields.text('vhost', NAME),
    exchange: fields.text('exchange', NAME),
    directory: fields.texts('directory', FILE),
    seen: fields.oneOf('seen', ['file', 'memory']),
    inbox: parseInbox(fields.object('inbox'), `${name}: inbox`),
    ...present('serverCa', fields.optionalText('serverCa', FILE)),
    ...(fields.has('outbox') && { outbox: fields.oneOf('outbox', ['file', 'memory']) }),
    ...present('state', fields.optionalText('state', FILE)),
    ...present('user', fields.optionalText('user', NAME)),
    ...present('passwordFile', fields.optionalText('passwordFile', FILE)),
  }
  fields.end()
  expectConsistent(config, name)
  return config
}

function present<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, string>>
}

function parseInbox(value: JsonObject, name: string): ConfigFile['inbox'] {
  const fields = new JsonFields(value, name)
  const kind = fields.oneOf('kind', ['quorum', 'classic', 'transient'])
  const partitions = fields.optionalInteger('partitions', 2, 64)
  const inbox = { kind, declare: fields.boolean('declare'), ...(partitions !== undefined && { partitions }) }
  fields.end()
  if (partitions !== undefined && kind !== 'quorum')
    throw new SealbusError('configuration', `${name}: "partitions" divides a quorum inbox, got ${kind}`)
  return inbox
}

function expectConsistent(config: ConfigFile, name: string): void {
  if (config.outbox === 'file' && config.state === undefined)
    throw new SealbusError('configuration', `${name}: "outbox" is file, which needs a folder: add "state"`)
  if (config.seen === 'file' && config.state === undefined)
    throw new SealbusError('configuration', `${name}: "seen" is file, which needs a folder: add "state"`)
  if ((config.user === undefined) !== (config.passwordFile === undefined))
    throw new SealbusError(
      'configuration',
      `${name}: expected "user" and "passwordFile" together, got one of them`,
    )
}
