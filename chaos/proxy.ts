/**
 * A TCP proxy that misbehaves on demand: real sockets between a client and a broker. It understands nothing of what it
 * carries (TLS passes through untouched), and does five things to it: cuts with a reset after an exact byte of
 * either direction, swallows everything (blackhole), delays, slices, and refuses.
 *
 * n.b. it listens on loopback, and clients reach it as `localhost`, so the broker's certificate still fits its name.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { type Pace, Pipe } from './pipe.js'

/** `up`: client to broker; `down`: broker to client. */
export type Direction = 'up' | 'down'

/**
 * Looks at bytes before they are forwarded.
 *
 * @param offset - number of bytes of this direction before `chunk`
 * @returns after how many bytes of this direction (counted from the start) both sides are reset; nothing: go on
 */
export type Tap = (direction: Direction, chunk: Buffer, offset: number) => number | undefined

/** One client's connection through the proxy. */
export interface ProxyConnection {
  /** Rising from 1 within the proxy. */
  readonly id: number
  /** Bytes forwarded so far. */
  forwarded(direction: Direction): number
  /** Resets both sides once exactly this many more bytes of the direction have gone through; 0: now. */
  cutAfter(direction: Direction, bytes: number): void
  /** Forwards nothing more and says nothing, while the sockets stay open. */
  blackhole(): void
  /** Resets both sides now. */
  reset(): void
  /** Resolves when both sockets are gone; with true when the proxy did it. */
  readonly closed: Promise<boolean>
}

/** A listening proxy. */
export interface FaultProxy {
  readonly port: number
  readonly connections: ReadonlySet<ProxyConnection>
  /** Called for each connection before its first byte; what it returns looks at all bytes. */
  onConnection: ((connection: ProxyConnection) => Tap | undefined) | undefined
  /** Holds for bytes from now on, of all connections. */
  pace: Pace
  /** New connections are reset at once. */
  refusing: boolean
  /** Ends everything. */
  close(): Promise<void>
}

/** Starts a proxy on a free loopback port. */
export async function startProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  const connections = new Set<ProxyConnection>()
  let ids = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    if (proxy.refusing) {
      abort(client)
      return
    }
    const broker = dial({
      port: target.port,
      host: target.host ?? '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    })
    const connection = join(++ids, client, broker, proxy)
    connections.add(connection)
    void connection.closed.then(() => connections.delete(connection))
  })
  const proxy: FaultProxy = {
    port: await listen(server),
    connections,
    onConnection: undefined,
    pace: {},
    refusing: false,
    async close() {
      const stopped = once(server, 'close')
      server.close()
      for (const connection of connections) connection.reset()
      await stopped
    },
  }
  return proxy
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Ties the two sockets together. */
function join(id: number, client: Socket, broker: Socket, proxy: FaultProxy): ProxyConnection {
  let ours = false
  let silent = false
  const abortBoth = (): void => {
    abort(client)
    abort(broker)
  }
  const reset = (): void => {
    ours = true
    abortBoth()
  }
  const pipes = {
    up: new Pipe(client, broker, () => proxy.pace, reset),
    down: new Pipe(broker, client, () => proxy.pace, reset),
  }
  const gone = [client, broker].map(async socket => {
    if ((await ended(socket)) && !silent) abortBoth() // the other side learns it as what it was: a reset
  })
  const connection: ProxyConnection = {
    id,
    forwarded: direction => pipes[direction].forwarded,
    cutAfter: (direction, bytes) => pipes[direction].cutAfter(bytes),
    blackhole() {
      silent = true
      pipes.up.hold()
      pipes.down.hold()
    },
    reset,
    closed: Promise.all(gone).then(() => ours),
  }
  const tap = proxy.onConnection?.(connection)
  if (tap !== undefined) {
    pipes.up.tap = (chunk, offset) => tap('up', chunk, offset)
    pipes.down.tap = (chunk, offset) => tap('down', chunk, offset)
  }
  return connection
}

/** Resolves when the socket is closed: with true after an error. */
function ended(socket: Socket): Promise<boolean> {
  socket.on('error', () => undefined) // 'close' follows and says that there was one
  return new Promise(resolve => socket.once('close', resolve))
}

/**
 * Ends a socket with a reset, now. n.b. `resetAndDestroy()` first waits for what is still to be written, for ever where the
 * other side reads nothing; destroying with its mark set does not wait. A test holds Node to it.
 */
function abort(socket: Socket): void {
  if (socket.destroyed) return
  const marked: Socket & { resetAndClosing?: boolean } = socket
  if (!socket.connecting) marked.resetAndClosing = true
  socket.destroy()
}
