#!/usr/bin/env node
/** The sealbus command. In a clone it compiles first when a source has changed; in a package dist/ is there. */

import { existsSync } from 'node:fs'

const setup = new URL('../scripts/setup.mjs', import.meta.url)
try {
  if (existsSync(setup)) await (await import(setup.href)).setUp()
  const { main } = await import('../dist/cli/main.js')
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`sealbus: ${process.env.SEALBUS_DEBUG === '1' ? error.stack : error.message}\n`)
  process.exitCode = 1
}
