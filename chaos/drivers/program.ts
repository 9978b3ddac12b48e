/**
 * Programs that drivers run: with a time limit, and with an error that says what was run and what it said. A driver's
 * program that fails means that a fault was not injected, or not healed: never that it was survived.
 */
import { type ChildProcess, spawn } from 'node:child_process'

const OUTPUT_LIMIT = 16 * 2 ** 20
const SAID_LIMIT = 1_000

/** One command. */
export interface Command {
  /** The program and its arguments; with a shell its whole line as the only element. */
  readonly argv: readonly string[]
  /** Run by `/bin/sh -c`. Default false. */
  readonly shell?: boolean
  readonly timeoutMs: number
}

/** A command that could not be run, failed, or took too long. */
export class CommandError extends Error {
  override readonly name: string = 'CommandError'
}

/**
 * Runs it to its end.
 *
 * @returns its standard output
 * @throws CommandError `not injected: …` with the command's standard error, when it is not there, ends with another code
 *   than 0, or does not end in time; then everything that it started is killed
 */
export function runCommand({ argv, shell = false, timeoutMs }: Command): Promise<string> {
  const [program = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const failed = (why: string): void => reject(new CommandError(`not injected: ${shown(argv)}: ${why}`))
    const child = spawn(program, args, { shell, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < OUTPUT_LIMIT) output[name] += text
      })
    const limit = setTimeout(() => {
      killAll(child)
      failed(`did not end within ${timeoutMs / 1000} s${said(output.stderr)}`)
    }, timeoutMs)
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(limit)
      failed(
        error.code === 'ENOENT'
          ? `${program} was not found; is it installed and in the PATH?`
          : error.message,
      )
    })
    child.once('close', (code, signal) => {
      clearTimeout(limit)
      if (code === 0) resolve(output.stdout)
      else failed(`ended with ${signal ?? `code ${code ?? '?'}`}${said(output.stderr || output.stdout)}`)
    })
  })
}

/** The whole group: a shell's children too. */
function killAll(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    child.kill('SIGKILL') // its group is gone
  }
}

function shown(argv: readonly string[]): string {
  return argv
    .map(word => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(' ')
    .slice(0, SAID_LIMIT)
}

function said(text: string): string {
  const trimmed = text.trim()
  return trimmed === '' ? '' : `: ${trimmed.slice(-SAID_LIMIT)}`
}
