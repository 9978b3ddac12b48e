import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type ProxyLinks, proxyLinks } from '../../chaos/drivers/proxy.js'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** Two servers that send back what they get, and links before them. */
async function stage(): Promise<{
  links: ProxyLinks
  ports: number[]
  join: (i: number) => Promise<Socket>
}> {
  const servers = [createServer(socket => echo(socket)), createServer(socket => echo(socket))]
  for (const server of servers) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push({ close: () => server.close() })
  }
  const brokers = servers.map(server => (server.address() as AddressInfo).port)
  const url = (node: string): string => `amqps://localhost:${brokers[Number(node)] ?? 0}`
  const links = proxyLinks({ nodes: ['0', '1'], url })
  open.push(links)
  const ports = (await links.everywhere()).map(each => Number(new URL(each).port))
  const join = async (i: number): Promise<Socket> => {
    const socket = dial(ports[i] ?? 0, '127.0.0.1')
    socket.on('error', () => undefined)
    open.push({ close: () => socket.destroy() })
    expect(await echoed(socket, 'hello')).toBe('hello')
    return socket
  }
  return { links, ports, join }
}

function echo(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.pipe(socket)
}

/** What comes back for it within a moment. */
async function echoed(socket: Socket, text: string): Promise<string> {
  const heard = new Promise<string>(resolve => socket.once('data', chunk => resolve(chunk.toString())))
  socket.write(text)
  return await Promise.race([heard, new Promise<string>(resolve => setTimeout(() => resolve(''), 150))])
}

/** n.b. `once` of node:events would fail at an error before it. */
function closed(socket: Socket): Promise<void> {
  return new Promise(resolve => socket.once('close', () => resolve()))
}

describe('links made of proxies', () => {
  it('are one before each node, and stay the same ones', async () => {
    const { links, ports } = await stage()
    expect(new Set(ports).size).toBe(2)
    expect((await links.everywhere()).map(each => Number(new URL(each).port))).toEqual(ports)
    expect(links.hosts).toEqual([])
  })

  it('break the way to one node and leave the other alone', async () => {
    const { links, join } = await stage()
    const [first, second] = [await join(0), await join(1)]
    expect(links.connections(['1'])).toHaveLength(1)
    links.blackhole(true, ['0'])
    expect(await echoed(first, 'a')).toBe('')
    expect(await echoed(second, 'b')).toBe('b')
    links.heal()
    expect(await echoed(first, 'c')).toBe('ac')
    expect(links.reset(['1'])).toBe(1)
    await closed(second)
    expect(first.destroyed).toBe(false)
  })

  it('refuse, delay and watch until they are healed', async () => {
    const { links, ports, join } = await stage()
    links.refuse(true)
    const refused = dial(ports[0] ?? 0, '127.0.0.1')
    refused.on('error', () => undefined)
    await closed(refused)
    links.heal()
    links.pace({ latencyMs: 200 })
    const slow = dial(ports[0] ?? 0, '127.0.0.1')
    open.push({ close: () => slow.destroy() })
    expect(await echoed(slow, 'late')).toBe('')
    links.heal()
    links.watch(() => () => 3)
    const cut = dial(ports[1] ?? 0, '127.0.0.1')
    cut.on('error', () => undefined)
    cut.write('hello')
    await closed(cut)
    links.heal()
    await join(1)
  })

  it('keep the hosts of brokers elsewhere, and say which they are', () => {
    const links = proxyLinks({ nodes: ['a', 'b'], url: node => `amqps://${node}.example` })
    expect(links.hosts).toEqual(['a.example', 'b.example'])
  })
})
