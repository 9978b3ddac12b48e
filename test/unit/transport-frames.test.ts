/** What the transport writes, frame by frame: flags and orders that a broker obeys and no answer shows. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Transport, TransportDelivery } from '../../src/transport/transport.js'
import { frames, type ReceivedFrame, type Script, ScriptedBroker } from '../support/scripted-broker.js'

const [METHOD, HEADER] = [1, 2]
const MANDATORY = 0b01
const [DELIVERY_MODE, MESSAGE_ID, HEADERS] = [0x1000, 0x0080, 0x2000]

const cleanup: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

async function connected(script?: Script): Promise<{ server: ScriptedBroker; made: Transport }> {
  const server = await ScriptedBroker.listen(script)
  cleanup.push(() => server.close())
  const made = rabbitTransport({
    brokers: [server.url],
    address: 'a',
    credentials: { user: 'guest', password: 'guest' },
    inbox: { kind: 'classic', declare: false },
    allowPlaintext: true,
    connectTimeoutMs: 2_000,
  })
  cleanup.push(() => made.close())
  await made.start()
  return { server, made }
}

function received(server: ScriptedBroker): ReceivedFrame[] {
  return server.sessions.flatMap(session => session.received)
}

function methods(server: ScriptedBroker): string[] {
  return received(server)
    .filter(({ type }) => type === METHOD)
    .map(({ payload }) => `${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`)
}

/** The bits after exchange and routing key, AMQP 0-9-1 §1.8.3.7. */
function publishBits({ payload }: ReceivedFrame): number {
  const routingKeyAt = 6 + 1 + (payload[6] ?? 0)
  return payload[routingKeyAt + 1 + (payload[routingKeyAt] ?? 0)] ?? 0
}

describe('each publish', () => {
  it('is mandatory and persistent, and carries its id and no other property', async () => {
    const { server, made } = await connected((step, session, channel) =>
      step === 'basic.publish' ? session.send(frames.ack(channel, 1)) : undefined,
    )
    const channel = await made.channel('shared')
    const messageId = 'ab'.repeat(16)
    await channel.publish({ exchange: 'inbox', to: 'b', from: 'a', messageId, body: Uint8Array.of(1) })
    const publish = received(server).find(
      ({ type, payload }) => type === METHOD && payload.readUInt32BE(0) === ((60 << 16) | 40),
    )
    const header = received(server).find(({ type }) => type === HEADER)?.payload ?? Buffer.alloc(14)
    expect(publish && publishBits(publish)).toBe(MANDATORY)
    const flags = header.readUInt16BE(12)
    expect(flags & ~HEADERS).toBe(DELIVERY_MODE | MESSAGE_ID)
    const modeAt = flags & HEADERS ? 14 + 4 + header.readUInt32BE(14) : 14 // n.b. an empty table of headers may stand first
    expect(header[modeAt]).toBe(2)
    expect(header.subarray(modeAt + 2).toString()).toBe(messageId)
  })
})

describe('stopping to consume', () => {
  it('closes the channel without a cancel, which would let the next worker run ahead of what is unacknowledged', async () => {
    const { server, made } = await connected()
    const consumer = await made.consume(() => undefined, { prefetch: 10, onLost: () => undefined })
    await consumer.stop()
    expect(methods(server)).not.toContain('60.30')
    expect(methods(server).filter(method => method === '20.40')).toHaveLength(1)
  })
})

describe('an acknowledgement', () => {
  it('of a channel that is gone is written on no other one, and says so', async () => {
    let consuming = 0
    const { server, made } = await connected((step, session, channel) => {
      if (step !== 'basic.consume') return undefined
      consuming += 1
      session.send(frames.consumeOk(channel))
      if (consuming === 1)
        return session.send(frames.deliver(channel, 1, 'x'), frames.channelClose(channel, 541, 'on purpose'))
      return session.send(frames.deliver(channel, 1, 'another'))
    })
    const stale: unknown[] = []
    made.onEvent(event => event.name === 'stale-ack' && stale.push(event))
    const deliveries: TransportDelivery[] = []
    await made.consume(delivery => deliveries.push(delivery), { prefetch: 10, onLost: () => undefined })
    await vi.waitFor(() => expect(deliveries).toHaveLength(2), 5_000)
    expect(deliveries[0]?.ack()).toBe(false)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(methods(server)).not.toContain('60.80')
    expect(stale).toHaveLength(1)
    expect(deliveries[1]?.ack()).toBe(true)
    await vi.waitFor(() => expect(methods(server)).toContain('60.80'), 5_000)
  })
})

describe('a receiver that throws at a delivery', () => {
  it('costs neither the channel nor what comes next', async () => {
    const { server, made } = await connected((step, session, channel) => {
      if (step !== 'basic.consume') return undefined
      return session.send(
        ...[frames.consumeOk(channel), frames.deliver(channel, 1, 'bad'), frames.deliver(channel, 2, 'good')],
      )
    })
    const failed: unknown[] = []
    made.onEvent(event => event.name === 'delivery-failed' && failed.push(event))
    const bodies: string[] = []
    const onDelivery = ({ body }: TransportDelivery): void => {
      bodies.push(Buffer.from(body).toString())
      if (bodies.length === 1) throw new Error('on purpose')
    }
    await made.consume(onDelivery, { prefetch: 10, onLost: () => undefined })
    await vi.waitFor(() => expect(bodies).toEqual(['bad', 'good']), 5_000)
    expect(failed).toHaveLength(1)
    await new Promise(resolve => setTimeout(resolve, 150))
    expect(methods(server).filter(method => method === '20.40')).toEqual([])
    expect(server.sessions).toHaveLength(2) // n.b. one to publish, one to consume
  })
})
