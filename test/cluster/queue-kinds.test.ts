/** What each kind of inbox survives, shown on a real cluster: the table of docs/DELIVERY.md, printed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import type { ClusterNode } from '../../cluster/index.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { InboxKind } from '../../src/transport/topology.js'
import type { Transport } from '../../src/transport/transport.js'
import { publication, type TransportHarness } from '../support/transport-contract.js'
import { withCluster } from './support.js'

/** Confirmed messages that wait in the inbox when it happens. */
const COUNT = 50
/** How long a consumer waits for what does not come, and for what may take its time. */
const PATIENCE_MS = 6_000
const LONG_MS = 20_000
const SENDER = 'tso'
const KINDS: readonly InboxKind[] = ['quorum', 'classic', 'transient']

const running = withCluster({
  nodes: 3,
  users: [SENDER, ...KINDS].map(name => ({ name, rights: 'self-declaring' as const })),
})

interface Survived {
  /** Its node is killed: what can be consumed while it is dead, and in all once it is back. */
  whileDead: number
  back: number
  /** Its node is shut down and started again. */
  restarted: number
  /** All nodes are killed and started again. */
  all: number
}

const table = new Map<InboxKind, Survived>()
const open = new Set<Transport>()
afterAll(async () => {
  await Promise.all([...open].map(transport => transport.close()))
  const rows = KINDS.map(kind => {
    const { whileDead, back, restarted, all } = table.get(kind) ?? {
      whileDead: '',
      back: '',
      restarted: '',
      all: '',
    }
    return `| ${kind} | ${whileDead} | ${back} | ${restarted} | ${all} |`
  })
  const head = `of ${COUNT} confirmed | its node is dead | and back | its node is restarted | all nodes were killed`
  console.info([`| ${head} |`, ...rows].join('\n'))
})

async function started(address: string, kind: InboxKind, declare: boolean): Promise<Transport> {
  const transport = rabbitTransport({
    ...{ brokers: running().urls, address, tls: () => Promise.resolve(running().tls(address)) },
    inbox: { kind, declare },
  })
  open.add(transport)
  await transport.start()
  return transport
}

async function ended(transport: Transport): Promise<void> {
  open.delete(transport)
  await transport.close()
}

/** Publishes what is to survive; resolves once all of it is confirmed. */
async function fill(kind: InboxKind): Promise<void> {
  await ended(await started(kind, kind, true))
  const sender = await started(SENDER, 'quorum', false)
  const channel = await sender.channel('shared')
  const harness = { addresses: [kind, SENDER] } as unknown as TransportHarness
  const words = await Promise.all(
    Array.from({ length: COUNT }, (_, i) => channel.publish(publication(harness, String(i)))),
  )
  expect(new Set(words)).toEqual(new Set(['confirmed']))
  await ended(sender)
}

/** Consumes until nothing more comes; how many different ones there were. @param ack - else they stay in the inbox */
async function consumable(kind: InboxKind, ack: boolean, patienceMs: number): Promise<number> {
  const owner = await started(kind, kind, true)
  const texts = new Set<string>()
  await owner.consume(
    delivery => {
      texts.add(new TextDecoder().decode(delivery.body))
      if (ack) delivery.ack()
    },
    { prefetch: COUNT * 2 },
  )
  const endAt = performance.now() + patienceMs
  while (texts.size < COUNT && performance.now() < endAt) await sleep(100)
  await sleep(200) // n.b. acknowledgements are on their way
  await ended(owner)
  return texts.size
}

async function holder(kind: InboxKind): Promise<ClusterNode> {
  const node = await running().cluster.leaderOf(`inbox.${kind}`)
  if (node === undefined) throw new Error(`inbox.${kind}: no node holds it`)
  return node
}

test.each(KINDS)('a %s inbox', { timeout: 300_000 }, async kind => {
  const { nodes } = running().cluster
  const patienceMs = kind === 'transient' ? PATIENCE_MS : LONG_MS
  const survived: Survived = { whileDead: 0, back: 0, restarted: 0, all: 0 }
  await fill(kind)
  const killed = await holder(kind)
  await killed.kill()
  survived.whileDead = await consumable(kind, false, PATIENCE_MS)
  await killed.start()
  survived.back = await consumable(kind, true, patienceMs)

  await fill(kind)
  const restarted = await holder(kind)
  await restarted.stop()
  await restarted.start()
  survived.restarted = await consumable(kind, true, patienceMs)

  await fill(kind)
  await Promise.all(nodes.map(node => node.kill()))
  await Promise.all(nodes.map(node => node.start()))
  survived.all = await consumable(kind, true, patienceMs)
  table.set(kind, survived)

  const none = { whileDead: 0, back: 0, restarted: 0, all: 0 }
  const expected: Record<InboxKind, Survived> = {
    quorum: { whileDead: COUNT, back: COUNT, restarted: COUNT, all: COUNT },
    classic: { ...none, back: COUNT, restarted: COUNT, all: COUNT },
    transient: none,
  }
  expect(survived).toEqual(expected[kind])
})
