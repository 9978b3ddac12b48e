/**
 * A TCP proxy that misbehaves on demand: real sockets between a client and a broker. It understands nothing of what it
 * carries (TLS passes through untouched). It cuts with a reset after an exact byte of either direction, holds everything
 * back (blackhole, both ways or one), delays, slices, throttles and refuses.
 *
 * What its blackhole is, beside a link that carries nothing:
 *
 * | | dead link | here |
 * | --- | --- | --- |
 * | what an application hears | nothing, no end and no error | the same |
 * | what an application can write | until its kernel's buffers are full | until those of the proxy's kernel are full as well |
 * | acknowledgements of TCP | none: keep-alive and user timeouts of the kernel see it | the proxy's kernel gives them: only silence is seen |
 * | a new connection | no SYN is answered | it is accepted and nothing is said: the TLS handshake finds it, not the dial |
 * | once it heals | the kernels send again what was lost | what was held goes on; a side that gave up meanwhile is reset |
 *
 * Where the difference matters a partition of real links is the means (drivers/netns.ts).
 *
 * n.b. it listens on loopback, and clients reach it as `localhost`, so the broker's certificate still fits its name.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { type Pace, Pipe } from './pipe.js'

/** `up`: client to broker; `down`: broker to client. */
export type Direction = 'up' | 'down'

/** Both. */
export const DIRECTIONS: readonly Direction[] = ['up', 'down']

/**
 * Looks at bytes before they are forwarded.
 *
 * @param offset - number of bytes of this direction before `chunk`
 * @returns after how many bytes of this direction (counted from the start) both sides are reset; nothing: go on
 */
export type Tap = (direction: Direction, chunk: Buffer, offset: number) => number | undefined

/** A byte at which to cut: so many of one direction go through. */
export interface CutPoint {
  readonly direction: Direction
  readonly bytes: number
}

/** One client's connection through the proxy. */
export interface ProxyConnection {
  /** Rising from 1 within the proxy. */
  readonly id: number
  /** Bytes forwarded so far. */
  forwarded(direction: Direction): number
  /** Bytes of the direction that the proxy holds; bounded, whatever a sender sends. */
  waiting(direction: Direction): number
  /** Resets both sides once exactly this many more bytes of the direction have gone through; 0: now. */
  cutAfter(direction: Direction, bytes: number): void
  /** Carries nothing more in these directions (both by default), not even an end, while the sockets stay open. */
  blackhole(directions?: readonly Direction[]): void
  /** Carries again what was held; resets both sides when one of them gave up meanwhile. */
  restore(): void
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
  /** New connections are reset at this byte: in a TLS handshake the first hundreds of either direction. */
  cutNew: CutPoint | undefined
  /** Carries nothing in these directions (both by default), for connections that are there and for new ones. */
  blackhole(directions?: readonly Direction[]): void
  /** Ends the blackhole. */
  restore(): void
  /** Resets every connection. @returns how many there were */
  resetAll(): number
  /** Ends everything. */
  close(): Promise<void>
}

/** Starts a proxy on a free loopback port. */
export async function startProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
  const proxy = new Listener(server, target)
  await proxy.listen()
  return proxy
}

class Listener implements FaultProxy {
  readonly connections: Set<ProxyConnection> = new Set()
  onConnection: FaultProxy['onConnection']
  pace: Pace = {}
  refusing = false
  cutNew: CutPoint | undefined
  readonly #server: Server
  readonly #target: { port: number; host?: string }
  /** Clients whose connection has not come through the blackhole. */
  readonly #outside = new Set<Socket>()
  #dead = false
  #ids = 0

  constructor(server: Server, target: { port: number; host?: string }) {
    this.#server = server
    this.#target = target
    server.on('connection', client => this.#accept(client))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** n.b. a handshake needs both ways: one dead direction keeps every new connection out. */
  blackhole(directions: readonly Direction[] = DIRECTIONS): void {
    this.#dead = true
    for (const connection of this.connections) connection.blackhole(directions)
  }

  restore(): void {
    this.#dead = false
    for (const connection of this.connections) connection.restore()
    for (const client of this.#outside) this.#accept(client)
    this.#outside.clear()
  }

  resetAll(): number {
    const all = [...this.connections]
    for (const connection of all) connection.reset()
    return all.length
  }

  async close(): Promise<void> {
    const stopped = once(this.#server, 'close')
    this.#server.close()
    for (const client of this.#outside) abort(client)
    this.resetAll()
    await stopped
  }

  #accept(client: Socket): void {
    if (client.destroyed) return
    if (this.refusing) abort(client)
    else if (this.#dead) this.#keepOutside(client)
    else this.#carry(client)
  }

  #keepOutside(client: Socket): void {
    this.#outside.add(client)
    client.on('error', () => undefined) // it gave up
    client.once('close', () => this.#outside.delete(client))
  }

  #carry(client: Socket): void {
    const { port, host = '127.0.0.1' } = this.#target
    const broker = dial({ port, host, allowHalfOpen: true, noDelay: true })
    const connection = join(++this.#ids, client, broker, this)
    this.connections.add(connection)
    void connection.closed.then(() => this.connections.delete(connection))
    if (this.cutNew !== undefined) connection.cutAfter(this.cutNew.direction, this.cutNew.bytes)
  }
}

/** Ties the two sockets together. */
function join(id: number, client: Socket, broker: Socket, proxy: FaultProxy): ProxyConnection {
  let ours = false
  let failed = false
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
  client.resume() // accepted paused; from here on its bytes are taken
  const watch = async (socket: Socket, outgoing: Pipe): Promise<void> => {
    if (!(await ended(socket))) return
    failed = true
    if (!outgoing.held) abortBoth() // the other side learns it as what it was: a reset
  }
  const gone = [watch(client, pipes.up), watch(broker, pipes.down)]
  const connection: ProxyConnection = {
    id,
    forwarded: direction => pipes[direction].forwarded,
    waiting: direction => pipes[direction].waitingBytes,
    cutAfter: (direction, bytes) => pipes[direction].cutAfter(bytes),
    blackhole(directions = DIRECTIONS) {
      for (const direction of directions) pipes[direction].hold()
    },
    restore() {
      pipes.up.release()
      pipes.down.release()
      if (failed) abortBoth()
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
