/**
 * Programs that stand in for engines which are not on this machine: an executable on the PATH that writes down what it
 * was called with, and answers what was recorded for such a call.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** What a call is answered with. */
export interface Recorded {
  /** A pattern of the shell (`*` for anything) for the arguments, joined by blanks; the first that fits is taken. */
  readonly call: string
  readonly stdout?: string
  readonly stderr?: string
  readonly code?: number
}

export interface RecordedProgram {
  /** The arguments of each call so far, joined by blanks. */
  readonly calls: () => string[]
  /** Other answers from now on. */
  answer(recorded: readonly Recorded[]): void
  /** Off the PATH again. */
  close(): void
}

/** Puts it first in this process's PATH. */
export function recordedProgram(name: string, recorded: readonly Recorded[]): RecordedProgram {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-recorded-'))
  const log = join(folder, 'log')
  const program = join(folder, name)
  const before = process.env['PATH'] ?? ''
  const answer = (list: readonly Recorded[]): void =>
    writeFileSync(program, script(log, list), { mode: 0o755 })
  answer(recorded)
  process.env['PATH'] = `${folder}${delimiter}${before}`
  return {
    calls: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\0').slice(0, -1) : []),
    answer,
    close() {
      process.env['PATH'] = before
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** What a node would print for `rabbitmqctl eval` of an expression with this value. */
export function evaluated(value: unknown): string {
  return `"${Buffer.from(JSON.stringify(value)).toString('base64')}"\n`
}

/** Written for the shell: it starts in a millisecond. */
function script(log: string, recorded: readonly Recorded[]): string {
  const cases = recorded.map(
    ({ call, stdout = '', stderr = '', code = 0 }) =>
      `  ${pattern(call)}) printf '%s' ${quoted(stdout)}; printf '%s' ${quoted(stderr)} >&2; exit ${code};;`,
  )
  const unknown = `  *) printf 'nothing was recorded for: %s' "$*" >&2; exit 99;;`
  return `#!/bin/sh\nprintf '%s\\0' "$*" >> ${quoted(log)}\ncase "$*" in\n${[...cases, unknown].join('\n')}\nesac\n`
}

/** Everything but the stars is taken as it is. */
function pattern(call: string): string {
  return call
    .split('*')
    .map(part => (part === '' ? '' : quoted(part)))
    .join('*')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
