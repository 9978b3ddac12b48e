/** `sealbus pki …`: a thin shell over pki/. What it says about the work goes to stdout, everything else to stderr. */
import { parseArgs } from 'node:util'
import { asError } from '../src/errors.js'
import { COMMANDS, type PkiCommand } from './pki-commands.js'
import { OPTIONS } from './pki-options.js'
import { EXIT, isWrongUsage } from './usage.js'

const OVERVIEW = 'usage: sealbus pki COMMAND --dir D …'

/**
 * Runs one command.
 * @param argv - what follows `sealbus pki`
 * @returns the exit code: 0; 1 after an error or a finding; 2 where it was called wrongly
 */
export async function run(argv: string[]): Promise<number> {
  const [name = '--help', ...rest] = argv
  if (name === '--help' || name === '-h' || name === 'help') return say(overview())
  const command = COMMANDS.find(each => each.name === name)
  if (command === undefined)
    return complain(`sealbus pki: unknown command ${JSON.stringify(name)}\n\n${overview()}`, EXIT.usage)
  try {
    return await runCommand(command, rest)
  } catch (error) {
    if (!isWrongUsage(error)) return complain(`sealbus pki ${name}: ${asError(error).message}`, EXIT.failed)
    return complain(`sealbus pki ${name}: ${asError(error).message}\n\n${helpOf(command)}`, EXIT.usage)
  }
}

async function runCommand(command: PkiCommand, argv: string[]): Promise<number> {
  const names = ['help', 'dir', ...command.options] as const
  const options = Object.fromEntries(names.map(name => [name, OPTIONS[name]]))
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true, strict: true })
  if (values['help'] === true) return say(helpOf(command))
  const [least, most] = command.names
  if (positionals.length < least || positionals.length > most) {
    return complain(
      `sealbus pki ${command.name}: expected ${countOf(least, most)}, got ${positionals.length}\n\n${helpOf(command)}`,
      EXIT.usage,
    )
  }
  return command.run(values, positionals)
}

function countOf(least: number, most: number): string {
  if (most === 0) return 'no name'
  return least === most ? `${least} name` : `at least ${least} name`
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length))
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return `${OVERVIEW}\n\n${lines.join('\n')}\n\nsealbus pki COMMAND --help says more.`
}

function helpOf(command: PkiCommand): string {
  const names = ['dir', ...command.options, 'help'] as const
  const rows = names.map(name => [`--${name}${OPTIONS[name].value}`, OPTIONS[name].help] as const)
  const width = Math.max(...rows.map(([option]) => option.length))
  const lines = rows.map(([option, help]) => `  ${option.padEnd(width)}  ${help}`)
  return `usage: sealbus pki ${command.usage}\n\n${command.summary}\n${command.details}\n\n${lines.join('\n')}`
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`)
  return code
}
