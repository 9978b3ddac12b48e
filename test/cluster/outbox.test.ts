/** A short run of `npm run bench -- kills`: real processes, SIGKILL, a real broker. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KillsReport } from '../../bench/kills.js'
import { build, ROOT } from '../support/program.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-kills-'))
beforeAll(build)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a publisher that is killed at random moments loses, repeats and reorders nothing that was stored', async () => {
  const json = join(folder, 'kills.json')
  const args = ['bench', 'kills', '--kills', '6', '--nodes', '1', '--json', json]
  await promisify(execFile)(process.execPath, [join(ROOT, 'bin', 'sealbus.mjs'), ...args], {
    timeout: 110_000,
  })
  const report = JSON.parse(readFileSync(json, 'utf8')) as KillsReport
  expect(report.violations).toEqual([])
  expect(report.resolved).toBeGreaterThan(100)
  expect(report.handled).toBeGreaterThanOrEqual(report.resolved)
})
