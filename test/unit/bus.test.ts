/** The whole stack over the in-process broker: real keys, real certificates, real files; only the broker is ours. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { initPki, provision } from '../../pki/index.js'
import type { Bus, Delivery, SendOptions } from '../../src/bus.js'
import { connect, isSealbusError, MemoryBroker, memoryTransport, plainBus, secure } from '../../src/index.js'

const dir = mkdtempSync(join(tmpdir(), 'sealbus-bus-'))
const open: Bus[] = []

beforeAll(async () => {
  const { pki } = await initPki({ dir, domain: 'field', passphrase: 'for tests only' })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
    { name: 'heh-0002', role: 'heh' },
  ])
}, 30_000)
afterEach(async () => {
  await Promise.all(open.splice(0).map(bus => bus.close()))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const identity = (name: string): string => join(dir, 'devices', name)

async function joinBus(broker: MemoryBroker, name: string): Promise<Bus> {
  const bus = await connect({
    identity: identity(name),
    transport: memoryTransport(broker, name),
    seen: 'memory',
  })
  open.push(bus)
  return bus
}

/** Collects what arrives; `count` resolves when so many have. */
function inbox(): { handler: (message: Delivery) => void; texts: string[]; count(n: number): Promise<void> } {
  const texts: string[] = []
  const waiting: { n: number; resolve: () => void }[] = []
  return {
    texts,
    handler: message => {
      texts.push(message.text())
      for (const { n, resolve } of waiting) if (texts.length >= n) resolve()
    },
    count: n => new Promise(resolve => (texts.length >= n ? resolve() : waiting.push({ n, resolve }))),
  }
}

