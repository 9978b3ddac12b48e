/** The `sealbus` command: finds the part that is asked for, and turns what it throws into one clear line. */

import { readFileSync } from 'node:fs'
import { asError, isSealbusError } from '../src/errors.js'
import { EXIT, isWrongUsage } from './usage.js'

/** A part of the command: takes what follows its name, returns the exit code. */
interface Part {
  readonly summary: string
  readonly load: () => Promise<{ run(argv: string[]): Promise<number> }>
}

/** Loaded when asked for: `sealbus pki` does not wait for a broker's client. */
const PARTS: Readonly<Record<string, Part>> = {
  pki: {
    summary: 'certificates, cards, policies: make a domain, issue, provision, renew, revoke',
    load: () => import('./pki.js'),
  },
  cluster: {
    summary: 'real RabbitMQ nodes on this machine: up, status, kill, stop, start, down',
    load: () => import('./cluster.js'),
  },
  parked: {
    summary: 'what a receiver could not handle: list, show, replay, delete, export',
    load: () => import('./parked.js'),
  },
  demo: {
    summary: 'the whole of it on real input, with a node killed on the way',
    load: () => import('./demo.js'),
  },
  chaos: {
    summary: 'inject faults into a cluster under load and judge what happened',
    load: () => import('./chaos.js'),
  },
  bench: { summary: 'measure sealing beside libsodium', load: () => import('./bench.js') },
}

/**
 * Runs the command.
 *
 * @param argv - the arguments after the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrongly called
 */
export async function main(argv: readonly string[]): Promise<number> {
  endQuietlyWhenNobodyReads()
  const [name = 'help', ...rest] = argv
  if (['help', '--help', '-h'].includes(name)) return say(help())
  if (['version', '--version', '-v'].includes(name)) return say(`sealbus ${version()}\n`)
  const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined
  if (part === undefined)
    return complain(`sealbus: no command ${JSON.stringify(name)}\n\n${help()}`, EXIT.usage)
  try {
    return await (await part.load()).run(rest)
  } catch (error) {
    return complain(`sealbus ${name}: ${explain(error)}`, isWrongUsage(error) ? EXIT.usage : EXIT.failed)
  }
}

function help(): string {
  const rows = Object.entries(PARTS).map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`)
  return `usage: sealbus COMMAND …\n\n${rows.join('\n')}\n\nsealbus COMMAND --help says more; SEALBUS_DEBUG=1 shows where an error comes from.\n`
}

function version(): string {
  const file = ['../package.json', '../../package.json'].map(path => new URL(path, import.meta.url))
  const text = file.map(read).find(each => each !== undefined) ?? '{}'
  return (JSON.parse(text) as { version?: string }).version ?? 'unknown'
}

function read(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function explain(thrown: unknown): string {
  const error = asError(thrown)
  if (process.env['SEALBUS_DEBUG'] === '1') return error.stack ?? error.message
  return isSealbusError(error) ? `${error.message} [${error.code}]` : error.message
}

/** `sealbus … | head -1` closes our output early. */
function endQuietlyWhenNobodyReads(): void {
  if (!process.stdout.listeners('error').includes(nobodyReads)) process.stdout.on('error', nobodyReads)
}

function nobodyReads(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`)
  return code
}
