/** `npm run chaos`, `npm run bench`: sets up, then runs that part of the sealbus command. */

import { inRoot } from './root.mjs'
import { runProgram } from './run-program.mjs'
import { runMain, setUp } from './setup.mjs'

const NEEDS_RABBITMQ = new Set(['chaos', 'demo', 'cluster'])

await runMain(async argv => {
  const rabbitmq = NEEDS_RABBITMQ.has(argv[0]) && !argv.includes('--help')
  await setUp({ rabbitmq, yes: argv.includes('--yes') })
  const rest = argv.filter(argument => argument !== '--yes')
  return await runProgram(process.execPath, [inRoot('bin', 'sealbus.mjs'), ...rest], { cwd: process.cwd() })
})