describe('a secured bus', () => {
  it('delivers a message to its recipient with the authenticated sender', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    const got = new Promise<Delivery>(resolve => void vpp.consume(resolve))
    const { state, seq } = await hub.send('vpp-0001', {
      type: 'report',
      payload: { load: 1.5 },
      headers: { unit: 'kW' },
    })
    const message = await got
    expect({ state, seq }).toEqual({ state: 'confirmed', seq: 0 })
    expect(message.json()).toEqual({ load: 1.5 })
    expect(message.headers).toEqual({ unit: 'kW' })
    expect(message.from).toMatchObject({ domain: 'field', address: 'heh-0001', role: 'heh' })
    expect(message.from?.fingerprint).toMatch(/^[0-9a-f]{64}$/)
  })

  it('shows the broker no plaintext', async () => {
    const broker = new MemoryBroker()
    const seen: Uint8Array[] = []
    broker.observe(({ body }) => seen.push(body))
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    const box = inbox()
    await vpp.consume(box.handler)
    await hub.send('vpp-0001', { type: 'report', payload: 'a secret load profile' })
    await box.count(1)
    expect(seen.length).toBeGreaterThan(0)
    expect(
      seen.some(body => Buffer.from(body).includes('secret load') || Buffer.from(body).includes('report')),
    ).toBe(false)
  })

  it('answers a request with the reply of the party that was asked', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    await hub.consume(message => message.reply({ type: 'report', payload: { asked: message.type } }))
    const reply = await vpp.request('heh-0001', { type: 'get_report', payload: {} }, { timeoutMs: 5_000 })
    expect(reply.json()).toEqual({ asked: 'get_report' })
    expect(reply.from?.address).toBe('heh-0001')
  })

  it('keeps the order and handles once while connections are cut', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    const box = inbox()
    await vpp.consume(box.handler)
    const sends: Promise<unknown>[] = []
    for (let i = 0; i < 500; i++) {
      sends.push(hub.send('vpp-0001', { type: 'report', payload: String(i) }))
      if (i % 50 === 0) {
        await new Promise(resolve => setTimeout(resolve, 3))
        broker.killConnections()
      }
    }
    await Promise.all(sends)
    await box.count(500)
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(box.texts).toEqual(Array.from({ length: 500 }, (_, i) => String(i)))
  })

  it('resolves at handled once the recipient has signed a receipt', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    let handled = false
    await vpp.consume(async () => {
      await new Promise(resolve => setTimeout(resolve, 50))
      handled = true
    })
    const { state } = await hub.send('vpp-0001', { type: 'report', payload: {} }, { until: 'handled' })
    expect({ state, handled }).toEqual({ state: 'handled', handled: true })
  })

  it('refuses a type that the policy does not allow, at once', async () => {
    const broker = new MemoryBroker()
    const hub = await joinBus(broker, 'heh-0001')
    await expect(hub.send('vpp-0001', { type: 'activate', payload: {} })).rejects.toMatchObject({
      code: 'not-permitted',
    })
  })

  it('lets only a request be answered with what the policy does not name', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    const answers: unknown[] = []
    await hub.consume(async message => {
      const answer = message.reply({ type: 'not/in-the-policy', payload: {} })
      answers.push(
        await answer.then(
          () => 'sent',
          (error: unknown) => isSealbusError(error) && error.code,
        ),
      )
    })
    const reply = await vpp.request('heh-0001', { type: 'get_report', payload: {} }, { timeoutMs: 5_000 })
    expect(reply.type).toBe('not/in-the-policy')
    await vpp.send('heh-0001', { type: 'get_report', payload: {} }, { until: 'handled' })
    expect(answers).toEqual(['sent', 'not-permitted'])
  })

  it.each([
    { priority: 'high', message: /priority: expected command, report, backfill, got "high"/ },
    { until: 'handld', message: /until: expected stored, confirmed, handled, got "handld"/ },
  ])('refuses an unknown word in the options: $message', async ({ message, ...options }) => {
    const hub = await joinBus(new MemoryBroker(), 'heh-0001')
    await expect(
      hub.send('vpp-0001', { type: 'report', payload: {} }, options as SendOptions),
    ).rejects.toThrow(message)
  })

  it('says paused, and why, where the revocation list is too old', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealbus-stale-'))
    try {
      const past = Date.now() - 40 * 24 * 3_600_000
      const { pki } = await initPki({
        dir: folder,
        domain: 'field',
        passphrase: 'for tests only',
        now: () => past,
      })
      await provision(pki, [{ name: 'vpp-0001', role: 'vpp' }])
      const transport = memoryTransport(new MemoryBroker(), 'vpp-0001')
      const bus = await connect({ identity: join(folder, 'devices', 'vpp-0001'), transport, seen: 'memory' })
      open.push(bus)
      expect(bus.status()).toMatchObject({ state: 'paused', reason: { code: 'revocation-stale' } })
    } finally {
      await Promise.all(open.splice(0).map(bus => bus.close()))
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('refuses an unknown recipient, at once', async () => {
    const broker = new MemoryBroker()
    const hub = await joinBus(broker, 'heh-0001')
    await expect(hub.send('nobody', { type: 'report', payload: {} })).rejects.toMatchObject({
      code: 'unknown-recipient',
    })
  })

  it('parks garbage and plaintext, and goes on', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    const box = inbox()
    const reasons: unknown[] = []
    vpp.on('not-opened', event => reasons.push((event as { reason: string }).reason))
    await vpp.consume(box.handler)
    for (const body of [new Uint8Array(), Buffer.from('{"msg":"report"}'), Buffer.alloc(300, 1)]) {
      broker.publish(
        { exchange: 'inbox', to: 'vpp-0001', from: 'heh-0001', messageId: 'x', body },
        () => undefined,
      )
    }
    await hub.send('vpp-0001', { type: 'report', payload: 'genuine' })
    await box.count(1)
    expect(box.texts).toEqual(['genuine'])
    expect(reasons.length).toBe(3)
    expect(broker.parked('vpp-0001').length).toBe(3)
  })

  it('drains: what is under way is finished, what comes after is refused', async () => {
    const broker = new MemoryBroker()
    const [vpp, hub] = [await joinBus(broker, 'vpp-0001'), await joinBus(broker, 'heh-0001')]
    await vpp.consume(() => undefined)
    const sent = hub.send('vpp-0001', { type: 'report', payload: {} })
    expect(await hub.drain()).toEqual({ unsent: 0, unhandled: 0 })
    await expect(sent).resolves.toMatchObject({ state: 'confirmed' })
    await expect(hub.send('vpp-0001', { type: 'report', payload: {} })).rejects.toMatchObject({
      code: 'closed',
    })
    expect(await hub.closed).toBeUndefined()
  })
})

