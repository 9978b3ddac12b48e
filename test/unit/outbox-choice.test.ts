/** `connect` with an outbox on disk: real keys, real files, the embedded broker; lives without a broker among them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { initPki, provision } from '../../pki/index.js'
import type { BareBus, Bus } from '../../src/bus.js'
import {
  type ConnectOptions,
  connect,
  MemoryBroker,
  memoryTransport,
  type SealbusError,
  secure,
} from '../../src/index.js'

const dir = mkdtempSync(join(tmpdir(), 'sealbus-choice-'))
const identity = (name: string): string => join(dir, 'devices', name)
/** Nobody listens there. */
const NOWHERE = ['amqps://localhost:1']
const open: Bus[] = []
let state = ''

beforeAll(async () => {
  const { pki } = await initPki({ dir, domain: 'field', passphrase: 'for tests only' })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
}, 60_000)
beforeEach(() => {
  state = mkdtempSync(join(dir, 'state-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(bus => bus.close()))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function hub(options: Partial<ConnectOptions>): Promise<Bus> {
  const bus = await connect({
    identity: identity('heh-0001'),
    outbox: 'file',
    state,
    startTimeoutMs: 0,
    ...options,
  })
  open.push(bus)
  return bus
}

async function plant(broker: MemoryBroker, texts: string[]): Promise<Bus> {
  const bus = await connect({
    ...{ identity: identity('vpp-0001'), transport: memoryTransport(broker, 'vpp-0001'), seen: 'memory' },
  })
  open.push(bus)
  await bus.consume(message => void texts.push(message.text()))
  return bus
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1_000) throw new Error('waited 10 s in vain')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

describe('a bus with an outbox on disk', () => {
  it('starts without a broker, stores, and delivers in the next life: once, in order, before anything new', async () => {
    for (const life of ['a', 'b']) {
      const offline = await hub({ brokers: NOWHERE })
      expect(offline.status().state).toBe('connecting')
      for (let i = 0; i < 3; i++) {
        const { state: stage } = await offline.send('vpp-0001', { type: 'report', payload: `${life}${i}` })
        expect(stage).toBe('stored')
      }
      expect(await offline.close()).toMatchObject({ unsent: life === 'a' ? 3 : 6 })
    }
    const broker = new MemoryBroker()
    const texts: string[] = []
    await plant(broker, texts)
    const online = await hub({ transport: memoryTransport(broker, 'heh-0001'), startTimeoutMs: 5_000 })
    await online.send('vpp-0001', { type: 'report', payload: 'c' }, { until: 'handled' })
    expect(texts).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'c'])
    expect(await online.drain()).toEqual({ unsent: 0, unhandled: 0 })
  })

  it('does not hold a receiver up with what expired while there was no broker', async () => {
    const broker = new MemoryBroker()
    const texts: string[] = []
    await plant(broker, texts)
    const soon = (): Date => new Date(Date.now() + 1_500)
    const offline = await hub({ brokers: NOWHERE })
    await offline.send('vpp-0001', { type: 'report', payload: 'short', expiresAt: soon() })
    await offline.send('vpp-0001', { type: 'report', payload: 'long' })
    await offline.close()
    await new Promise(resolve => setTimeout(resolve, 1_600))
    await hub({ transport: memoryTransport(broker, 'heh-0001') })
    await until(() => texts.length > 0)
    expect(texts).toEqual(['long'])
  })

  it('says that it started offline, and why', async () => {
    const told: string[] = []
    const logger = { debug: () => undefined, info: () => undefined, error: () => undefined }
    const warn = (_fields: object, name: string): void => void told.push(name)
    await hub({ brokers: NOWHERE, logger: { ...logger, warn } })
    expect(told).toContain('started-offline')
  })

  it('lets consume resolve without a broker', async () => {
    const offline = await hub({ brokers: NOWHERE, seen: 'memory' })
    await offline.consume(() => undefined)
    expect((await offline.send('vpp-0001', { type: 'report', payload: 'a' })).state).toBe('stored')
  })

  it('gives up connecting when its signal fires', async () => {
    const starting = hub({ brokers: NOWHERE, startTimeoutMs: 60_000, signal: AbortSignal.timeout(50) })
    await expect(starting).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('keeps sealed bytes alone: no payload and no type is in the folder', async () => {
    const offline = await hub({ brokers: NOWHERE })
    await offline.send('vpp-0001', { type: 'report', payload: 'a secret load profile' })
    await offline.close()
    const bytes = readFileSync(join(state, 'outbox', '0000000001.log'))
    expect(bytes.includes('vpp-0001')).toBe(true) // n.b. to whom is known to the broker too
    expect(bytes.includes('secret')).toBe(false)
  })

  it('wraps a bus of one’s own', async () => {
    const sent: string[] = []
    const own: BareBus = {
      send: to => {
        sent.push(to)
        return Promise.resolve()
      },
      consume: () => Promise.resolve(),
    }
    const bus = await secure(own, { identity: identity('heh-0001'), outbox: 'file', state })
    open.push(bus)
    expect((await bus.send('vpp-0001', { type: 'report', payload: 'a' })).state).toBe('stored')
    await until(() => sent.length === 1)
  })

  it('is paused with the reason when its disk has failed', async () => {
    const offline = await hub({ brokers: NOWHERE })
    rmSync(join(state, 'outbox'), { recursive: true })
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 20; i++) {
      const sent = offline.send('vpp-0001', { type: 'report', payload: 'x'.repeat(900_000) })
      sent.catch(() => undefined) // n.b. it may reject before anybody waits for it
      sends.push(sent)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    const failed = (await Promise.allSettled(sends)).filter(({ status }) => status === 'rejected')
    expect(failed.length).toBeGreaterThan(0) // n.b. the next file has no folder
    expect((failed[0] as { reason: SealbusError }).reason.code).toBe('store-failed')
    expect(offline.status()).toMatchObject({ state: 'paused', reason: { code: 'store-failed' } })
  })

  it('refuses to start over damage', async () => {
    const offline = await hub({ brokers: NOWHERE })
    for (const payload of ['a', 'b']) await offline.send('vpp-0001', { type: 'report', payload })
    await offline.close()
    const file = join(state, 'outbox', '0000000001.log')
    const bytes = readFileSync(file)
    bytes[100] = (bytes[100] ?? 0) ^ 1
    writeFileSync(file, bytes)
    await expect(hub({ brokers: NOWHERE })).rejects.toMatchObject({ code: 'corrupt-store' })
  })
})

describe('the choice of an outbox', () => {
  const withConfig = (change: object): string => {
    const copy = mkdtempSync(join(dir, 'identity-'))
    const from = identity('heh-0001')
    const files = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')) as object
    cpSync(from, copy, { recursive: true })
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...files, ...change }))
    return copy
  }

  it('may stand in config.json', async () => {
    const bus = await connect({
      identity: withConfig({ outbox: 'file', state: 'state' }),
      ...{ brokers: NOWHERE, startTimeoutMs: 0 },
    })
    open.push(bus)
    expect((await bus.send('vpp-0001', { type: 'report', payload: 'a' })).state).toBe('stored')
  })

  it('of a file needs a state folder, in config.json and in options', async () => {
    const config = readFileSync(join(identity('heh-0001'), 'config.json'), 'utf8')
    const rest = { ...(JSON.parse(config) as object), state: undefined }
    const stateless = withConfig({})
    writeFileSync(join(stateless, 'config.json'), JSON.stringify({ ...rest, seen: 'memory' }))
    const starting = connect({ identity: stateless, outbox: 'file', brokers: NOWHERE })
    await expect(starting).rejects.toMatchObject({ code: 'configuration' })
    writeFileSync(join(stateless, 'config.json'), JSON.stringify({ ...rest, seen: 'memory', outbox: 'file' }))
    await expect(connect({ identity: stateless, brokers: NOWHERE })).rejects.toMatchObject({
      code: 'configuration',
    })
  })

  it('has limits that are obeyed, in range, and refused where nothing obeys them', async () => {
    const bus = await hub({ brokers: NOWHERE, outboxLimits: { records: 1, whenFull: 'reject' } })
    await bus.send('vpp-0001', { type: 'report', payload: 'a' })
    const second = bus.send('vpp-0001', { type: 'report', payload: 'b' })
    await expect(second).rejects.toMatchObject({ code: 'buffer-full' })
    await bus.close()
    await expect(hub({ outboxLimits: { bytes: 1 } })).rejects.toThrow(RangeError)
    const unused = hub({ outbox: 'memory', outboxLimits: { records: 1 } })
    await expect(unused).rejects.toMatchObject({ code: 'configuration' })
    await expect(hub({ outbox: 'tape' as 'file' })).rejects.toThrow(RangeError)
  })

  it('of memory refuses to promise what it cannot keep', async () => {
    const bus = await connect({
      identity: identity('heh-0001'),
      ...{ transport: memoryTransport(new MemoryBroker(), 'heh-0001'), seen: 'memory' },
    })
    open.push(bus)
    const sending = bus.send('vpp-0001', { type: 'report', payload: 'a' }, { until: 'stored' })
    await expect(sending).rejects.toMatchObject({ code: 'configuration' })
  })
})
