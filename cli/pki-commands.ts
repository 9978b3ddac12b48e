/** The commands of `sealbus pki`, one row each. */
import * as actions from './pki-actions.js'
import type { OptionName, Values } from './pki-options.js'

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
    run: actions.init,
  },
  {
    name: 'issue',
    usage: 'issue NAME --dir D --role R [--inbox KIND] [--again]',
    summary: 'issue one device: D/devices/NAME, complete',
    details: 'A second run changes nothing.',
    options: ['role', 'inbox', 'again', 'passphrase-file'],
    names: [1, 1],
    run: actions.issue,
  },
  {
    name: 'provision',
    usage: 'provision --dir D (--count N --prefix P --role R | --csv FILE) [--inbox KIND] [--domain NAME]',
    summary: 'issue a fleet',
    details:
      'Devices that are there already are not touched; an interrupted run goes on where it ended.\n' +
      'With --domain the domain is made first, if there is none.',
    options: ['count', 'prefix', 'role', 'csv', 'inbox', 'domain', 'passphrase-file'],
    names: [0, 0],
    run: actions.provisionFleet,
  },
  {
    name: 'list',
    usage: 'list --dir D [--json]',
    summary: 'list all devices',
    details: 'One line each: name, role, end of the certificate, state.',
    options: ['json'],
    names: [0, 0],
    run: actions.list,
  },
  {
    name: 'show',
    usage: 'show NAME --dir D [--json]',
    summary: 'show one device',
    details: 'Certificate, card, folder.',
    options: ['json'],
    names: [1, 1],
    run: actions.show,
  },
  {
    name: 'verify',
    usage: 'verify [NAME…] --dir D',
    summary: "check devices' folders: all, or those named",
    details: 'Path, dates, usages, revocation, card, keys, modes. Exit code 1 if anything is wrong.',
    options: [],
    names: [0, MANY],
    run: actions.verify,
  },
  {
    name: 'renew',
    usage: 'renew (NAME… | --all) --dir D [--within DAYS]',
    summary: 'renew certificates: the same key, a new end',
    details: 'The devices get a card to match; the others get that card.',
    options: ['all', 'within', 'passphrase-file'],
    names: [0, MANY],
    run: actions.renewDevices,
  },
  {
    name: 'revoke',
    usage: 'revoke NAME… --dir D',
    summary: 'shut devices out',
    details: "A new signed list goes into every device's folder; the definitions take the rights away.",
    options: ['passphrase-file'],
    names: [1, MANY],
    run: actions.revokeDevices,
  },
  {
    name: 'refresh',
    usage: 'refresh --dir D [--brokers URL,URL]',
    summary: 'write again what follows from D/policy.json',
    details:
      'Policies, trust files, cards, definitions, an ageing revocation list: what differs, and nothing else.',
    options: ['brokers', 'passphrase-file'],
    names: [0, 0],
    run: actions.refreshAll,
  },
  {
    name: 'broker-cert',
    usage: 'broker-cert NODE --dir D [--host HOST]…',
    summary: 'issue a server certificate for a broker node',
    details: 'It names localhost, 127.0.0.1, ::1 and the hosts given: D/broker/nodes/NODE.',
    options: ['host', 'passphrase-file'],
    names: [1, 1],
    run: actions.brokerCertificate,
  },
]
