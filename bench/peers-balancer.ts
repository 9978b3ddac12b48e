/** One address before several nodes, as a load balancer with health checks: for a library that takes one URL. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'

const CHECK_MS = 500

/** A node: where it is asked whether it accepts connections, and where clients are led to. */
export interface Upstream {
  readonly checkPort: number
  readonly port: number
}

export interface Balancer {
  readonly port: number
  close(): Promise<void>
}

/** Leads each new connection to the next node that accepts connections. Listens on loopback. */
export async function startBalancer(upstreams: readonly Upstream[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  let turn = 0
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.once('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
  }
  const lead = async (client: Socket): Promise<void> => {
    for (let i = 0; i < upstreams.length; i++) {
      const next = upstreams[turn++ % upstreams.length]
      if (next === undefined || !(await accepts(next.checkPort))) continue
      const broker = keep(connect({ port: next.port, host: '127.0.0.1', noDelay: true }))
      pipeline(client, broker, client, () => undefined)
      return
    }
    client.destroy()
  }
  const server = createServer({ noDelay: true }, client => void lead(keep(client)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    const done = (open: boolean) => () => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', done(true)).once('error', done(false)).setTimeout(CHECK_MS, done(false))
  })
}
