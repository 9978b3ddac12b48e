/** `npm run chaos`, `npm run bench`: sets up, then runs that part of the sealbus command. */

import { inRoot } from './root.mjs'
import { runProgram } from './run-program.mjs'
import { runMain, setUp } from './setup.mjs'

const NEEDS_RABBITMQ = new Set(['chaos', 'demo', 'cluster', 'bench peers'])

await runMain(async argv => {
  const word = argv[0] === 'bench' ? `bench ${argv[1]}` : argv[0]
  const rabbitmq = NEEDS_RABBITMQ.has(word) && !argv.includes('--help')
  await setUp({ rabbitmq, yes: argv.includes('--yes') })
  const rest = argv.filter(argument => argument !== '--yes')
  return await runProgram(process.execPath, [inRoot('bin', 'sealbus.mjs'), ...rest], { cwd: process.cwd() })
})
