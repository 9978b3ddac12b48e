/** The commands of `sealbus pki`, one row each: name, options, what it does. */
import { readFileSync } from 'node:fs'
import {
  checkInboxKind,
  type FleetMember,
  findDevice,
  initPki,
  issueBrokerCertificate,
  issueDevice,
  listDevices,
  numberedFleet,
  openPki,
  type Pki,
  type Provisioned,
  parseFleetCsv,
  provision,
  readPassphrase,
  refresh,
  renew,
  revoke,
  setBrokers,
  verifyDevice,
} from '../pki/index.js'
import { SealbusError } from '../src/errors.js'
import { describe, table } from './pki-output.js'
import { progress } from './pki-progress.js'

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

export interface PkiCommand {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly details: string
  /** Besides `help` and `dir`. */
  readonly options: readonly OptionName[]
  /** How many names it takes: at least, at most. */
  readonly names: readonly [number, number]
  run(values: Values, names: readonly string[]): number | Promise<number>
}

const MANY: number = Number.MAX_SAFE_INTEGER

export const COMMANDS: readonly PkiCommand[] = [
  {
    name: 'init',
    usage: 'init --dir D --domain NAME [--brokers URL,URL]',
    summary: 'make a domain: its roots, its issuing CA, its policy',
    details: 'CA keys are encrypted. A second run changes nothing.',
    options: ['domain', 'brokers', 'passphrase-file'],
    names: [0, 0],
    run: init,
  },
  {
    name: 'issue',
    usage: 'issue NAME --dir D --role R [--inbox KIND] [--again]',
    summary: 'issue one device: D/devices/NAME, complete',
    details: 'A second run changes nothing.',
    options: ['role', 'inbox', 'again', 'passphrase-file'],
    names: [1, 1],
    run: issue,
  },
  {
    name: 'provision',
    usage: 'provision --dir D (--count N --prefix P --role R | --csv FILE) [--inbox KIND]',
    summary: 'issue a fleet',
    details: 'Devices that are there already are not touched; an interrupted run goes on where it ended.',
    options: ['count', 'prefix', 'role', 'csv', 'inbox', 'passphrase-file'],
    names: [0, 0],
    run: provisionFleet,
  },
  {
    name: 'list',
    usage: 'list --dir D [--json]',
    summary: 'list all devices',
    details: 'One line each: name, role, end of the certificate, state.',
    options: ['json'],
    names: [0, 0],
    run: list,
  },
  {
    name: 'show',
    usage: 'show NAME --dir D [--json]',
    summary: 'show one device',
    details: 'Certificate, card, folder.',
    options: ['json'],
    names: [1, 1],
    run: show,
  },
  {
    name: 'verify',
    usage: 'verify [NAME…] --dir D',
    summary: "check devices' folders: all, or those named",
    details: 'Path, dates, usages, revocation, card, keys, modes. Exit code 1 if anything is wrong.',
    options: [],
    names: [0, MANY],
    run: verify,
  },
  {
    name: 'renew',
    usage: 'renew (NAME… | --all) --dir D [--within DAYS]',
    summary: 'renew certificates: the same key, a new end',
    details: 'The devices get a card to match; the others get that card.',
    options: ['all', 'within', 'passphrase-file'],
    names: [0, MANY],
    run: renewDevices,
  },
  {
    name: 'revoke',
    usage: 'revoke NAME… --dir D',
    summary: 'shut devices out',
    details: "A new signed list goes into every device's folder; the definitions take the rights away.",
    options: ['passphrase-file'],
    names: [1, MANY],
    run: revokeDevices,
  },
  {
    name: 'refresh',
    usage: 'refresh --dir D [--brokers URL,URL]',
    summary: 'write again what follows from D/policy.json',
    details:
      'Policies, trust files, cards, definitions, an ageing revocation list: what differs, and nothing else.',
    options: ['brokers', 'passphrase-file'],
    names: [0, 0],
    run: refreshAll,
  },
  {
    name: 'broker-cert',
    usage: 'broker-cert NODE --dir D [--host HOST]…',
    summary: 'issue a server certificate for a broker node',
    details: 'It names localhost, 127.0.0.1, ::1 and the hosts given: D/broker/nodes/NODE.',
    options: ['host', 'passphrase-file'],
    names: [1, 1],
    run: brokerCertificate,
  },
]

