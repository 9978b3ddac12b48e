/** What the commands of `sealbus pki` do: options in, work of pki/, a few lines out. */
import { existsSync, readFileSync } from 'node:fs'
import {
  checkDomain,
  type FleetMember,
  findDevice,
  initPki,
  issueBrokerCertificate,
  issueDevice,
  layoutOf,
  listDevices,
  numberedFleet,
  type Pki,
  type Provisioned,
  parseFleetCsv,
  provision,
  refresh,
  renew,
  revoke,
  setBrokers,
  verifyDevice,
} from '../pki/index.js'
import { asError, SealbusError } from '../src/errors.js'
import {
  brokersOf,
  inboxOf,
  number,
  type OptionName,
  open,
  passphraseOf,
  required,
  text,
  unlock,
  type Values,
} from './pki-options.js'
import { describe, table } from './pki-output.js'
import { progress } from './pki-progress.js'

function say(...lines: string[]): number {
  process.stdout.write(`${lines.join('\n')}\n`)
  return 0
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`

export async function init(values: Values): Promise<number> {
  const { pki, created } = await initialised(values)
  const { dir, ca } = pki.layout
  if (!created) return say(`${dir} is the domain ${pki.domain} already; nothing changed`)
  return say(
    `made the domain ${pki.domain} in ${dir}`,
    `keep ${ca} and its passphrase; identity-root.key is best kept elsewhere once everything runs`,
  )
}

/** The domain, made if there is none yet; a new passphrase is asked for twice. */
async function initialised(values: Values): Promise<{ pki: Pki; created: boolean }> {
  const options = { dir: required(values, 'dir'), domain: checkDomain(required(values, 'domain')) }
  const brokers = brokersOf(values)
  const passphrase = await passphraseOf(values, !existsSync(layoutOf(options.dir).settings))
  return initPki({ ...options, passphrase, ...(brokers === undefined ? {} : { brokers }) })
}

export async function issue(values: Values, [name = '']: readonly string[]): Promise<number> {
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

function fleetOf(values: Values): readonly FleetMember[] {
  const csv = text(values, 'csv')
  if (csv === undefined)
    return numberedFleet(required(values, 'prefix'), number(values, 'count'), required(values, 'role'))
  if (values.count !== undefined || values.prefix !== undefined || values.role !== undefined) {
    throw new SealbusError('configuration', '--csv: expected alone, not with --count, --prefix or --role')
  }
  return parseFleetCsv(readText('csv', csv))
}

/** A file that was named on the command line. @throws SealbusError `configuration` */
function readText(option: OptionName, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code = 'unknown error' } = asError(cause) as NodeJS.ErrnoException
    const what = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
    throw new SealbusError('configuration', `--${option} ${path}: ${what}; name an existing file`, { cause })
  }
}

export async function provisionFleet(values: Values): Promise<number> {
  const fleet = fleetOf(values)
  const inbox = inboxOf(values)
  const pki = values.domain === undefined ? await unlock(values) : (await initialised(values)).pki
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

export function list(values: Values): number {
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

export function show(values: Values, [name = '']: readonly string[]): number {
  const pki = open(values)
  const facts = describe(findDevice(pki, name), pki.now())
  if (values.json === true) return say(JSON.stringify(facts, null, 2))
  const width = Math.max(...Object.keys(facts).map(key => key.length))
  return say(...Object.entries(facts).map(([key, value]) => `${key.padEnd(width)}  ${value}`))
}

export async function verify(values: Values, names: readonly string[]): Promise<number> {
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

export async function renewDevices(values: Values, names: readonly string[]): Promise<number> {
  if ((values.all === true) === names.length > 0) {
    throw new SealbusError('configuration', 'expected either names or --all')
  }
  const within = values.within === undefined ? {} : { withinDays: number(values, 'within') }
  const renewed = await renew(await unlock(values), values.all === true ? 'all' : names, within)
  return say(
    `renewed ${plural(renewed.length, 'certificate')}${renewed.length === 0 ? '; nothing changed' : ''}`,
  )
}

export async function revokeDevices(values: Values, names: readonly string[]): Promise<number> {
  const pki = await unlock(values)
  const revoked = await revoke(pki, names)
  if (revoked.length === 0) return say('revoked already; nothing changed')
  return say(
    `revoked ${revoked.join(', ')}; the new list is in the folder of every device that is still here`,
    ...handedOutLines(pki),
    'at the broker: rabbitmqctl import_definitions takes the rights away, rabbitmqctl delete_user NAME closes the connections',
  )
}

/** n.b. whether a folder that is still here was copied to its device, too, nobody can see. */
function handedOutLines({ layout }: Pki): string[] {
  return [
    `devices whose folder was handed out or copied go on trusting what was revoked until ${layout.revocationList}`,
    'stands in their folder, in place of revoked.cbor: bring it to them; one that runs reads it within half a minute',
  ]
}

export async function refreshAll(values: Values): Promise<number> {
  const pki = await unlock(values)
  const brokers = brokersOf(values)
  const configs = brokers === undefined ? 0 : await setBrokers(pki, brokers)
  const { devices, filesChanged, listRenewed } = await refresh(pki)
  const changed = configs + filesChanged + Number(listRenewed)
  return say(
    `${plural(devices, 'device')}: ${changed === 0 ? 'nothing changed' : `wrote ${plural(changed, 'file')}`}`,
  )
}

export async function brokerCertificate(values: Values, [name = '']: readonly string[]): Promise<number> {
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
