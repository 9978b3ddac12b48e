/** What a secured bus does for its identity while it runs: real folders, the broker in the process. */

import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { initPki, type Pki, provision, revoke } from '../../pki/index.js'
import type { Bus } from '../../src/bus.js'
import type { CoreBus } from '../../src/bus-parts.js'
import { encodeCard, parseCard } from '../../src/crypto/card.js'
import { signP256 } from '../../src/crypto/ecdsa.js'
import { connect, MemoryBroker, memoryTransport } from '../../src/index.js'

const DAY = 24 * 3_600_000
let dir = ''
let pki: Pki
const open: Bus[] = []

async function domainSince(madeAtMs: number): Promise<void> {
  let nowMs: number | undefined = madeAtMs
  const options = { dir, domain: 'field', passphrase: 'for tests only', now: () => nowMs ?? Date.now() }
  pki = (await initPki(options)).pki
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
  nowMs = undefined
}

const file = (...names: string[]): string => join(pki.layout.devices, 'vpp-0001', ...names)

async function start(broker: MemoryBroker = new MemoryBroker()): Promise<Bus> {
  const transport = memoryTransport(broker, 'vpp-0001')
  const state = join(dir, 'state')
  const bus = await connect({ identity: file(), transport, state, reloadMs: 1_000 })
  open.push(bus)
  return bus
}

const next = (bus: Bus, event: string): Promise<Record<string, unknown>> =>
  new Promise(resolve => void bus.on(event, found => resolve(found as Record<string, unknown>)))

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sealbus-upkeep-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(bus => bus.close()))
  rmSync(dir, { recursive: true, force: true })
})

describe('a secured bus whose own folder is broken', () => {
  it('shuts a revoked device out all the same', async () => {
    await domainSince(Date.now())
    const bus = await start()
    writeFileSync(file('identity.key'), 'half a fi')
    await revoke(pki, ['heh-0001'])
    const { reason } = await next(bus, 'reload-failed')
    expect(reason).toMatch(/identity\.key/)
    await expect(bus.send('heh-0001', { type: 'activate', payload: {} })).rejects.toThrow(/revoked/)
  })

  it('renews its card where only the policy is broken', async () => {
    await domainSince(Date.now() - 16 * DAY)
    const bus = await start()
    writeFileSync(file('policy.json'), 'half a fi')
    const { keyId } = await next(bus, 'card-renewed')
    expect(readdirSync(file('sealing'))).toContain(`${String(keyId)}.key`)
  })

  it('makes no new keys and cards that it could not take', async () => {
    await domainSince(Date.now() - 16 * DAY)
    const bus = await start()
    writeFileSync(file('identity.crt'), 'half a fi')
    const before = readdirSync(file('sealing'))
    await next(bus, 'reload-failed')
    await next(bus, 'reload-failed')
    expect(readdirSync(file('sealing')).filter(name => !name.startsWith('.'))).toEqual(before)
  })
})

describe('a revocation list', () => {
  /** Who can put the list back can put the card back. */
  const FILES = [['revoked.cbor'], ['cards', 'heh-0001.cbor']]
  const backup = (): Buffer[] => FILES.map(names => readFileSync(file(...names)))
  const restore = (contents: readonly Buffer[]): void => {
    for (const [i, content] of contents.entries()) writeFileSync(file(...(FILES[i] ?? [])), content)
  }
  const refused = async (bus: Bus): Promise<void> =>
    expect(bus.send('heh-0001', { type: 'activate', payload: {} })).rejects.toThrow(/revoked/)

  it('that was taken at the start is not rolled back by an old file and a restart', async () => {
    await domainSince(Date.now())
    const old = backup()
    await revoke(pki, ['heh-0001'])
    await (await start()).close()
    restore(old)
    await refused(await start())
  })

  it('that was taken while the bus ran is not rolled back by an old file and a restart', async () => {
    await domainSince(Date.now())
    const old = backup()
    const bus = await start()
    await revoke(pki, ['heh-0001'])
    await new Promise(resolve => setTimeout(resolve, 1_500))
    await refused(bus)
    await bus.close()
    restore(old)
    await refused(await start())
  })

  it('that was kept and then damaged is told, and the one of the folder counts', async () => {
    await domainSince(Date.now())
    const [, card = Buffer.alloc(0)] = backup()
    await (await start()).close()
    writeFileSync(join(dir, 'state', 'revoked.cbor'), 'half a li')
    await revoke(pki, ['heh-0001'])
    writeFileSync(file('cards', 'heh-0001.cbor'), card)
    const bus = await start()
    await refused(bus)
    await bus.close()
    expect(readFileSync(join(dir, 'state', 'revoked.cbor'))).toEqual(readFileSync(file('revoked.cbor')))
  })
})

describe('a card that comes as a message', () => {
  it('raises an alarm where another one with the same counter is known', async () => {
    await domainSince(Date.now())
    const broker = new MemoryBroker()
    const vpp = await start(broker)
    await vpp.consume(() => undefined)
    const identity = join(pki.layout.devices, 'heh-0001')
    const transport = memoryTransport(broker, 'heh-0001')
    const hub = (await connect({ identity, transport, seen: 'memory' })) as CoreBus
    open.push(hub)
    const card = parseCard(new Uint8Array(readFileSync(join(identity, 'card.cbor'))))
    const key = createPrivateKey(readFileSync(join(identity, 'identity.key')))
    const other = encodeCard({ ...card, lifetimeSeconds: 60 }, card.chain, data => signP256(key, data))
    const told = next(vpp, 'card')
    hub.sendSystem({ domain: 'field', address: 'vpp-0001' }, 'sealbus/card', other, 60)
    expect(await told).toMatchObject({ outcome: 'conflict', alarm: true, from: { address: 'heh-0001' } })
  })
})
