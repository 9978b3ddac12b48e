/** `npm ci` when node_modules is missing, half made, or not what package-lock.json says. */

import { readFileSync } from 'node:fs'
import { withLock } from './lock.mjs'
import { inRoot, say } from './root.mjs'
import { runProgram } from './run-program.mjs'

const LOCK = inRoot('.sealbus', 'setup.lock')

export async function installDependencies() {
  if (areInstalled()) return
  await withLock(LOCK, 'npm ci', async () => {
    if (areInstalled()) return
    say('node_modules is missing or out of date: npm ci')
    // stdout belongs to what follows; dev dependencies also where NODE_ENV says production: they build and test.
    const code = await runProgram('npm', ['ci', '--include=dev'], {
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
    })
    if (code !== 0)
      throw new Error(`npm ci failed with exit code ${code}; see above. Is the npm registry reachable?`)
  })
}

/**
 * npm writes its hidden lock file as the last step of an installation: if that holds every package that
 * package-lock.json wants, in the same version, the installation is whole and fresh.
 */
export function areInstalled(
  wantedFile = inRoot('package-lock.json'),
  installedFile = inRoot('node_modules', '.package-lock.json'),
) {
  const wanted = packagesOf(wantedFile)
  const installed = packagesOf(installedFile)
  if (wanted === undefined || installed === undefined) return false
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      entry.optional ||
      entry.devOptional ||
      entry.peer ||
      installed[path]?.version === entry.version,
  )
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return undefined
  }
}