describe('secure', () => {
  it('wraps a bus that is not ours', async () => {
    const handlers = new Map<string, (message: { payload: Uint8Array }) => Promise<void>>()
    const foreign = (address: string) => ({
      send: async (to: string, message: { type: string; payload: Uint8Array }) => {
        await Promise.resolve()
        void handlers.get(to)?.(message)
      },
      consume: async (handler: (message: { payload: Uint8Array }) => Promise<void>) => {
        await Promise.resolve()
        handlers.set(address, handler)
      },
    })
    const state = (name: string): string => join(dir, `state-${name}`)
    const vpp = await secure(foreign('vpp-0001'), { identity: identity('vpp-0001'), state: state('vpp') })
    const hub = await secure(foreign('heh-0001'), { identity: identity('heh-0001'), state: state('heh') })
    open.push(vpp, hub)
    const box = inbox()
    await vpp.consume(box.handler)
    await hub.send('vpp-0001', { type: 'report', payload: 'over a foreign bus' })
    await box.count(1)
    expect(box.texts).toEqual(['over a foreign bus'])
  })

  it('wraps a plain bus of ours', async () => {
    const broker = new MemoryBroker()
    const plain = async (name: string): Promise<Bus> => plainBus({ transport: memoryTransport(broker, name) })
    const vpp = await secure(await plain('vpp-0001'), {
      identity: identity('vpp-0001'),
      state: join(dir, 'state-p1'),
    })
    const hub = await secure(await plain('heh-0001'), {
      identity: identity('heh-0001'),
      state: join(dir, 'state-p2'),
    })
    open.push(vpp, hub)
    const got = new Promise<Delivery>(resolve => void vpp.consume(resolve))
    await hub.send('vpp-0001', { type: 'report', payload: 'twice wrapped' })
    expect((await got).text()).toBe('twice wrapped')
  })
})

describe('the plain bus', () => {
  it('delivers without an authenticated sender', async () => {
    const broker = new MemoryBroker()
    const a = await plainBus({ transport: memoryTransport(broker, 'a') })
    const b = await plainBus({ transport: memoryTransport(broker, 'b') })
    open.push(a, b)
    const got = new Promise<Delivery>(resolve => void b.consume(resolve))
    await a.send('b', { type: 'report', payload: 'open to all' })
    const message = await got
    expect(message.text()).toBe('open to all')
    expect(message.from).toBeUndefined()
  })
})

describe('the life of a card', () => {
  it('is told to peers by the process that renewed it, and they seal to the new key', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealbus-cards-'))
    try {
      const past = Date.now() - 16 * 24 * 3_600_000
      const { pki } = await initPki({
        dir: folder,
        domain: 'field',
        passphrase: 'for tests only',
        now: () => past,
      })
      await provision(pki, [
        { name: 'vpp-0001', role: 'vpp' },
        { name: 'heh-0001', role: 'heh' },
      ])
      const broker = new MemoryBroker()
      const start = async (name: string): Promise<Bus> => {
        const transport = memoryTransport(broker, name)
        const bus = await connect({
          identity: join(folder, 'devices', name),
          transport,
          seen: 'memory',
          reloadMs: 1_000,
        })
        open.push(bus)
        return bus
      }
      const [vpp, hub] = [await start('vpp-0001'), await start('heh-0001')]
      const events: string[] = []
      vpp.on('*', event => events.push((event as { event: string }).event))
      const box = inbox()
      await vpp.consume(box.handler)
      await hub.consume(() => undefined)
      const renewed = new Promise(resolve => vpp.on('card-renewed', resolve))
      const { keyId } = (await renewed) as { keyId: string }
      await new Promise(resolve => setTimeout(resolve, 200))
      const headers: string[] = []
      broker.observe(({ to, body }) => {
        if (to === 'vpp-0001') headers.push(Buffer.from(body.subarray(2, 10)).toString('hex'))
      })
      await hub.send('vpp-0001', { type: 'report', payload: 'to the new key' })
      await box.count(1)
      expect(headers).toContain(keyId)
      expect(events).not.toContain('not-opened')
    } finally {
      await Promise.all(open.splice(0).map(bus => bus.close()))
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
