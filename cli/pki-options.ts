/** The options of `sealbus pki`: what there is, and how values are read from them. */
import { checkInboxKind, type InboxKind, openPki, type Pki, readPassphrase } from '../pki/index.js'
import { SealbusError } from '../src/errors.js'

/** Every option of every command; `value` is how help shows its value. */
export const OPTIONS = {
  help: { type: 'boolean', short: 'h', value: '', help: 'show this' },
  dir: { type: 'string', value: ' D', help: "the domain's folder (required)" },
  domain: { type: 'string', value: ' NAME', help: 'the trust domain: 1 to 64 of A-Z a-z 0-9 . _ -' },
  brokers: {
    type: 'string',
    value: ' URL,URL',
    help: "broker URLs for the devices' config.json: amqps://HOST:PORT",
  },
  'passphrase-file': {
    type: 'string',
    value: ' FILE',
    help: 'passphrase of the CA keys; else SEALBUS_CA_PASSPHRASE, else it is asked for',
  },
  role: { type: 'string', value: ' R', help: 'a role of D/policy.json, such as vpp or heh' },
  inbox: {
    type: 'string',
    value: ' KIND',
    help: 'quorum, classic or transient; else as D/policy.json says for the role',
  },
  again: { type: 'boolean', value: '', help: 'give a revoked name a new identity' },
  count: { type: 'string', value: ' N', help: 'how many devices' },
  prefix: { type: 'string', value: ' P', help: 'beginning of their names: heh- gives heh-0001, heh-0002, …' },
  csv: { type: 'string', value: ' FILE', help: 'a list of devices instead: the columns name,role' },
  json: { type: 'boolean', value: '', help: 'as JSON' },
  all: { type: 'boolean', value: '', help: 'all devices that are not revoked' },
  within: { type: 'string', value: ' DAYS', help: 'only those whose certificate ends within so many days' },
  host: {
    type: 'string',
    multiple: true,
    value: ' HOST',
    help: 'host name or address besides localhost; may be repeated',
  },
} as const

export type OptionName = keyof typeof OPTIONS
export type Values = { readonly [K in OptionName]?: string | boolean | string[] }

/** A value that is text; undefined where it was not given. */
export function text(values: Values, name: OptionName): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** @throws SealbusError `configuration` where it was not given */
export function required(values: Values, name: OptionName): string {
  const value = text(values, name)
  if (value !== undefined && value !== '') return value
  throw new SealbusError('configuration', `--${name}${OPTIONS[name].value}: expected, but not given`)
}

/** A whole number. @throws SealbusError `configuration` */
export function number(values: Values, name: OptionName): number {
  const given = required(values, name)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw new SealbusError('configuration', `--${name}: expected a whole number, got ${JSON.stringify(given)}`)
}

/** The URLs of `--brokers`. */
export function brokersOf(values: Values): string[] | undefined {
  return text(values, 'brokers')
    ?.split(',')
    .map(url => url.trim())
}

/** The kind of `--inbox`. @throws SealbusError `configuration` */
export function inboxOf(values: Values): { inbox?: InboxKind } {
  const given = text(values, 'inbox')
  return given === undefined ? {} : { inbox: checkInboxKind(given, '--inbox') }
}

/** From wherever it is to be had; asked for twice with `repeat`. */
export async function passphraseOf(values: Values, repeat = false): Promise<string> {
  const file = text(values, 'passphrase-file')
  return readPassphrase({ repeat, ...(file === undefined ? {} : { file }) })
}

/** Without the passphrase: for what only reads. */
export function open(values: Values): Pki {
  return openPki({ dir: required(values, 'dir') })
}

/** With the passphrase, asked for once the folder is known to be a domain's. */
export async function unlock(values: Values): Promise<Pki> {
  open(values)
  return openPki({ dir: required(values, 'dir'), passphrase: await passphraseOf(values) })
}
