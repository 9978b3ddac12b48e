/** A node dies with the connection to it, with and without another that stands by. */
import { afterEach, expect, test } from 'vitest'
import { isSealbusError } from '../../src/errors.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Transport } from '../../src/transport/transport.js'
import { publication, type TransportHarness } from '../support/transport-contract.js'
import { withCluster } from './support.js'

const ROUNDS = 3
const running = withCluster({ nodes: 3 })
const open: Transport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(transport => transport.close()))
})

/** Connected to `first` at the beginning, and anywhere later. */
async function started(address: string, first: string, standby: boolean): Promise<Transport> {
  const { urls, tls } = running()
  const others = urls.filter(url => url !== first)
  let asked = 0
  const transport = rabbitTransport({
    brokers: () => Promise.resolve(asked++ === 0 ? [first] : others),
    ...{ address, standby, tls: () => Promise.resolve(tls(address)) },
    inbox: { kind: 'quorum', declare: false },
  })
  open.push(transport)
  const stands = new Promise<void>(resolve => {
    transport.onEvent(({ name }) => name === 'standby' && resolve())
  })
  await transport.start()
  if (standby) await stands
  return transport
}

/** Publishes one after the other; resolves with the longest pause between two confirms after `sinceMs`. */
function load(sender: Transport): { longestGap(sinceMs: number): number; stop(): Promise<void> } {
  const harness = { addresses: ['vpp', sender.address] } as unknown as TransportHarness
  const confirmed: number[] = []
  const over = new AbortController()
  const ended = (async (): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      try {
        const channel = await sender.channel('shared')
        await channel.publish(publication(harness, String(i)))
        confirmed.push(performance.now())
        channel.release()
      } catch (error) {
        if (!isSealbusError(error, 'connection-lost')) throw error
      }
      await new Promise(resolve => setTimeout(resolve, 2))
    }
  })()
  const longestGap = (sinceMs: number): number =>
    Math.max(
      ...confirmed.map((atMs, i) => (atMs > sinceMs ? atMs - Math.max(sinceMs, confirmed[i - 1] ?? 0) : 0)),
    )
  return {
    longestGap,
    stop: () => {
      over.abort()
      return ended
    },
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

test('with a connection that stands by, sending goes on sooner than without', {
  timeout: 240_000,
}, async () => {
  const { cluster, urls, tls } = running()
  const owner = rabbitTransport({
    ...{ brokers: urls, address: 'vpp', tls: () => Promise.resolve(tls('vpp')) },
    inbox: { kind: 'quorum', declare: true },
  })
  await owner.start()
  await owner.close()
  const gaps: Record<'with' | 'without', number[]> = { with: [], without: [] }
  for (let round = 0; round < ROUNDS; round++) {
    const leader = await cluster.leaderOf('inbox.vpp')
    const victim = cluster.nodes.find(node => node !== leader)
    const at = urls[victim ? cluster.nodes.indexOf(victim) : 0] ?? ''
    const senders = [await started('tso', at, true), await started('heh-0001', at, false)] as const
    const [withOne, without] = senders.map(load)
    await new Promise(resolve => setTimeout(resolve, 1_000))
    const sinceMs = performance.now()
    await victim?.kill()
    await new Promise(resolve => setTimeout(resolve, 3_000))
    await Promise.all([withOne?.stop(), without?.stop()])
    gaps.with.push(withOne?.longestGap(sinceMs) ?? Infinity)
    gaps.without.push(without?.longestGap(sinceMs) ?? 0)
    await Promise.all(open.splice(0).map(transport => transport.close()))
    await victim?.start()
  }
  const rounded = (values: readonly number[]): string => values.map(Math.round).join(', ')
  console.info(`longest pause, ms: ${rounded(gaps.with)} with a standby, ${rounded(gaps.without)} without`)
  expect(median(gaps.with)).toBeLessThan(median(gaps.without))
})
