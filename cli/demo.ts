/** `sealbus demo`: the whole of it on real input, with a node killed on the way. */
import { parseArgs } from 'node:util'
import { demonstrate } from '../demo/index.js'

const USAGE = `usage: sealbus demo [--embedded]

  --embedded   play on the in-process bus, without RabbitMQ

The last line is JSON: counts from ledgers, milliseconds of the failover, whether the operator of the broker could read
anything. Exit code 1 if anything in it is not as it should be.
`

/** @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  const options = { embedded: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  const { values } = parseArgs({ args: argv, options })
  if (values.help === true) {
    process.stdout.write(USAGE)
    return 0
  }
  const startedAt = performance.now()
  const say = (line: string): void => {
    process.stdout.write(`[${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s] ${line}\n`)
  }
  const { verdict, ok } = await demonstrate(say, values.embedded ?? false)
  if (verdict.broker === 'embedded') {
    say(
      "embedded bus: no replicas, no network and no TLS; what a broker node's death does is not shown by this run",
    )
  }
  const { lost, duplicates, outOfOrder } = verdict
  say(
    `${verdict.sent} messages sent, ${verdict.handled} handled; lost ${lost}, handled twice ${duplicates}, out of order ${outOfOrder}`,
  )
  say(ok ? 'all as it should be' : 'NOT as it should be: see the line below')
  process.stdout.write(`${JSON.stringify(verdict)}\n`)
  return ok ? 0 : 1
}
