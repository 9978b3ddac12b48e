/** Compiles into dist/ when a source has changed since the last time. */

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { withLock } from './lock.mjs'
import { inRoot, ROOT, say, tool } from './root.mjs'
import { runProgram } from './run-program.mjs'

const LOCK = inRoot('.sealbus', 'build.lock')
const STAMP = inRoot('dist', '.sources')
const CONFIGURATION = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json']

export async function build() {
  if (isBuilt()) return
  await withLock(LOCK, 'the build', async () => {
    if (isBuilt()) return
    say('dist is missing or out of date: tsc -p tsconfig.build.json')
    const sources = stampOfSources() // before the build: what changes during it is built again the next time
    if (outputsOfDeletedSources(sources)) rmSync(inRoot('dist'), { recursive: true, force: true })
    const code = await runProgram(process.execPath, [tool('tsc'), '-p', 'tsconfig.build.json'], {
      stdio: ['ignore', 2, 2],
    })
    if (code !== 0) throw new Error('the sources do not compile; see above')
    writeFileSync(STAMP, sources)
  })
}

function isBuilt() {
  return existsSync(inRoot('dist', 'cli', 'main.js')) && readStamp() === stampOfSources()
}

function readStamp() {
  try {
    return readFileSync(STAMP, 'utf8')
  } catch {
    return ''
  }
}

/** A line for each source: path, size, time of change. */
function stampOfSources() {
  const { include } = JSON.parse(readFileSync(inRoot('tsconfig.build.json'), 'utf8'))
  const files = [
    ...CONFIGURATION.map(file => inRoot(file)),
    ...include.flatMap(folder => sourcesIn(inRoot(folder))),
  ]
  return files.map(describe).join('\n')
}

function sourcesIn(folder) {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

function describe(file) {
  const { size, mtimeMs } = statSync(file)
  return `${relative(ROOT, file)} ${size} ${mtimeMs}`
}

/** tsc leaves the output of a source that is gone where it was. */
function outputsOfDeletedSources(sources) {
  const now = new Set(sources.split('\n').map(line => line.split(' ')[0]))
  return readStamp()
    .split('\n')
    .some(line => line !== '' && !now.has(line.split(' ')[0]))
}
