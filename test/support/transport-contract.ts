/** What every transport promises, as tests: run over the broker in memory and over a real one. */
import { afterEach, describe, expect, test } from 'vitest'
import { isSealbusError } from '../../src/errors.js'
import type {
  Confirmation,
  Publication,
  Transport,
  TransportConsumer,
  TransportDelivery,
} from '../../src/transport/transport.js'

/** A broker of some kind, with two addresses that may write to each other. */
export interface TransportHarness {
  /** The receiving address, and the sending one. */
  readonly addresses: readonly [string, string]
  make(address: string): Transport
  /** Cuts every client connection; resolves when that is done. */
  killConnections(): Promise<unknown>
  /** Empties the inboxes. */
  reset(): Promise<unknown>
}

let lastMessage = 0

/** One publication from the second address to the first. */
export function publication(harness: TransportHarness, text: string, to = harness.addresses[0]): Publication {
  lastMessage += 1
  const messageId = lastMessage.toString(16).padStart(32, '0')
  return {
    exchange: 'inbox',
    to,
    from: harness.addresses[1],
    messageId,
    body: new TextEncoder().encode(text),
  }
}

/** Collects deliveries and waits for them. */
export class Inbox {
  readonly deliveries: TransportDelivery[] = []
  lost = 0
  #ack: boolean
  #changed: () => void = () => undefined

  constructor(ack = true) {
    this.#ack = ack
  }

  readonly take = (delivery: TransportDelivery): void => {
    this.deliveries.push(delivery)
    if (this.#ack) delivery.ack()
    this.#changed()
  }

  readonly onLost = (): void => {
    this.lost += 1
    this.#changed()
  }

  get texts(): string[] {
    return this.deliveries.map(delivery => new TextDecoder().decode(delivery.body))
  }

  /** Until `condition` holds; checked at each delivery and loss. */
  async until(condition: () => boolean, timeoutMs = 15_000): Promise<void> {
    const endAt = Date.now() + timeoutMs
    while (!condition()) {
      if (Date.now() > endAt)
        throw new Error(`waited ${timeoutMs} ms in vain; have ${JSON.stringify(this.texts)}`)
      await new Promise<void>(resolve => {
        this.#changed = resolve
        setTimeout(resolve, 100)
      })
    }
  }
}

/** Publishes once, on a channel of the kind; a lost connection is tried again, as a lane would. */
export async function publishSurely(transport: Transport, what: Publication): Promise<Confirmation> {
  for (;;) {
    const channel = await transport.channel('shared')
    try {
      return await channel.publish(what)
    } catch (error) {
      if (!isSealbusError(error, 'connection-lost')) throw error
    } finally {
      channel.release()
    }
  }
}

export function describeTransport(name: string, harnessOf: () => TransportHarness): void {
  describe(`transport contract, ${name}`, () => {
    const open: Transport[] = []
    const started = async (index: 0 | 1): Promise<Transport> => {
      const harness = harnessOf()
      const transport = harness.make(harness.addresses[index])
      open.push(transport)
      await transport.start()
      return transport
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map(transport => transport.close()))
      await harnessOf().reset()
    })
    const consume = (transport: Transport, inbox: Inbox, prefetch = 100): Promise<TransportConsumer> =>
      transport.consume(inbox.take, { prefetch, onLost: inbox.onLost })

    test('a published body arrives, byte for byte and in order, and the sender is claimed', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const inbox = new Inbox()
      await consume(receiver, inbox)
      const channel = await sender.channel('shared')
      const sent = Array.from({ length: 20 }, (_, i) => `body ${i}`)
      const words = await Promise.all(sent.map(text => channel.publish(publication(harnessOf(), text))))
      expect(new Set(words)).toEqual(new Set(['confirmed']))
      await inbox.until(() => inbox.deliveries.length === 20)
      expect(inbox.texts).toEqual(sent)
      expect(inbox.deliveries[0]?.claimedFrom).toBe(harnessOf().addresses[1])
      expect(inbox.deliveries[0]?.redelivered).toBe(false)
      expect(new Set(inbox.deliveries.map(each => each.token)).size).toBe(20)
    })

    test('what has no inbox is returned, its neighbours are confirmed', async () => {
      const sender = await started(1)
      await started(0)
      const channel = await sender.channel('shared')
      const words = await Promise.all(
        ['a', 'b', 'c'].map((text, i) =>
          channel.publish(publication(harnessOf(), text, i === 1 ? 'nobody-here' : harnessOf().addresses[0])),
        ),
      )
      expect(words).toEqual(['confirmed', 'returned', 'confirmed'])
    })

