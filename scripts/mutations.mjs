/**
 * `npm run mutations [-- --only TEXT] [--jobs N] [--json FILE] [--write]`: trust in the tests, earned. In copies of the tree it
 * breaks the code on purpose, one mutation at a time, and shows which test fails. A mutation whose text is not found, one
 * that no test notices and one whose tests fail without it end the command with 1. `--write` puts the table into
 * docs/MUTATIONS.md.
 */

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { installDependencies } from './dependencies.mjs'
import { MUTATIONS } from './mutations-table.mjs'
import { inRoot, ROOT, say } from './root.mjs'
import { runMain } from './setup.mjs'

const LEFT_OUT = new Set(['node_modules', 'dist', '.git', '.sealbus', 'coverage'])
const LIMIT_MS = 120_000 // 2 minutes for one file of tests
const BEGIN = '<!-- the table: written by npm run mutations -- --write -->'
const END = '<!-- end of the table -->'

await runMain(async argv => {
  const { values } = parseArgs({
    args: argv,
    options: {
      only: { type: 'string', default: '' },
      jobs: { type: 'string', default: '1' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  })
  const jobs = Number(values.jobs)
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs: expected 1 or more, got ${values.jobs}`)
  const chosen = MUTATIONS.filter(({ broken, file }) => `${broken} ${file}`.includes(values.only))
  for (const mutation of MUTATIONS) mutated(mutation) // n.b. all of them: the table must not rot
  await installDependencies()
  const { results, before } = await runAll(chosen, jobs)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`)
  process.stdout.write(tableOf(results))
  if (values.write) write(results)
  const survivors = results.filter(({ failing }) => failing.length === 0)
  say(`${results.length - survivors.length} of ${results.length} mutations were noticed`)
  return survivors.length + before.length === 0 && chosen.length > 0 ? 0 : 1
})

/** The mutation's file, broken. @throws Error when the text is not there, or more than once */
function mutated({ file, broken, text, replacement }, folder = ROOT) {
  const source = readFileSync(join(folder, file), 'utf8')
  const found = source.split(text).length - 1
  if (found !== 1)
    throw new Error(`mutation "${broken}": expected its text once in ${file}, found it ${found} times`)
  return source.replace(text, () => replacement)
}

async function runAll(chosen, jobs) {
  const copies = Array.from({ length: Math.min(jobs, chosen.length) }, () => copied())
  try {
    const before = new Set(await failures(copies[0], [...new Set(chosen.flatMap(({ tests }) => tests))]))
    for (const name of before) say(`fails without any mutation, and counts for none: ${name}`)
    const results = new Array(chosen.length)
    let next = 0
    const work = async copy => {
      for (let i = next++; i < chosen.length; i = next++) {
        results[i] = await runOne(copy, chosen[i], before)
        const [first = 'SURVIVED'] = results[i].failing
        say(`${i + 1}/${chosen.length} ${chosen[i].broken}: ${first}`)
      }
    }
    await Promise.all(copies.map(work))
    return { results, before: [...before] }
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true })
  }
}

/** The tree without what is made from it; what is installed is shared. */
function copied() {
  const copy = mkdtempSync(join(tmpdir(), 'sealbus-mutations-'))
  cpSync(ROOT, copy, {
    recursive: true,
    filter: from => !LEFT_OUT.has(from.slice(ROOT.length + 1)) && !from.includes('bench/peers/node_modules'),
  })
  symlinkSync(inRoot('node_modules'), join(copy, 'node_modules'))
  return copy
}

/** @param before - what fails in the code as it is: such a test would notice everything */
async function runOne(copy, mutation, before) {
  const path = join(copy, mutation.file)
  const original = readFileSync(path, 'utf8')
  writeFileSync(path, mutated(mutation, copy))
  try {
    const failing = (await failures(copy, mutation.tests, ['--bail=1'])).filter(name => !before.has(name))
    return { ...mutation, failing }
  } finally {
    writeFileSync(path, original)
  }
}

/** Names of the tests that fail, `file: name`; a file that does not even load is one. */
async function failures(copy, tests, more = []) {
  const report = join(copy, 'mutations-report.json')
  rmSync(report, { force: true })
  const project = tests.some(file => file.startsWith('test/cluster/')) ? 'cluster' : 'unit'
  const options = [
    'run',
    '--project',
    project,
    '--retry=1',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...more,
  ]
  const ended = await vitest(copy, [...options, ...tests], LIMIT_MS * tests.length)
  if (!existsSync(report))
    return ended === 'late' ? [`${tests[0]}: does not end`] : [`${tests[0]}: does not run`]
  return JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(
    ({ name, status, assertionResults }) => {
      const file = name.slice(name.lastIndexOf('/') + 1)
      const failed = assertionResults.filter(each => each.status === 'failed')
      if (failed.length === 0 && status === 'failed') return [`${file}: does not load`]
      return failed.map(({ fullName }) => `${file}: ${fullName}`)
    },
  )
}

function vitest(copy, args, limitMs) {
  return new Promise((resolve, reject) => {
    const program = join(copy, 'node_modules', '.bin', 'vitest')
    const child = spawn(process.execPath, [program, ...args], { cwd: copy, stdio: 'ignore', detached: true })
    const timer = setTimeout(() => {
      process.kill(-child.pid, 'SIGKILL') // n.b. with its workers
      resolve('late')
    }, limitMs)
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(timer)
      resolve(code)
    })
  })
}

function tableOf(results) {
  const cell = text => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const rows = results.map(({ law, broken, file, failing }) => {
    const [first = '**no test**'] = failing
    return `| ${law} | ${cell(broken)} | \`${file.replace(/^src\//, '')}\` | ${cell(first)} |\n`
  })
  return `| law | broken on purpose | in | what fails |\n| --- | --- | --- | --- |\n${rows.join('')}`
}

function write(results) {
  const path = inRoot('docs', 'MUTATIONS.md')
  const text = readFileSync(path, 'utf8')
  const [before, rest] = text.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error(`docs/MUTATIONS.md: expected the lines ${BEGIN} and ${END}`)
  writeFileSync(path, `${before}${BEGIN}\n\n${tableOf(results)}\n${END}${after}`)
}
