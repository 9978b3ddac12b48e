/** Runs programs of the repository as a user does: compiled, in a process of their own. */
import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const exec = promisify(execFile)
export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Compiles what has changed. */
export async function build(): Promise<void> {
  await exec(process.execPath, ['-e', `import('./scripts/build.mjs').then(({ build }) => build())`], {
    cwd: ROOT,
  })
}

/** Runs a file of dist/; resolves with its standard output, rejects with both outputs where it fails. */
export async function run(file: string, args: readonly string[], timeoutMs = 60_000): Promise<string> {
  const { stdout } = await exec(process.execPath, [join(ROOT, 'dist', file), ...args], {
    timeout: timeoutMs,
    cwd: ROOT,
  })
  return stdout
}
