/** Commands with places in them: `{node}` and other words in braces. */
import { SealbusError } from '../../src/errors.js'
import type { Command } from './program.js'
import { ConfigMap, flag, seconds, text, texts } from './settings.js'

/** What may be put into a command, by its word. */
export type Words = Readonly<Record<string, string>>

/** A command as configured. */
export interface CommandSpec {
  readonly argv: readonly string[]
  readonly shell: boolean
  /** Absent: the driver's. */
  readonly timeoutMs?: number
  /** Where it stands: for errors. */
  readonly where: string
}

/** A list of words, or a map with `run`, `shell` and `timeout`. @throws SealbusError `configuration` */
export function commandSpec(given: unknown, where: string): CommandSpec {
  if (Array.isArray(given)) return { argv: texts(given, where), shell: false, where }
  const map = new ConfigMap(given, where)
  const shell = map.maybe('shell', flag) ?? false
  const argv = shell ? [map.need('run', text)] : map.need('run', texts)
  const timeoutMs = map.maybe('timeout', seconds)
  map.done()
  return { argv, shell, where, ...(timeoutMs !== undefined && { timeoutMs }) }
}

/**
 * The command with everything put in; for a shell it is quoted, so that no value becomes a command.
 * @throws SealbusError `configuration` for a place that nothing fills
 */
export function expand(spec: CommandSpec, words: Words, timeoutMs: number): Command {
  const fill = (template: string): string =>
    template.replaceAll(/\{([a-z][A-Za-z0-9]*)\}/g, (place, word: string) => {
      const value = words[word]
      if (value === undefined)
        throw new SealbusError(
          'configuration',
          `${spec.where}: nothing stands for ${place}; there are ${Object.keys(words).join(', ') || 'no words'}`,
        )
      return spec.shell ? quoted(value) : value
    })
  return { argv: spec.argv.map(fill), shell: spec.shell, timeoutMs: spec.timeoutMs ?? timeoutMs }
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`
}
