/**
 * Two parties on the in-process bus: a question, and its sealed and signed answer.
 *
 *   npx sealbus pki init --dir D --domain field
 *   npx sealbus pki issue vpp-0001 --dir D --role vpp && npx sealbus pki issue heh-0001 --dir D --role heh
 *   node dist/examples/01-first-message.js D
 */
import { connect, MemoryBroker, memoryTransport } from 'sealbus'

const dir = process.argv[2] ?? 'D'
const broker = new MemoryBroker()
const join = (name: string) =>
  connect({ identity: `${dir}/devices/${name}`, transport: memoryTransport(broker, name) })

const [vpp, hub] = [await join('vpp-0001'), await join('heh-0001')]
await hub.consume(question => question.reply({ type: 'report', payload: { load: 1.52 } }))
const report = await vpp.request('heh-0001', { type: 'get_report', payload: {} }, { timeoutMs: 5_000 })
console.log(report.from?.address, report.from?.role, report.json())
await vpp.drain()
await hub.drain()
