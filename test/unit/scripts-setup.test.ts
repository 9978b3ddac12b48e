import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-scripts-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const script = (name: string): string =>
  pathToFileURL(join(import.meta.dirname, '..', '..', 'scripts', name)).href

/** Runs a module of a few lines in a process of its own. @returns what it wrote */
function runModule(text: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', text], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

function areInstalled(wanted: object, installed: object | undefined): boolean {
  const [wantedFile, installedFile] = [join(folder, 'wanted.json'), join(folder, 'installed.json')]
  rmSync(installedFile, { force: true })
  writeFileSync(wantedFile, JSON.stringify({ packages: wanted }))
  if (installed !== undefined) writeFileSync(installedFile, JSON.stringify({ packages: installed }))
  const files = JSON.stringify([wantedFile, installedFile]).slice(1, -1)
  const text = `import { areInstalled } from '${script('dependencies.mjs')}'; console.log(areInstalled(${files}))`
  return runModule(text) === 'true\n'
}

const WANTED = {
  '': { name: 'x' },
  'node_modules/a': { version: '1.0.0' },
  'node_modules/b-darwin': { version: '1.0.0', optional: true },
}

test('dependencies are installed when every package is there in the version of the lock file', () => {
  expect(areInstalled(WANTED, { 'node_modules/a': { version: '1.0.0' } })).toBe(true)
})

test('dependencies are stale when node_modules is missing, incomplete or of another version', () => {
  expect(areInstalled(WANTED, undefined)).toBe(false)
  expect(areInstalled(WANTED, {})).toBe(false)
  expect(areInstalled(WANTED, { 'node_modules/a': { version: '0.9.0' } })).toBe(false)
})

test('the lock file names the packages of every platform, without which npm ci refuses it', () => {
  const file = join(import.meta.dirname, '..', '..', 'package-lock.json')
  type Entry = { version?: string; optionalDependencies?: Record<string, string> }
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }
  const paths = Object.keys(packages)
  const optional = Object.values(packages).flatMap(entry => Object.keys(entry.optionalDependencies ?? {}))
  expect(optional.filter(name => !paths.some(path => path.endsWith(`node_modules/${name}`)))).toEqual([])
  expect(paths.filter(path => path !== '' && packages[path]?.version === undefined)).toEqual([])
})

/** Holds the lock for a while, and writes when it got it and when it let go. */
function holder(lock: string, log: string, holdMs: number): Promise<number | null> {
  const text = `
    import { withLock } from '${script('lock.mjs')}'
    import { appendFileSync } from 'node:fs'
    await withLock(${JSON.stringify(lock)}, 'a test', async () => {
      appendFileSync(${JSON.stringify(log)}, 'in\\n')
      await new Promise(resolve => setTimeout(resolve, ${holdMs}))
      appendFileSync(${JSON.stringify(log)}, 'out\\n')
    })`
  return new Promise(resolve => {
    spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: 'ignore' }).once('exit', resolve)
  })
}

test('two copies of a set-up step take turns', async () => {
  const log = join(folder, 'turns.log')
  await Promise.all([1, 2, 3].map(() => holder(join(folder, 'turns.lock'), log, 100)))
  expect(readFileSync(log, 'utf8')).toBe('in\nout\n'.repeat(3))
})

test('the lock of a process that was killed is taken over', async () => {
  const lock = join(folder, 'dead.lock')
  const { pid } = spawn(process.execPath, ['-e', '']).once('exit', () => undefined)
  await new Promise(resolve => setTimeout(resolve, 500))
  writeFileSync(lock, String(pid))
  expect(await holder(lock, join(folder, 'dead.log'), 0)).toBe(0)
})
