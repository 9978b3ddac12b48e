/** A node drops its clients, which have another connection that stands by, or have not. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { isSealbusError } from '../../src/errors.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Transport } from '../../src/transport/transport.js'
import { publication, type TransportHarness } from '../support/transport-contract.js'
import { withCluster } from './support.js'

const ROUNDS = 8
/** A node drops all its clients. */
const CLOSE_ALL =
  'L = rabbit_networking:connections_local(), [rabbit_networking:close_connection(P, <<"test">>) || P <- L], length(L)'
const running = withCluster({ nodes: 3 })
const open: Transport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(transport => transport.close()))
})

interface Sender {
  readonly transport: Transport
  /** `host:port` of the node that it publishes to. */
  readonly where: () => string
}

async function started(address: string, standby: boolean): Promise<Sender> {
  const { urls, tls } = running()
  const transport = rabbitTransport({
    ...{ brokers: urls, address, standby, tls: () => Promise.resolve(tls(address)) },
    inbox: { kind: 'quorum', declare: false },
  })
  open.push(transport)
  let where = ''
  transport.onEvent(({ name, detail }) => {
    if (name === 'connected') where = String(detail?.['where'])
  })
  await transport.start()
  return { transport, where: () => where }
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
  const senders = { with: await started('tso', true), without: await started('heh-0001', false) }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { transport, where }] of Object.entries(senders)) {
      const sending = load(transport)
      await sleep(1_500) // n.b. the next stands by
      const node = cluster.nodes.find((_, i) => urls[i]?.endsWith(where()))
      const sinceMs = performance.now()
      await cluster.evaluate(CLOSE_ALL, node)
      await sleep(1_000)
      await sending.stop()
      gaps[name as 'with' | 'without'].push(sending.longestGap(sinceMs))
    }
  }
  const rounded = (values: readonly number[]): string => values.map(Math.round).join(', ')
  console.info(`longest pause, ms: ${rounded(gaps.with)} with a standby, ${rounded(gaps.without)} without`)
  expect(median(gaps.with)).toBeLessThan(median(gaps.without))
})
