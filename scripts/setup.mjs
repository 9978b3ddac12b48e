/**
 * Makes a clone ready: dependencies, dist/, RabbitMQ. Does nothing that is done already; two at once wait for
 * each other. Uses nothing but Node, for it runs before node_modules exists.
 */

import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { installDependencies } from './dependencies.mjs'
import { installRabbitmq } from './rabbitmq.mjs'
import { say } from './root.mjs'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

/**
 * @param {{ rabbitmq?: boolean, forTests?: boolean, yes?: boolean }} wanted - `forTests`: also Redis, PostgreSQL and what the Python client needs
 * @returns {Promise<{ rabbitmq: boolean }>} whether real nodes can be started
 */
export async function setUp({ rabbitmq = false, forTests = false, yes = false } = {}) {
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`sealbus needs Node 20.19 or newer, this is ${process.version}`)
  await installDependencies()
  await build()
  return { rabbitmq: rabbitmq && (await installRabbitmq({ yes, forTests })) }
}

/** Runs a script's main function; an error becomes one line. */
export async function runMain(main) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    say(process.env.SEALBUS_DEBUG === '1' ? error.stack : `sealbus: ${error.message}`)
    process.exitCode = 1
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain(async argv => {
    const { rabbitmq } = await setUp({ rabbitmq: true, forTests: true, yes: argv.includes('--yes') })
    say(rabbitmq ? 'ready' : 'ready, without RabbitMQ')
    return 0
  })
}
