/**
 * The same over real RabbitMQ nodes: brokers, certificates and inbox come from the identity folder's config.json.
 *
 *   npx sealbus cluster up --nodes 3 --pki D
 *   node dist/examples/03-rabbitmq-cluster.js D
 */
import { connect, isSealbusError } from 'sealbus'

const dir = process.argv[2] ?? 'D'
const vpp = await connect({ identity: `${dir}/devices/vpp-0001` })
const hub = await connect({ identity: `${dir}/devices/heh-0001` })
vpp.on('status', status => console.error('vpp', status))

const seen: number[] = []
const all = new Promise<void>(resolve => {
  void vpp.consume(message => {
    seen.push((message.json() as { n: number }).n)
    if (seen.length === 100) resolve()
  })
})
await Promise.all(
  Array.from({ length: 100 }, (_, n) => hub.send('vpp-0001', { type: 'report', payload: { n } })),
)
await all
console.log(`${seen.length} reports handled, in order: ${seen.every((n, i) => n === i)}`)

try {
  await hub.send('vpp-0001', { type: 'activate', payload: {} })
} catch (error) {
  if (isSealbusError(error, 'not-permitted')) console.log('a hub may not activate the VPP:', error.code)
}
await vpp.drain()
await hub.drain()
