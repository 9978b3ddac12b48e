/**
 * `npm test`: sets up, then runs the unit tests, and where RabbitMQ is there the cluster tests and the quick faults of
 * `sealbus chaos`. What follows `--` goes to vitest, and leaves the faults out. The last line is `N passed, N failed`.
 * `--require-rabbitmq`: without it, that is a failure.
 */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingServers } from './rabbitmq.mjs'
import { inRoot, say, tool } from './root.mjs'
import { runProgram } from './run-program.mjs'
import { runMain, setUp } from './setup.mjs'

const OWN_OPTIONS = new Set(['--yes', '--require-rabbitmq'])

await runMain(async argv => {
  const { rabbitmq } = await setUp({ rabbitmq: true, forTests: true, yes: argv.includes('--yes') })
  const forVitest = argv.filter(argument => !OWN_OPTIONS.has(argument))
  const counts = [await runProject('unit', forVitest)]
  if (rabbitmq) counts.push(await runProject('cluster', [...forVitest, ...withoutServers()]))
  if (rabbitmq && forVitest.length === 0) counts.push(await runQuickFaults())
  if (!rabbitmq) counts.push(withoutRabbitmq(argv.includes('--require-rabbitmq')))
  const passed = counts.reduce((sum, count) => sum + count.passed, 0)
  const failed = counts.reduce((sum, count) => sum + count.failed, 0)
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
})

/** Options that leave out the tests whose servers are not there. */
function withoutServers() {
  return missingServers().flatMap(({ name, files }) => {
    say(`\nNot run, because ${name} is not installed: ${files.join(', ')}`)
    return files.map(file => `--exclude=${file}`)
  })
}

function withoutRabbitmq(required) {
  const files = readdirSync(inRoot('test', 'cluster')).filter(name => name.endsWith('.test.ts'))
  say(`\nNot run, because RabbitMQ is not installed: ${files.map(name => `test/cluster/${name}`).join(', ')}`)
  if (required) say('RabbitMQ is required here, so this counts as failed.')
  return { passed: 0, failed: required ? files.length : 0 }
}

/** Counts come from vitest's own report; a run that broke down outside of any test counts as one failure. */
async function runProject(project, args) {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-test-'))
  const report = join(folder, 'report.json')
  const options = [
    'run',
    '--project',
    project,
    '--passWithNoTests',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]
  try {
    const code = await runProgram(process.execPath, [tool('vitest'), ...options, ...args])
    const counts = existsSync(report)
      ? count(JSON.parse(readFileSync(report, 'utf8')))
      : { passed: 0, failed: 0 }
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Each fault counts as one test; a command that breaks down without a result as one that failed. */
async function runQuickFaults() {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-test-'))
  const report = join(folder, 'faults.json')
  try {
    const code = await runProgram(process.execPath, [
      inRoot('bin', 'sealbus.mjs'),
      ...['chaos', 'run', '--quick', '--json', report],
    ])
    const { faults } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { faults: [] }
    const passed = faults.filter(({ met }) => met).length
    const failed = faults.length - passed
    return { passed, failed: code !== 0 && failed === 0 ? 1 : failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A file that fails before its first test holds no failed test: count the file. */
function count({ numPassedTests, numFailedTests, testResults }) {
  const broken = testResults.filter(
    file => file.status === 'failed' && !file.assertionResults.some(each => each.status === 'failed'),
  )
  return { passed: numPassedTests, failed: numFailedTests + broken.length }
}
