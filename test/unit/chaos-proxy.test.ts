import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type Direction, type FaultProxy, type ProxyConnection, startProxy } from '../../chaos/proxy.js'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** A server that hands out its sockets, a proxy before it. */
async function stage(): Promise<{ proxy: FaultProxy; accepted: Socket[]; join: () => Promise<Ends> }> {
  const accepted: Socket[] = []
  const server: Server = createServer(socket => {
    socket.on('error', () => undefined)
    accepted.push(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await startProxy({ port: (server.address() as AddressInfo).port })
  open.push({ close: () => accepted.map(socket => socket.destroy()) }, { close: () => server.close() }, proxy)
  const join = async (): Promise<Ends> => {
    const client = dial(proxy.port, '127.0.0.1')
    client.on('error', () => undefined)
    open.push({ close: () => client.destroy() })
    await once(server, 'connection')
    const broker = accepted.at(-1) as Socket
    const connection = [...proxy.connections].at(-1) as ProxyConnection
    return { client, broker, connection }
  }
  return { proxy, accepted, join }
}

interface Ends {
  client: Socket
  broker: Socket
  connection: ProxyConnection
}

/** Everything a socket gets until it ends, and with which error. */
async function drained(socket: Socket): Promise<{ bytes: Buffer; code: string | undefined }> {
  const chunks: Buffer[] = []
  let code: string | undefined
  socket.on('data', chunk => chunks.push(chunk))
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code
  })
  await new Promise(resolve => socket.once('close', resolve))
  return { bytes: Buffer.concat(chunks), code }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

const PATTERN = Buffer.from(Array.from({ length: 5_000 }, (_, i) => i % 251))

describe('the proxy', () => {
  it('carries bytes of both directions unchanged, and the end of each', async () => {
    const { join } = await stage()
    const { client, broker, connection } = await join()
    client.end(PATTERN)
    expect((await drained(broker).then(got => got)).bytes.equals(PATTERN)).toBe(true)
    expect(connection.forwarded('up')).toBe(5_000)
  })

  it.each(['up', 'down'] satisfies Direction[])(
    'resets both sides after an exact byte going %s',
    async direction => {
      const { join } = await stage()
      for (const bytes of [1, 7, 1_000, 4_999]) {
        const { client, broker, connection } = await join()
        const [from, to] = direction === 'up' ? [client, broker] : [broker, client]
        connection.cutAfter(direction, bytes)
        const [got, other] = [drained(to), drained(from)]
        from.write(PATTERN)
        expect((await got).bytes.equals(PATTERN.subarray(0, bytes))).toBe(true)
        expect((await got).code).toBe('ECONNRESET')
        expect((await other).code).toBe('ECONNRESET')
        expect(await connection.closed).toBe(true)
      }
    },
  )

  it('counts the bytes that went before the order to cut', async () => {
    const { join } = await stage()
    const { client, broker, connection } = await join()
    const got = drained(broker)
    client.write(PATTERN.subarray(0, 100))
    await expect.poll(() => connection.forwarded('up')).toBe(100)
    connection.cutAfter('up', 50)
    client.write(PATTERN.subarray(100))
    expect((await got).bytes).toHaveLength(150)
  })

  it('cuts where a tap says, before the byte behind it is forwarded', async () => {
    const { proxy, join } = await stage()
    proxy.onConnection = () => (direction, chunk, offset) =>
      direction === 'up' && chunk.includes(42) ? offset + chunk.indexOf(42) : undefined
    const { client, broker } = await join()
    const got = drained(broker)
    client.write(Buffer.from([1, 2, 3]))
    client.write(Buffer.from([4, 42, 5]))
    expect([...(await got).bytes]).toEqual([1, 2, 3, 4])
  })

  it('swallows everything in a blackhole while both sockets stay open', async () => {
    const { join } = await stage()
    const { client, broker, connection } = await join()
    const heard: Buffer[] = []
    broker.on('data', chunk => heard.push(chunk))
    connection.blackhole()
    client.write('lost')
    await pause(100)
    expect(heard).toEqual([])
    expect([client.destroyed, broker.destroyed]).toEqual([false, false])
    client.resetAndDestroy()
    await pause(50)
    expect(broker.destroyed).toBe(false)
  })

  it('delays by its latency without turning it into a rate', async () => {
    const { proxy, join } = await stage()
    proxy.pace = { latencyMs: 100 }
    const { client, broker } = await join()
    const started = performance.now()
    const got = drained(broker)
    for (let i = 0; i < 10; i++) {
      client.write(PATTERN.subarray(i * 500, (i + 1) * 500))
      await pause(10)
    }
    client.end()
    expect((await got).bytes.equals(PATTERN)).toBe(true)
    const took = performance.now() - started
    expect(took).toBeGreaterThan(190)
    expect(took).toBeLessThan(900)
  })

  it('slices and throttles', async () => {
    const { proxy, join } = await stage()
    proxy.pace = { sliceBytes: 10, bytesPerSecond: 2_000 }
    const { client, broker } = await join()
    const started = performance.now()
    client.end(PATTERN.subarray(0, 400))
    expect((await drained(broker)).bytes.equals(PATTERN.subarray(0, 400))).toBe(true)
    expect(performance.now() - started).toBeGreaterThan(180)
  })

  it('resets new connections while it refuses, and passes on a reset and a refusal of the broker', async () => {
    const { proxy, accepted, join } = await stage()
    const { client, broker } = await join()
    const got = drained(client)
    broker.resetAndDestroy()
    expect((await got).code).toBe('ECONNRESET')
    proxy.refusing = true
    const refused = dial(proxy.port, '127.0.0.1')
    expect((await drained(refused)).bytes).toHaveLength(0)
    expect(accepted).toHaveLength(1)
    const nobody = await startProxy({ port: 1 })
    open.push(nobody)
    expect((await drained(dial(nobody.port, '127.0.0.1'))).code).toBe('ECONNRESET')
  })

  it('goes on after a blackhole where it stood, without a byte lost', async () => {
    const { proxy, join } = await stage()
    const { client, broker } = await join()
    const got = drained(broker)
    client.write(PATTERN.subarray(0, 100))
    proxy.blackhole()
    client.end(PATTERN.subarray(100))
    await pause(50)
    proxy.restore()
    expect((await got).bytes.equals(PATTERN)).toBe(true)
  })

  it('holds one direction and carries the other', async () => {
    const { proxy, join } = await stage()
    const { client, broker } = await join()
    const heard: Buffer[] = []
    broker.on('data', chunk => heard.push(chunk))
    proxy.blackhole(['up'])
    client.write('lost')
    broker.write('heard')
    const [chunk] = (await once(client, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('heard')
    expect(heard).toEqual([])
    broker.resetAndDestroy()
    expect((await drained(client)).code).toBe('ECONNRESET') // it comes by the living way
  })

  it('keeps new connections out of a blackhole until it heals', async () => {
    const { proxy, accepted } = await stage()
    proxy.blackhole(['down'])
    const client = dial(proxy.port, '127.0.0.1')
    open.push({ close: () => client.destroy() })
    client.write('hello')
    await pause(50)
    expect(accepted).toHaveLength(0)
    proxy.restore()
    await expect.poll(() => accepted.length).toBe(1)
    const [chunk] = (await once(accepted[0] as Socket, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('hello')
  })

  it('resets after a blackhole what one side gave up meanwhile', async () => {
    const { proxy, join } = await stage()
    const { client, broker } = await join()
    const got = drained(broker)
    proxy.blackhole()
    client.resetAndDestroy()
    await pause(50)
    expect(broker.destroyed).toBe(false)
    proxy.restore()
    expect((await got).code).toBe('ECONNRESET')
  })

  it.each([
    { what: 'in a blackhole', dead: true, pace: {} },
    { what: 'throttled', dead: false, pace: { bytesPerSecond: 10_000 } },
    { what: 'with latency', dead: false, pace: { latencyMs: 60_000 } },
  ])('lets a sender feel that nothing goes out, and holds a bounded part: $what', async ({ dead, pace }) => {
    const { proxy, join } = await stage()
    const { client, connection } = await join()
    proxy.pace = pace
    if (dead) proxy.blackhole()
    const megabyte = Buffer.alloc(2 ** 20)
    for (let i = 0; i < 40; i++) client.write(megabyte)
    await pause(300)
    expect(client.writableLength).toBeGreaterThan(10 * 2 ** 20)
    expect(connection.waiting('up')).toBeLessThanOrEqual(2 ** 20 + 2 ** 16)
  })

  it('keeps to its rate in slices that take less time than a timer has', async () => {
    const { proxy, join } = await stage()
    proxy.pace = { sliceBytes: 10, bytesPerSecond: 50_000, latencyMs: 20 }
    const { client, broker } = await join()
    const started = performance.now()
    const got = drained(broker)
    for (let i = 0; i < 4; i++) client.write(PATTERN)
    client.end()
    expect((await got).bytes.equals(Buffer.concat([PATTERN, PATTERN, PATTERN, PATTERN]))).toBe(true)
    const took = performance.now() - started
    expect(took).toBeGreaterThan(400)
    expect(took).toBeLessThan(1_500)
  })

  it('resets new connections at an exact byte of a handshake', async () => {
    const { proxy, join } = await stage()
    proxy.cutNew = { direction: 'up', bytes: 5 }
    const { client, broker, connection } = await join()
    const [got, other] = [drained(broker), drained(client)]
    client.write('a handshake')
    expect((await got).bytes.toString()).toBe('a han')
    expect((await other).code).toBe('ECONNRESET')
    expect(await connection.closed).toBe(true)
    proxy.cutNew = undefined
    const next = await join()
    next.client.end('whole')
    expect((await drained(next.broker)).bytes.toString()).toBe('whole')
  })

  it('resets all connections and says how many there were', async () => {
    const { proxy, join } = await stage()
    const ends = [await join(), await join()]
    const lost = ends.map(({ client }) => drained(client))
    expect(proxy.resetAll()).toBe(2)
    expect((await Promise.all(lost)).map(({ code }) => code)).toEqual(['ECONNRESET', 'ECONNRESET'])
    await expect.poll(() => proxy.connections.size).toBe(0)
  })
})