function text(values: Values, name: OptionName): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

function required(values: Values, name: OptionName): string {
  const value = text(values, name)
  if (value !== undefined && value !== '') return value
  throw new SealbusError('configuration', `--${name}${OPTIONS[name].value}: expected, but not given`)
}

function number(values: Values, name: OptionName): number {
  const given = required(values, name)
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw new SealbusError('configuration', `--${name}: expected a whole number, got ${JSON.stringify(given)}`)
}

function brokersOf(values: Values): string[] | undefined {
  return text(values, 'brokers')
    ?.split(',')
    .map(url => url.trim())
}

function inboxOf(values: Values) {
  const given = text(values, 'inbox')
  return given === undefined ? {} : { inbox: checkInboxKind(given, '--inbox') }
}

async function passphraseOf(values: Values, repeat = false): Promise<string> {
  const file = text(values, 'passphrase-file')
  return readPassphrase({ repeat, ...(file === undefined ? {} : { file }) })
}

/** Without the passphrase: for what only reads. */
function open(values: Values): Pki {
  return openPki({ dir: required(values, 'dir') })
}

/** With the passphrase, asked for once the folder is known to be a domain's. */
async function unlock(values: Values): Promise<Pki> {
  open(values)
  return openPki({ dir: required(values, 'dir'), passphrase: await passphraseOf(values) })
}

