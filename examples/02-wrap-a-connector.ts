/**
 * A connector that exists already, moved to a sealed bus by the one line that makes its bus.
 *
 *   node dist/examples/02-wrap-a-connector.js D STATE      D as in example 01; STATE is a folder, made when it is not there
 */
import { type BareBus, MemoryBroker, memoryTransport, plainBus, secure } from 'sealbus'

const [dir = 'D', state = 'state'] = process.argv.slice(2)

/** The connector as it was: any object with `send` and `consume` will do. */
async function connector(bus: Pick<BareBus, 'send' | 'consume'>): Promise<void> {
  await bus.consume(async ({ payload }) => {
    console.log('connector got', Buffer.from(payload).toString())
    await bus.send('vpp-0001', { type: 'report', payload: Buffer.from('{"load":0}') })
  })
}

const broker = new MemoryBroker()
const plain = (name: string) => plainBus({ transport: memoryTransport(broker, name) })
const sealed = async (name: string) =>
  secure(await plain(name), { identity: `${dir}/devices/${name}`, state: `${state}/${name}` })

const hub = await sealed('heh-0001') // was: await plain('heh-0001')
await connector(hub)

const vpp = await sealed('vpp-0001')
const answered = new Promise<string>(resolve => void vpp.consume(answer => resolve(answer.text())))
await vpp.send('heh-0001', { type: 'get_report', payload: { signals: ['load'] } })
console.log('vpp got', await answered)
await vpp.drain()
await hub.drain()
