/** Where RabbitMQ and Erlang are installed on this machine. */

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { SealbusError } from '../src/errors.js'

/** Programs of an installed RabbitMQ, as absolute paths. */
export interface RabbitmqPrograms {
  readonly server: string
  readonly ctl: string
  readonly epmd: string
  /** Talks to a running node in milliseconds; part of Erlang, but not of every package of it. */
  readonly erlCall: string | undefined
}

/**
 * Folders with RabbitMQ's own scripts: Debian, Homebrew, the generic archive.
 * n.b. Debian's `/usr/sbin/rabbitmq-server` is no use here: it forces the user `rabbitmq`.
 */
const SCRIPT_FOLDERS = [
  '/usr/lib/rabbitmq/bin',
  '/opt/homebrew/opt/rabbitmq/sbin',
  '/usr/local/opt/rabbitmq/sbin',
  '/opt/rabbitmq/sbin',
] as const

/** What to run, or undefined when RabbitMQ or Erlang is not installed. `SEALBUS_RABBITMQ_BIN` names another folder. */
export function findRabbitmq(): RabbitmqPrograms | undefined {
  const own = process.env['SEALBUS_RABBITMQ_BIN']
  const folder = (own === undefined ? SCRIPT_FOLDERS : [own]).find(each =>
    executable(join(each, 'rabbitmq-server')),
  )
  const epmd = inPath('epmd')
  if (folder === undefined || epmd === undefined) return undefined
  return {
    server: join(folder, 'rabbitmq-server'),
    ctl: join(folder, 'rabbitmqctl'),
    epmd,
    erlCall: inPath('erl_call'),
  }
}

/** @throws {@link SealbusError} `configuration`, with the way to install it */
export function requireRabbitmq(): RabbitmqPrograms {
  const found = findRabbitmq()
  if (found !== undefined) return found
  throw new SealbusError(
    'configuration',
    'RabbitMQ is not installed here (looked for rabbitmq-server in /usr/lib/rabbitmq/bin and Homebrew, and for epmd in the ' +
      'PATH). On Debian: apt-get install --no-install-recommends rabbitmq-server; elsewhere set SEALBUS_RABBITMQ_BIN to ' +
      'the folder that holds rabbitmq-server and rabbitmqctl',
  )
}

function inPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '')
  return folders.map(folder => join(folder, program)).find(executable)
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