function say(...lines: string[]): number {
  process.stdout.write(`${lines.join('\n')}\n`)
  return 0
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`

async function init(values: Values): Promise<number> {
  const options = { dir: required(values, 'dir'), domain: required(values, 'domain') }
  const brokers = brokersOf(values)
  const passphrase = await passphraseOf(values, true)
  const { pki, created } = await initPki({
    ...options,
    passphrase,
    ...(brokers === undefined ? {} : { brokers }),
  })
  if (!created) return say(`${options.dir} is the domain ${pki.domain} already; nothing changed`)
  return say(
    `made the domain ${pki.domain} in ${options.dir}`,
    `keep ${options.dir}/ca and its passphrase; ca/identity-root.key is best kept elsewhere`,
  )
}

async function issue(values: Values, [name = '']: readonly string[]): Promise<number> {
  const member = { name, role: required(values, 'role') }
  const pki = await unlock(values)
  const { device, issued } = await issueDevice(pki, member, {
    ...inboxOf(values),
    again: values.again === true,
  })
  const where = device.folder ?? 'handed out'
  return say(
    issued
      ? `issued ${name}, ${device.role}: ${where}`
      : `${name} is issued already, ${device.role}: ${where}; nothing changed`,
  )
}

function fleetOf(values: Values): FleetMember[] {
  const csv = text(values, 'csv')
  if (csv === undefined)
    return numberedFleet(required(values, 'prefix'), number(values, 'count'), required(values, 'role'))
  if (values.count !== undefined || values.prefix !== undefined || values.role !== undefined) {
    throw new SealbusError('configuration', '--csv: expected alone, not with --count, --prefix or --role')
  }
  try {
    return parseFleetCsv(readFileSync(csv, 'utf8'))
  } catch (cause) {
    if (cause instanceof SealbusError) throw cause
    throw new SealbusError('configuration', `--csv ${csv}: ${(cause as Error).message}`, { cause })
  }
}

async function provisionFleet(values: Values): Promise<number> {
  const fleet = fleetOf(values)
  const inbox = inboxOf(values)
  const pki = await unlock(values)
  const startMs = performance.now()
  const done = await provision(pki, fleet, { ...inbox, onProgress: progress('issued') })
  return say(...provisionedLines(done, (performance.now() - startMs) / 1000))
}

function provisionedLines(
  { issued, present, revoked, filesChanged }: Provisioned,
  seconds: number,
): string[] {
  const left = revoked.length === 0 ? [] : [`${plural(revoked.length, 'revoked device')} left alone`]
  if (issued.length > 0) {
    return [
      `issued ${plural(issued.length, 'device')} in ${seconds.toFixed(1)} s, ${present.length} were there already`,
      ...left,
    ]
  }
  const mended =
    filesChanged === 0
      ? 'nothing changed'
      : `wrote ${plural(filesChanged, 'file')} that an earlier run had not`
  return [`all ${plural(present.length, 'device')} were there already; ${mended}`, ...left]
}

function list(values: Values): number {
  const pki = open(values)
  const devices = listDevices(pki)
  if (values.json === true)
    return say(
      JSON.stringify(
        devices.map(device => describe(device, pki.now())),
        null,
        2,
      ),
    )
  return say(table(devices, pki.now()))
}

function show(values: Values, [name = '']: readonly string[]): number {
  const pki = open(values)
  const facts = describe(findDevice(pki, name), pki.now())
  if (values.json === true) return say(JSON.stringify(facts, null, 2))
  const width = Math.max(...Object.keys(facts).map(key => key.length))
  return say(...Object.entries(facts).map(([key, value]) => `${key.padEnd(width)}  ${value}`))
}

async function verify(values: Values, names: readonly string[]): Promise<number> {
  const pki = open(values)
  const devices = names.length === 0 ? listDevices(pki) : names.map(name => findDevice(pki, name))
  const findings = []
  for (const device of devices) findings.push({ device, ...(await verifyDevice(device, pki.now())) })
  const wrong = findings.filter(({ problems }) => problems.length > 0)
  for (const { name, problems } of wrong) say(...problems.map(problem => `${name}: ${problem}`))
  // n.b. when everything is looked at, what was revoked or handed out is no fault
  const faults = wrong.filter(
    ({ device }) => names.length > 0 || (!device.revoked && device.folder !== undefined),
  )
  say(`${plural(devices.length, 'device')} checked, ${faults.length} with problems`)
  return faults.length === 0 ? 0 : 1
}

async function renewDevices(values: Values, names: readonly string[]): Promise<number> {
  if ((values.all === true) === names.length > 0) {
    throw new SealbusError('configuration', 'expected either names or --all')
  }
  const within = values.within === undefined ? {} : { withinDays: number(values, 'within') }
  const renewed = await renew(await unlock(values), values.all === true ? 'all' : names, within)
  return say(
    `renewed ${plural(renewed.length, 'certificate')}${renewed.length === 0 ? '; nothing changed' : ''}`,
  )
}

async function revokeDevices(values: Values, names: readonly string[]): Promise<number> {
  const pki = await unlock(values)
  const revoked = await revoke(pki, names)
  if (revoked.length === 0) return say('revoked already; nothing changed')
  return say(
    `revoked ${revoked.join(', ')}; the new list is in every device's folder`,
    'at the broker: rabbitmqctl import_definitions takes the rights away, rabbitmqctl delete_user NAME closes the connections',
  )
}

async function refreshAll(values: Values): Promise<number> {
  const pki = await unlock(values)
  const brokers = brokersOf(values)
  const configs = brokers === undefined ? 0 : await setBrokers(pki, brokers)
  const { devices, filesChanged, listRenewed } = await refresh(
    openPki({ dir: pki.layout.dir, passphrase: await passphraseOf(values) }),
  )
  const changed = configs + filesChanged + Number(listRenewed)
  return say(
    `${plural(devices, 'device')}: ${changed === 0 ? 'nothing changed' : `wrote ${plural(changed, 'file')}`}`,
  )
}

async function brokerCertificate(values: Values, [name = '']: readonly string[]): Promise<number> {
  const hosts = Array.isArray(values.host) ? values.host : []
  const made = await issueBrokerCertificate(await unlock(values), { name, hosts })
  return say(
    made.issued
      ? `issued a server certificate for ${name}`
      : `the certificate of ${name} is still good; nothing changed`,
    `  certfile   ${made.certFile}`,
    `  keyfile    ${made.keyFile}`,
    `  cacertfile ${made.clientCaFile}`,
  )
}
