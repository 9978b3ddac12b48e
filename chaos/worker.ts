/**
 * The main file of a process of the load (forked by load.ts). A real process, so that what would end a user's program
 * is seen: a crash is its exit, an unhandled rejection is a line in its ledger.
 */
import { Crew } from './crew.js'
import { nowMs } from './ledger.js'
import type { Order, Report } from './protocol.js'
import { connectParty } from './worker-bus.js'

const report = (message: Report): void => void process.send?.(message)
const crew = new Crew(connectParty, report)

const fatal = (what: 'unhandled-rejection' | 'uncaught-exception', error: unknown): void => {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  crew.ledger?.write({ kind: 'fatal', t: nowMs(), what, message: message.slice(0, 2_000) })
}
process.on('unhandledRejection', error => fatal('unhandled-rejection', error))
process.on('uncaughtExceptionMonitor', error => fatal('uncaught-exception', error))
process.on('disconnect', () => process.exit(0)) // the coordinator is gone: nobody waits for us
process.on('SIGINT', () => undefined) // Ctrl-C reaches the whole group; the coordinator ends us in order

let work: Promise<void> = Promise.resolve()
process.on('message', (order: Order) => {
  work = work
    .then(() => crew.obey(order))
    .catch((error: unknown) => report({ is: 'failed', message: String(error) }))
  if (order.do === 'close') void work.then(() => process.disconnect())
})