    test('a stopped consumer gives back what it had, in order, marked as redelivered', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const first = new Inbox(false)
      const consumer = await consume(receiver, first)
      for (const text of ['1', '2', '3', '4']) await publishSurely(sender, publication(harnessOf(), text))
      await first.until(() => first.deliveries.length === 4)
      expect(first.deliveries[1]?.ack()).toBe(true)
      await consumer.stop()
      const second = new Inbox()
      await consume(receiver, second)
      await second.until(() => second.deliveries.length === 3)
      expect(second.texts).toEqual(['1', '3', '4'])
      expect(second.deliveries.every(each => each.redelivered)).toBe(true)
    })

    test('prefetch bounds what is unacknowledged', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const inbox = new Inbox(false)
      await consume(receiver, inbox, 2)
      for (const text of ['1', '2', '3']) await publishSurely(sender, publication(harnessOf(), text))
      await inbox.until(() => inbox.deliveries.length === 2)
      await new Promise(resolve => setTimeout(resolve, 200))
      expect(inbox.texts).toEqual(['1', '2'])
      inbox.deliveries[0]?.ack()
      await inbox.until(() => inbox.deliveries.length === 3)
    })

    test('a killed connection is built anew; a stale acknowledgement does nothing and is counted', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const inbox = new Inbox(false)
      const events: string[] = []
      receiver.onEvent(event => events.push(event.name))
      await consume(receiver, inbox)
      await publishSurely(sender, publication(harnessOf(), 'x'))
      await inbox.until(() => inbox.deliveries.length === 1)
      await harnessOf().killConnections()
      await inbox.until(() => inbox.lost === 1 && inbox.deliveries.length === 2)
      const [stale, fresh] = inbox.deliveries
      expect(fresh?.redelivered).toBe(true)
      expect(fresh?.token).not.toBe(stale?.token)
      expect(stale?.ack()).toBe(false)
      expect(stale?.ack()).toBe(false)
      expect(events.filter(each => each === 'stale-ack')).toHaveLength(1)
      expect(fresh?.ack()).toBe(true)
      expect(fresh?.ack()).toBe(true)
      expect(await publishSurely(sender, publication(harnessOf(), 'y'))).toBe('confirmed')
      await inbox.until(() => inbox.texts.at(-1) === 'y')
    })

    test('a requeued body comes again', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const inbox = new Inbox(false)
      await consume(receiver, inbox)
      await publishSurely(sender, publication(harnessOf(), 'again'))
      await inbox.until(() => inbox.deliveries.length === 1)
      expect(inbox.deliveries[0]?.requeue()).toBe(true)
      await inbox.until(() => inbox.deliveries.length === 2)
      expect(inbox.deliveries[1]?.redelivered).toBe(true)
      expect(inbox.deliveries[1]?.ack()).toBe(true)
    })

    test('a fresh channel is another one than the shared, and rises in number', async () => {
      const sender = await started(1)
      const shared = await sender.channel('shared')
      expect(await sender.channel('shared')).toBe(shared)
      const fresh = await sender.channel('fresh')
      const isolated = await sender.channel('isolated')
      expect(new Set([shared.id, fresh.id, isolated.id]).size).toBe(3)
      expect(fresh.id).toBeGreaterThan(shared.id)
      isolated.release()
      await isolated.closed
      expect(isolated.open).toBe(false)
      expect(shared.open && fresh.open).toBe(true)
    })

    test('the broker tells how many consume', async () => {
      const receiver = await started(0)
      expect(await receiver.consumers()).toBe(0)
      await consume(receiver, new Inbox())
      expect(await receiver.consumers()).toBe(1)
    })

    test('a handler of deliveries that throws harms nobody', async () => {
      const [receiver, sender] = [await started(0), await started(1)]
      const inbox = new Inbox()
      let calls = 0
      const take = (delivery: TransportDelivery): void => {
        calls += 1
        if (calls === 1) throw new Error('on purpose')
        inbox.take(delivery)
      }
      await receiver.consume(take, { prefetch: 10 })
      for (const text of ['1', '2']) await publishSurely(sender, publication(harnessOf(), text))
      await inbox.until(() => inbox.deliveries.length === 1)
      expect(inbox.texts).toEqual(['2'])
    })

    test('closing settles every pending publish and may be done twice', async () => {
      const sender = await started(1)
      await started(0)
      const channel = await sender.channel('shared')
      const pending = Array.from({ length: 50 }, () => channel.publish(publication(harnessOf(), 'late')))
      const settled = Promise.allSettled(pending)
      await Promise.all([sender.close(), sender.close()])
      for (const one of await settled) {
        if (one.status === 'rejected') expect(isSealbusError(one.reason, 'connection-lost')).toBe(true)
      }
      expect(sender.status()).toEqual({ state: 'closed' })
      await expect(sender.channel('shared')).rejects.toMatchObject({ code: 'closed' })
      await expect(channel.publish(publication(harnessOf(), 'x'))).rejects.toMatchObject({
        code: 'connection-lost',
      })
    })

    test('the status is ready once started, and listeners hear of changes', async () => {
      const receiver = await started(0)
      const states: string[] = []
      receiver.onStatus(status => states.push(status.state))
      expect(receiver.status()).toEqual({ state: 'ready' })
      await harnessOf().killConnections()
      const endAt = Date.now() + 10_000
      while (!states.includes('ready') && Date.now() < endAt)
        await new Promise(resolve => setTimeout(resolve, 20))
      expect(states.slice(0, 2)).toEqual(['connecting', 'ready'])
    })
  })
}
