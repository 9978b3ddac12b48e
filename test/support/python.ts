/** The client in Python of examples/python, run as a user does. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './program.js'

const exec = promisify(execFile)

/**
 * Runs a file of examples/python to its end.
 * @returns what it printed; rejects with both outputs where its exit code is not 0
 */
export async function python(file: string, args: readonly string[], timeoutMs = 60_000): Promise<string> {
  const path = join(ROOT, 'examples', 'python', file)
  // -B: no compiled files next to the sources
  const { stdout } = await exec('/usr/bin/python3', ['-B', path, ...args], { timeout: timeoutMs, cwd: ROOT })
  return stdout
}

/** Runs a program that is given as text. */
export async function pythonCode(code: string, args: readonly string[]): Promise<string> {
  const { stdout } = await exec('/usr/bin/python3', ['-B', '-c', code, ...args], {
    timeout: 60_000,
    cwd: ROOT,
  })
  return stdout
}
