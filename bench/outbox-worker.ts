/** The main file of one piece of work: `node outbox-worker.js WORK-AS-JSON`; tells its result to the parent. */
import { type Work, work } from './outbox-work.js'

const done = await work(JSON.parse(process.argv[2] ?? '{}') as Work)
process.send?.(done)
process.disconnect()
