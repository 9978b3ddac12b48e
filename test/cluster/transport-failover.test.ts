/** The transport while nodes of a three-node cluster die. */
import { afterEach, describe, expect, test } from 'vitest'
import { isSealbusError } from '../../src/errors.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Publication, PublishChannel, Transport } from '../../src/transport/transport.js'
import { Inbox, publication, type TransportHarness } from '../support/transport-contract.js'
import { withCluster } from './support.js'

const running = withCluster({ nodes: 3 })

const harness: Pick<TransportHarness, 'addresses'> = { addresses: ['vpp', 'tso'] }

const open: Transport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(transport => transport.close()))
})

type Brokers = Parameters<typeof rabbitTransport>[0]['brokers']

async function started(address: string, brokers: Brokers = running().urls): Promise<Transport> {
  const transport = rabbitTransport({
    brokers,
    address,
    tls: () => Promise.resolve(running().tls(address)),
    inbox: { kind: 'quorum', declare: true },
  })
  open.push(transport)
  await transport.start()
  return transport
}

/** A lane in short: one message after the other, a nack on a fresh channel after a pause, a loss again. */
async function deliver(sender: Transport, what: Publication): Promise<{ nacks: number; losses: number }> {
  const met = { nacks: 0, losses: 0 }
  for (let channel: PublishChannel = await sender.channel('shared'); ; ) {
    try {
      const word = await channel.publish(what)
      if (word === 'confirmed') return met
      met.nacks += 1
      await new Promise(resolve => setTimeout(resolve, 50 + Math.random() * 50))
      channel.release()
      channel = await sender.channel('fresh')
    } catch (error) {
      if (!isSealbusError(error, 'connection-lost')) throw error
      met.losses += 1
      channel = await sender.channel('shared')
    }
  }
}

/** Between two neighbours, the second of which is after `since`. */
function longestGap(times: readonly number[], since: number): number {
  return Math.max(...times.map((time, i) => (time > since ? time - (times[i - 1] ?? since) : 0)))
}

describe('kill -9 of the leader of the inbox', () => {
  test.each([
    ['that everybody is connected to first', true],
    ['while everybody is connected elsewhere', false],
  ])('%s: all arrives, the gap stays under 3 s', async (_, connected) => {
    const { cluster, urls } = running()
    const owner = await started('vpp') // declares
    await owner.close()
    const leader = await cluster.leaderOf('inbox.vpp')
    if (leader === undefined) throw new Error('no leader')
    const at = urls[cluster.nodes.indexOf(leader)] ?? ''
    const others = urls.filter(url => url !== at)
    let first = true
    const brokers = connected ? [at] : others
    const list = (): Promise<readonly string[]> => Promise.resolve(first ? brokers : others)
    const [receiver, sender] = [await started('vpp', list), await started('tso', list)]
    const inbox = new Inbox()
    const texts = new Set<string>() // n.b. looked up for each message: reading the inbox for each would stop the clock
    const arrived: number[] = []
    await receiver.consume(
      delivery => {
        arrived.push(performance.now())
        texts.add(new TextDecoder().decode(delivery.body))
        inbox.take(delivery)
      },
      { prefetch: 100 },
    )
    const ending = new AbortController()
    const sent: string[] = []
    const confirmed: number[] = []
    const load = (async () => {
      for (let i = 0; !ending.signal.aborted; i++) {
        await deliver(sender, publication(harness as TransportHarness, String(i)))
        sent.push(String(i))
        confirmed.push(performance.now())
      }
    })()
    await new Promise(resolve => setTimeout(resolve, 1_500))
    first = false
    const killedAt = performance.now()
    await leader.kill()
    await new Promise(resolve => setTimeout(resolve, 6_000))
    ending.abort()
    await load
    await inbox.until(() => sent.every(text => texts.has(text)))
    expect(longestGap(confirmed, killedAt), 'ms without a confirm').toBeLessThan(3_000)
    expect(longestGap(arrived, killedAt), 'ms without a delivery').toBeLessThan(3_000)
    await leader.start()
  })
})
