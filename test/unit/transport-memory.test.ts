import { describe, expect, test } from 'vitest'
import { MemoryBroker, memoryTransport } from '../../src/transport/memory.js'
import type { Transport } from '../../src/transport/transport.js'
import {
  describeTransport,
  Inbox,
  publication,
  publishSurely,
  type TransportHarness,
} from '../support/transport-contract.js'

let broker = new MemoryBroker()
const harness: TransportHarness = {
  addresses: ['vpp', 'heh-0001'],
  make: address => memoryTransport(broker, address),
  killConnections: () => Promise.resolve(broker.killConnections()),
  reset: () => {
    broker = new MemoryBroker()
    return Promise.resolve()
  },
}

describeTransport('broker in memory', () => harness)

async function pair(
  options: { maxMessages?: number; maxBytes?: number } = {},
): Promise<[MemoryBroker, Transport, Transport]> {
  const own = new MemoryBroker(options)
  const both = [memoryTransport(own, 'vpp'), memoryTransport(own, 'heh-0001')] as const
  await Promise.all(both.map(each => each.start()))
  return [own, ...both]
}

describe('the broker in memory misbehaves on request', () => {
  test('a full inbox nacks, by count and by bytes, until something is acknowledged', async () => {
    const [, receiver, sender] = await pair({ maxMessages: 2 })
    const words = []
    for (const text of ['1', '2', '3']) words.push(await publishSurely(sender, publication(harness, text)))
    expect(words).toEqual(['confirmed', 'confirmed', 'nacked'])
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 1 })
    await inbox.until(() => inbox.deliveries.length === 2)
    expect(await publishSurely(sender, publication(harness, '4'))).toBe('confirmed')
    const [, , tight] = await pair({ maxBytes: 3 })
    expect(await publishSurely(tight, publication(harness, 'four'))).toBe('nacked')
  })

  test('the next publications are nacked, of one recipient only where one is named', async () => {
    const [own, , sender] = await pair()
    own.nackNext(1, 'vpp')
    expect(await publishSurely(sender, publication(harness, 'a', 'heh-0001'))).toBe('confirmed')
    expect(await publishSurely(sender, publication(harness, 'b'))).toBe('nacked')
    expect(await publishSurely(sender, publication(harness, 'c'))).toBe('confirmed')
  })

  test('held confirms leave the outcome unknown when the connection dies, though the body is there', async () => {
    const [own, , sender] = await pair()
    const release = own.holdConfirms()
    const channel = await sender.channel('shared')
    const pending = channel.publish(publication(harness, 'a'))
    own.killConnections('heh-0001')
    await expect(pending).rejects.toMatchObject({ code: 'connection-lost' })
    release()
    expect(own.inbox('vpp')?.waiting).toHaveLength(1)
    expect(channel.open).toBe(false)
    expect(await publishSurely(sender, publication(harness, 'b'))).toBe('confirmed')
  })

  test('parked bodies are kept apart, with their index', async () => {
    const [own, , sender] = await pair()
    const parked = { ...publication(harness, 'bad'), exchange: 'parked' as const, index: 3 }
    expect(await publishSurely(sender, parked)).toBe('confirmed')
    expect(own.parked('vpp').map(each => each.publication.index)).toEqual([3])
    expect(own.inbox('vpp')?.waiting).toHaveLength(0)
  })

  test('of two consumers one is active; when it stops the other gets what it held, in order', async () => {
    const [own, receiver, sender] = await pair()
    const other = memoryTransport(own, 'vpp')
    await other.start()
    const [first, second] = [new Inbox(false), new Inbox()]
    const active = await receiver.consume(first.take, { prefetch: 10 })
    await other.consume(second.take, { prefetch: 10 })
    for (const text of ['1', '2', '3']) await publishSurely(sender, publication(harness, text))
    await first.until(() => first.deliveries.length === 3)
    expect(second.deliveries).toHaveLength(0)
    await active.stop()
    await second.until(() => second.deliveries.length === 3)
    expect(second.texts).toEqual(['1', '2', '3'])
  })

  test('requeued bodies go back to their places, whatever the order of requeuing', async () => {
    const [, receiver, sender] = await pair()
    const inbox = new Inbox(false)
    await receiver.consume(inbox.take, { prefetch: 3 })
    for (const text of ['1', '2', '3']) await publishSurely(sender, publication(harness, text))
    await inbox.until(() => inbox.deliveries.length === 3)
    for (const delivery of [...inbox.deliveries]) delivery.requeue()
    await inbox.until(() => inbox.deliveries.length === 6)
    expect(inbox.texts.slice(3)).toEqual(['1', '2', '3'])
  })

  test('a deleted inbox returns what is sent to it until its owner has it again', async () => {
    const [own, receiver, sender] = await pair()
    own.deleteInbox('vpp')
    expect(await publishSurely(sender, publication(harness, 'a'))).toBe('returned')
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 1, onLost: inbox.onLost })
    own.deleteInbox('vpp')
    await inbox.until(() => inbox.lost === 1)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(await publishSurely(sender, publication(harness, 'b'))).toBe('confirmed')
    await inbox.until(() => inbox.texts.includes('b'))
  })

  test('an observer sees every body', async () => {
    const [own, , sender] = await pair()
    const seen: number[] = []
    const stop = own.observe(each => seen.push(each.body.length))
    await publishSurely(sender, publication(harness, 'four'))
    stop()
    await publishSurely(sender, publication(harness, 'seven'))
    expect(seen).toEqual([4])
  })
})
