/**
 * Several workers on one inbox: one of them is active at a time, the next takes over when it dies. What was handled is
 * remembered in Redis, by all of them.
 *
 *   npx sealbus cluster up --nodes 3 --pki D
 *   node dist/examples/05-several-workers.js D redis://127.0.0.1:6379 STATE      as often as you like; STATE: a folder for each
 */
import { createClient } from 'redis'
import { connect, sharedSeen } from 'sealbus'

const [dir = 'D', url = 'redis://127.0.0.1:6379', state = 'state'] = process.argv.slice(2)
const redis = createClient({ url, disableOfflineQueue: true, pingInterval: 5_000 })
redis.on('error', (error: Error) => console.error('redis:', error.message))
await redis.connect()

const vpp = await connect({
  identity: `${dir}/devices/vpp-0001`,
  state,
  seen: sharedSeen({ client: redis }),
})
await vpp.consume(report => {
  const { n } = report.json() as { n: number }
  console.log(`${report.from?.address} ${n}`)
})
console.log('consuming')

process.once('SIGTERM', () => {
  void vpp.drain().then(() => redis.close())
})
