/**
 * `npm run check`: everything about the sources that is not a test. Runs all of it, shows the output of what fails, and
 * ends with one line. A step's name as argument runs that step alone.
 */

import { spawn } from 'node:child_process'
import { ROOT, say, tool } from './root.mjs'
import { runMain, setUp } from './setup.mjs'

/** Name, and the program of a development dependency with its arguments. */
const STEPS = [
  ['format', 'biome', ['ci', '.']],
  ['lint', 'eslint', ['.']],
  ['types', 'tsc', ['-p', 'tsconfig.json']],
  ['imports', 'vitest', ['run', '--project', 'unit', 'test/unit/imports.test.ts']],
  ['unused', 'knip', []],
  ['package', 'publint', ['--strict']],
  ['exports', 'attw', ['--pack', '.', '--profile', 'esm-only']],
  ['documents', 'typescript-docs-verifier', ['--input-files', 'README.md']],
]

await runMain(async argv => {
  const wanted = argv.length === 0 ? STEPS : STEPS.filter(([name]) => argv.includes(name))
  if (wanted.length < Math.max(argv.length, 1))
    throw new Error(`check knows ${STEPS.map(([name]) => name).join(', ')}; not ${argv.join(' ')}`)
  await setUp()
  const failed = []
  for (const [name, program, args] of wanted) {
    if (!(await passes(name, program, args))) failed.push(name)
  }
  say(failed.length === 0 ? 'check: all passed' : `check: failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
})

async function passes(name, program, args) {
  const started = Date.now()
  const { code, output } = await collect(process.execPath, [tool(program), ...args])
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  say(
    `${code === 0 ? 'ok    ' : 'FAILED'}  ${name.padEnd(10)}${seconds.padStart(6)} s  ${program} ${args.join(' ')}`,
  )
  if (code !== 0) say(output)
  return code === 0
}

function collect(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    child.stdout.on('data', chunk => chunks.push(chunk))
    child.stderr.on('data', chunk => chunks.push(chunk))
    child.once('error', reject)
    child.once('close', code => resolve({ code, output: Buffer.concat(chunks).toString('utf8') }))
  })
}
