/**
 * Where the passphrase of the CA keys comes from: a file, the environment, or the terminal, without echo. Never an
 * argument: other users of the machine can read those.
 */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import { SealbusError } from '../src/errors.js'
import { readIfThere } from './files.js'
import { MAX_PASSPHRASE_BYTES } from './pkcs8.js'

/** The variable that holds it. */
export const PASSPHRASE_VARIABLE = 'SEALBUS_CA_PASSPHRASE'

/** Who steals the folder may guess at leisure: scrypt makes a guess dear, length makes them many. */
const MIN_NEW_CHARACTERS = 12

export interface PassphraseOptions {
  /** First choice: a file with the passphrase in its first line. */
  readonly file?: string
  /** Second choice: its {@link PASSPHRASE_VARIABLE}. Default `process.env`. */
  readonly environment?: NodeJS.ProcessEnv
  /** Ask twice: the passphrase is new. */
  readonly repeat?: boolean
}

/** @throws SealbusError `configuration` where there is none and nobody to ask */
export async function readPassphrase(options: PassphraseOptions = {}): Promise<string> {
  if (options.file !== undefined) return check(fromFile(options.file), options.file)
  const set = (options.environment ?? process.env)[PASSPHRASE_VARIABLE]
  if (set !== undefined && set !== '') return check(set, PASSPHRASE_VARIABLE)
  if (!process.stdin.isTTY) {
    throw new SealbusError(
      'configuration',
      `passphrase of the CA keys: expected --passphrase-file FILE, the variable ${PASSPHRASE_VARIABLE} or a terminal to ask on, got none`,
    )
  }
  return fromTerminal(options.repeat === true)
}

function fromFile(path: string): string {
  const content = readIfThere(path)
  if (content === undefined)
    throw new SealbusError('configuration', `--passphrase-file ${path}: no such file`)
  return content.toString('utf8').split(/\r?\n/, 1)[0] ?? ''
}

function check(passphrase: string, where: string): string {
  const bytes = Buffer.byteLength(passphrase)
  if (bytes >= 1 && bytes <= MAX_PASSPHRASE_BYTES) return passphrase
  throw new SealbusError(
    'configuration',
    `${where}: expected a passphrase of 1 to ${MAX_PASSPHRASE_BYTES} bytes, got ${bytes}`,
  )
}

/** Of a domain that is to be made. n.b. an older one with a shorter passphrase still opens. @throws SealbusError */
export function checkNewPassphrase(passphrase: string): void {
  const given = Array.from(passphrase).length
  if (given >= MIN_NEW_CHARACTERS) return
  throw new SealbusError(
    'configuration',
    `passphrase of the CA keys: expected at least ${MIN_NEW_CHARACTERS} characters, got ${given}; nothing was made: take a longer one, such as five random words`,
  )
}

async function fromTerminal(repeat: boolean): Promise<string> {
  const given = check(await ask('Passphrase of the CA keys: '), 'terminal')
  if (repeat) checkNewPassphrase(given)
  if (repeat && (await ask('The same again: ')) !== given) {
    throw new SealbusError('configuration', 'the two passphrases differ; nothing was made')
  }
  return given
}

/** Asks on the terminal without showing what is typed. */
function ask(question: string, input: ReadStream = process.stdin): Promise<string> {
  process.stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true })
  return new Promise((resolve, reject) => {
    lines.once('line', resolve)
    lines.once('SIGINT', () => reject(new SealbusError('configuration', 'stopped by the user')))
    lines.once('close', () => reject(new SealbusError('configuration', 'no passphrase was given')))
  }).finally(() => {
    lines.close()
    process.stderr.write('\n')
  }) as Promise<string>
}
