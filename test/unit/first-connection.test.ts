/** What the user is told when nothing answers, or somebody refuses: real sockets, nobody behind them. */
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SealbusError } from '../../src/errors.js'
import { firstConnection } from '../../src/first-connection.js'
import { rabbitTransport } from '../../src/index.js'
import type { TransportStatus } from '../../src/transport/transport.js'

/** A transport that never starts and says what the test lets it say. */
function refusing() {
  let tell: (status: TransportStatus) => void = () => undefined
  return {
    tell: (status: TransportStatus) => tell(status),
    transport: {
      status: (): TransportStatus => ({ state: 'connecting' }),
      onStatus: (listener: (status: TransportStatus) => void) => {
        tell = listener
        return () => undefined
      },
      start: (signal?: AbortSignal) =>
        new Promise<void>((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    },
  }
}

describe('the first connection', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('gives up after its time, with the reason of the last attempt', async () => {
    const { transport, tell } = refusing()
    const started = firstConnection(transport, 30_000)
    const outcome = expect(started).rejects.toMatchObject({
      code: 'timeout',
      message: /within 30 s: nobody home/,
    })
    tell({ state: 'connecting', reason: new Error('nobody home') })
    await vi.advanceTimersByTimeAsync(30_000)
    await outcome
  })

  it('tells a refusal that lasts for 5 s as what it is', async () => {
    const { transport, tell } = refusing()
    const refusal = new SealbusError('unauthorised', 'the broker refuses our user')
    const outcome = expect(firstConnection(transport, 30_000)).rejects.toBe(refusal)
    tell({ state: 'unauthorised', reason: refusal })
    await vi.advanceTimersByTimeAsync(5_000)
    await outcome
  })

  it('waits on where a refusal was followed by something else', async () => {
    const { transport, tell } = refusing()
    const settled = vi.fn()
    void firstConnection(transport, 30_000).then(settled, settled)
    tell({ state: 'unauthorised', reason: new SealbusError('unauthorised', 'a node that goes down') })
    tell({ state: 'connecting', reason: new SealbusError('connection-lost', 'nothing listens there') })
    await vi.advanceTimersByTimeAsync(29_000)
    expect(settled).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(2_000)
  })

  it('waits for ever where it is told to', async () => {
    const { transport, tell } = refusing()
    const settled = vi.fn()
    void firstConnection(transport, Number.POSITIVE_INFINITY).then(settled, settled)
    tell({ state: 'unauthorised', reason: new SealbusError('unauthorised', 'refused') })
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(settled).not.toHaveBeenCalled()
  })
})

describe('a broker that is not there', () => {
  it('is named, with what to check', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await new Promise(resolve => server.close(resolve))
    const transport = rabbitTransport({
      brokers: [`amqp://127.0.0.1:${port}`],
      address: 'heh-0001',
      allowPlaintext: true,
      credentials: { user: 'a', password: 'b' },
      inbox: { kind: 'quorum', declare: false },
    })
    await expect(firstConnection(transport, 500)).rejects.toMatchObject({
      code: 'timeout',
      message: /ECONNREFUSED.*check the URL/,
    })
    await transport.close()
  })
})
