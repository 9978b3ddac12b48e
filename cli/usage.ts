/** What every part of the command agrees on: exit codes, and which errors mean that it was called wrongly. */
import { asError } from '../src/errors.js'

export const EXIT = { done: 0, failed: 1, usage: 2 } as const

/** `parseArgs` refuses unknown options with these codes. */
export function isWrongUsage(error: unknown): boolean {
  return ((asError(error) as NodeJS.ErrnoException).code ?? '').startsWith('ERR_PARSE_ARGS')
}
