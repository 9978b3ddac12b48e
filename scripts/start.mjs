/** `npm start`: sets up, then runs the demonstration with what follows `--`. `--yes` answers the question about RabbitMQ. */

import { inRoot } from './root.mjs'
import { runProgram } from './run-program.mjs'
import { runMain, setUp } from './setup.mjs'

await runMain(async argv => {
  const helpOnly = argv.includes('--help')
  const embedded = argv.includes('--embedded')
  await setUp({ rabbitmq: !helpOnly && !embedded, yes: argv.includes('--yes') })
  const rest = argv.filter(argument => argument !== '--yes')
  return await runProgram(process.execPath, [inRoot('bin', 'sealbus.mjs'), 'demo', ...rest], {
    cwd: process.cwd(),
  })
})
