/** A client in another language, written from docs/PROTOCOL.md, and sealbus, on one real cluster with one PKI. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import amqp, { type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startProvisionedCluster } from '../../cluster/index.js'
import { initPki, provision, setBrokers } from '../../pki/index.js'
import type { Bus, Delivery } from '../../src/bus.js'
import { connect } from '../../src/index.js'
import { python } from '../support/python.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-python-'))
const dir = join(folder, 'pki')
const device = (name: string): string => join(dir, 'devices', name)
const NOBODY = 'amqps://localhost:1' // nothing listens there
let cluster: Cluster
let vpp: Bus
let handle: (message: Delivery) => unknown = () => undefined

beforeAll(async () => {
  const passphrase = randomBytes(16).toString('hex')
  const { pki } = await initPki({ dir, domain: 'field', passphrase })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'vpp-0002', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
  cluster = await startProvisionedCluster({
    nodes: 1,
    name: 'python',
    dir: join(folder, 'cluster'),
    pki: dir,
    passphrase: () => Promise.resolve(passphrase),
    ephemeral: true,
  })
  await setBrokers(pki, [NOBODY, ...cluster.urls])
  vpp = await connect({ identity: device('vpp-0001'), brokers: cluster.urls })
  await vpp.consume(message => handle(message))
})

afterAll(async () => {
  await vpp.close()
  await cluster.down()
  rmSync(folder, { recursive: true, force: true })
})

/** The next message that is no reply to a request. */
const nextMessage = (): Promise<Delivery> =>
  new Promise(resolve => {
    handle = resolve
  })

/** A channel of a device, without sealbus. */
async function channelOf(name: string, work: (channel: ConfirmChannel) => Promise<void>): Promise<void> {
  const file = (path: string): string => readFileSync(join(device(name), path), 'utf8')
  const tls = {
    ca: file('broker-root.crt'),
    cert: file('identity.crt') + file('chain.crt'),
    key: file('identity.key'),
  }
  const url = `${cluster.urls[0] ?? ''}/sealbus`
  const connection = await amqp.connect(url, { ...tls, credentials: amqp.credentials.external() })
  await work(await connection.createConfirmChannel())
  await connection.close()
}

/** Puts bytes into the hub's inbox as the VPP may. */
const publish = (body: Buffer): Promise<void> =>
  channelOf('vpp-0001', async channel => {
    channel.publish('sealbus', 'heh-0001.vpp-0001', body, { deliveryMode: 2 })
    await channel.waitForConfirms()
  })

/** Takes the oldest body out of the hub's inbox. n.b. by consuming: such a queue refuses basic.get. */
async function takeFromInbox(): Promise<Buffer> {
  const taken: Buffer[] = []
  await channelOf('heh-0001', async channel => {
    await channel.prefetch(1)
    await new Promise<void>((resolve, reject) => {
      const take = (message: ConsumeMessage | null): void => {
        if (message !== null) {
          taken.push(message.content)
          channel.ack(message)
        }
        resolve()
      }
      channel.consume('inbox.heh-0001', take).catch(reject)
    })
  })
  return Buffer.concat(taken)
}

async function lengthOf(queue: string): Promise<number> {
  let length = -1
  await channelOf('heh-0001', async channel => {
    length = (await channel.checkQueue(queue)).messageCount
  })
  return length
}

describe('a client in Python', () => {
  test('opens a request, and its sealed reply reaches whoever asked', async () => {
    const echo = python('client.py', [device('heh-0001'), 'echo', '2'])
    const ask = (n: number): Promise<Delivery> =>
      vpp.request('heh-0001', { type: 'get_report', payload: { n } }, { timeoutMs: 60_000 })
    const replies = [await ask(1), await ask(2)]
    expect(replies.map(reply => [reply.type, reply.json()])).toEqual([
      ['report', { n: 1 }],
      ['report', { n: 2 }],
    ])
    expect(replies[0]?.from).toMatchObject({ domain: 'field', address: 'heh-0001', role: 'heh' })
    expect(await echo).toContain('get_report from vpp-0001, a vpp: {"n":1}')
  })

  test('of one file opens a request, and its sealed reply reaches whoever asked', async () => {
    const minimal = python('minimal.py', [device('heh-0001'), '2'])
    const ask = (n: number): Promise<Delivery> =>
      vpp.request('heh-0001', { type: 'get_report', payload: { n } }, { timeoutMs: 60_000 })
    const replies = [await ask(1), await ask(2)]
    expect(replies.map(reply => [reply.type, reply.json(), reply.from?.address])).toEqual([
      ['report', { n: 1 }, 'heh-0001'],
      ['report', { n: 2 }, 'heh-0001'],
    ])
    expect(await minimal).toContain('get_report from vpp-0001, a vpp: {"n":1}')
    expect(await lengthOf('inbox.heh-0001')).toBe(0)
  })

  test('sends a message by itself, which comes with its authenticated sender', async () => {
    const arrived = nextMessage()
    await python('client.py', [device('heh-0001'), 'send', 'vpp-0001', 'report', '{"power": -1200}'])
    const message = await arrived
    expect(message.json()).toEqual({ power: -1200 })
    expect(message.from).toMatchObject({ domain: 'field', address: 'heh-0001', role: 'heh' })
  })

  test('signs a receipt once it has handled a message', async () => {
    const answered = nextMessage()
    const echo = python('client.py', [device('heh-0001'), 'echo', '1'])
    const sent = await vpp.send('heh-0001', { type: 'get_report', payload: {} }, { until: 'handled' })
    expect(sent.state).toBe('handled')
    expect((await answered).type).toBe('report')
    await echo
  })

  test('parks a body that is no envelope, and handles what follows', async () => {
    await publish(Buffer.from('{"power": 1}'))
    const echo = python('client.py', [device('heh-0001'), 'echo', '1'])
    const reply = await vpp.request('heh-0001', { type: 'get_report', payload: 'x' }, { timeoutMs: 60_000 })
    expect(reply.text()).toBe('x')
    await echo
    expect(await lengthOf('parked.heh-0001')).toBe(1)
    expect(await lengthOf('inbox.heh-0001')).toBe(0)
  })

  test('answers a message once that comes again, to another process of it', async () => {
    const answers: string[] = []
    handle = answer => answers.push(answer.text())
    await vpp.send('heh-0001', { type: 'get_report', payload: 'first' })
    const body = await takeFromInbox()
    await publish(body)
    await python('client.py', [device('heh-0001'), 'echo', '1'])
    await publish(body)
    await vpp.send('heh-0001', { type: 'get_report', payload: 'second' })
    await python('client.py', [device('heh-0001'), 'echo', '1'])
    await expect.poll(() => answers, { timeout: 20_000 }).toEqual(['first', 'second'])
  })

  test('declares the inbox of a party that has to, as sealbus does', async () => {
    const echo = python('client.py', [device('heh-0001'), 'echo', '1'])
    await python('client.py', [device('vpp-0002'), 'send', 'heh-0001', 'get_report', '{"n": 3}'])
    await echo
    const other = await connect({ identity: device('vpp-0002'), brokers: cluster.urls })
    try {
      const answer = await new Promise<Delivery>(resolve => {
        void other.consume(resolve)
      })
      expect([answer.type, answer.json(), answer.from?.address]).toEqual(['report', { n: 3 }, 'heh-0001'])
    } finally {
      await other.close()
    }
  })
})
