/** `sealbus parked` on real parking queues, by the devices' own rights: self-declaring (vpp) and strict (heh). */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../cli/main.js'
import type { ItemFacts } from '../../cli/parked-facts.js'
import { type Cluster, startProvisionedCluster } from '../../cluster/index.js'
import { initPki, provision } from '../../pki/index.js'
import { rabbitOptions } from '../../src/broker-options.js'
import type { Bus, Delivery } from '../../src/bus.js'
import { loadIdentityFolder } from '../../src/identity-folder.js'
import { connect } from '../../src/index.js'
import { withParkedBodies } from '../../src/transport/parked-queue.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-cluster-parked-'))
const dir = join(folder, 'pki')
const passphrase = 'for this test only'
const open: Bus[] = []
let cluster: Cluster

beforeAll(async () => {
  const { pki } = await initPki({ dir, domain: 'field', passphrase })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
  cluster = await startProvisionedCluster({
    ...{ pki: dir, nodes: 1, name: 'parked', dir: join(folder, 'cluster') },
    passphrase: () => Promise.resolve(passphrase),
    ephemeral: true,
  })
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(bus => bus.close()))
})
afterAll(async () => {
  await cluster.down()
  rmSync(folder, { recursive: true, force: true })
})

const identity = (name: string): string => join(dir, 'devices', name)
const state = (name: string): string => join(folder, 'state', name)

interface Ran {
  code: number
  out: string
}

/** Runs `sealbus parked …` as an operator beside the process would. */
async function parked(name: string, ...argv: string[]): Promise<Ran> {
  let out = ''
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    out += String(text)
    return true
  })
  try {
    const code = await main(['parked', ...argv, '--identity', identity(name), '--state', state(name)])
    return { code, out }
  } finally {
    spy.mockRestore()
  }
}

async function listed(name: string): Promise<ItemFacts[]> {
  return JSON.parse((await parked(name, 'list', '--json')).out) as ItemFacts[]
}

async function joinBus(name: string): Promise<Bus> {
  const bus = await connect({ identity: identity(name), state: state(name) })
  open.push(bus)
  return bus
}

/** A receiver whose handler refuses what is in `bad`. */
async function receiver(name: string, bad: Set<string>, handled: string[]): Promise<Bus> {
  const bus = await joinBus(name)
  await bus.consume(
    (message: Delivery) => {
      if (bad.has(message.text())) throw new Error('refused by the test')
      handled.push(message.text())
    },
    { retries: 0 },
  )
  return bus
}

async function parkedCount(name: string, count: number): Promise<ItemFacts[]> {
  let items: ItemFacts[] = []
  await vi.waitUntil(
    async () => {
      items = await listed(name)
      return items.length === count
    },
    { timeout: 30_000, interval: 500 },
  )
  return items
}

describe.each([
  { to: 'vpp-0001', from: 'heh-0001', type: 'report', rights: 'self-declaring' },
  { to: 'heh-0001', from: 'vpp-0001', type: 'get_report', rights: 'strict' },
])('the parking queue of $to, whose rights are $rights', ({ to, from, type }) => {
  const bad = new Set<string>()
  const handled: string[] = []
  let sender: Bus
  let bus: Bus

  beforeEach(async () => {
    bad.clear()
    handled.length = 0
    sender = await joinBus(from)
    bus = await receiver(to, bad, handled)
  })

  const send = (payload: string): Promise<unknown> => sender.send(to, { type, payload })

  test('is looked at as often as one likes, and loses nothing', async () => {
    bad.add('bad')
    await send('bad')
    const [first] = await parkedCount(to, 1)
    expect(first).toMatchObject({ where: 'broker', reasons: ['failed'], from: `field/${from}` })
    expect(first?.messages).toMatchObject([{ type, payloadBytes: 3, expired: false }])
    for (let look = 0; look < 5; look++) expect(await listed(to)).toEqual([first])
    expect((await parked(to, 'show', first?.id ?? '', '--payload')).out).toMatch(/\nbad\n$/)
    await parked(to, 'delete', first?.id ?? '')
    expect(await listed(to)).toEqual([])
  })

  test('gives a message of a batch back, once, while the process runs', async () => {
    bad.add('b')
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(send))
    const [item] = await parkedCount(to, 1)
    bad.clear()
    const { code, out } = await parked(to, 'replay', item?.id ?? '', '--wait', '30')
    expect([code, out]).toEqual([0, expect.stringMatching(/: handled\n$/)])
    expect(handled.sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
    expect(await listed(to)).toEqual([])
    expect(readdirSync(join(state(to), 'replay'))).toEqual([])
  })

  test('gives it to the next process, where none runs', async () => {
    bad.add('late')
    await send('late')
    const [item] = await parkedCount(to, 1)
    await bus.close()
    const { out } = await parked(to, 'replay', item?.id ?? '', '--wait', '0')
    expect(out).toMatch(/waits in .*replay/)
    expect([await listed(to), handled]).toEqual([[], []])
    bad.clear()
    await receiver(to, bad, handled)
    await vi.waitUntil(() => handled.length > 0, { timeout: 30_000 })
    expect(handled).toEqual(['late'])
  })

  test('forgets exactly the chosen one', async () => {
    for (const payload of ['one', 'two', 'three']) {
      bad.add(payload)
      await send(payload)
    }
    const items = await parkedCount(to, 3)
    await parked(to, 'export', '--all', '--out', join(folder, `out-${to}`))
    expect(readdirSync(join(folder, `out-${to}`))).toHaveLength(6)
    await parked(to, 'delete', items[1]?.id ?? '')
    expect((await listed(to)).map(({ id }) => id)).toEqual([items[0]?.id, items[2]?.id])
    await parked(to, 'delete', items[0]?.id ?? '', items[2]?.id ?? '')
    expect(await listed(to)).toEqual([])
  })
})

test('of another is closed to everybody else', async () => {
  const folderOf = await loadIdentityFolder(identity('heh-0001'))
  const options = { ...(await rabbitOptions(folderOf)), address: 'vpp-0001' }
  await expect(withParkedBodies(options, () => Promise.resolve())).rejects.toMatchObject({
    code: 'unauthorised',
  })
})
