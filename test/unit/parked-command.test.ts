/** `sealbus parked` on a wrapped bus, whose parking is the state folder: a real domain, real keys, no broker. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { main } from '../../cli/main.js'
import type { ItemFacts } from '../../cli/parked-facts.js'
import { initPki, provision } from '../../pki/index.js'
import type { Bus, Delivery } from '../../src/bus.js'
import { MemoryBroker, memoryTransport, plainBus, secure } from '../../src/index.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 }) // key derivation takes its time on a busy machine

const root = mkdtempSync(join(tmpdir(), 'sealbus-parked-'))
const open: Bus[] = []
let runs = 0
let state = ''

beforeAll(async () => {
  const { pki } = await initPki({ dir: join(root, 'D'), domain: 'field', passphrase: 'for tests only' })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(bus => bus.close()))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const identity = (name: string): string => join(root, 'D', 'devices', name)

interface Ran {
  code: number
  out: string
  err: string
}

/** Runs `sealbus parked … --local` for vpp-0001 and catches what it writes. */
async function parked(...argv: string[]): Promise<Ran> {
  const ran = { code: 0, out: '', err: '' }
  const catchInto = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
    ran[stream] += String(text)
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(catchInto('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(catchInto('err')),
  ]
  const place = ['--identity', identity('vpp-0001'), '--state', state, '--local']
  try {
    ran.code = await main(['parked', ...argv, ...place])
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return ran
}

async function listed(): Promise<ItemFacts[]> {
  return JSON.parse((await parked('list', '--json')).out) as ItemFacts[]
}

interface World {
  readonly hub: Bus
  readonly handled: string[]
  /** What the handler refuses. */
  readonly bad: Set<string>
  /** Starts the VPP's process; it uses the same folders each time. */
  start(): Promise<Bus>
}

/** A hub, and a VPP whose handler refuses what it is told to. */
async function world(): Promise<World> {
  runs += 1
  state = join(root, `state-${runs}`)
  const broker = new MemoryBroker()
  const wrapped = async (name: string, folder: string): Promise<Bus> => {
    const plain = await plainBus({ transport: memoryTransport(broker, name) })
    const bus = await secure(plain, { identity: identity(name), state: folder })
    open.push(bus)
    return bus
  }
  const handled: string[] = []
  const bad = new Set<string>()
  const start = async (): Promise<Bus> => {
    const bus = await wrapped('vpp-0001', state)
    await bus.consume(
      (message: Delivery) => {
        if (bad.has(message.text())) throw new Error('refused by the test')
        handled.push(message.text())
      },
      { retries: 0 },
    )
    return bus
  }
  return { hub: await wrapped('heh-0001', join(root, `hub-${runs}`)), handled, bad, start }
}

/** A world in which one report was parked, and its id. */
async function worldWithOne(payload = 'bad'): Promise<World & { bus: Bus; id: string }> {
  const made = await world()
  const bus = await made.start()
  made.bad.add(payload)
  await made.hub.send('vpp-0001', { type: 'report', payload })
  await vi.waitUntil(async () => (await listed()).length === 1, { timeout: 10_000, interval: 100 })
  const [facts] = await listed()
  return { ...made, bus, id: facts?.id ?? '' }
}

describe('sealbus parked', () => {
  it('lists what is parked: since when, why, of whom, what; and nothing of its contents', async () => {
    const { id } = await worldWithOne('secret payload')
    const { code, out } = await parked('list')
    expect(code).toBe(0)
    expect(out).toMatch(/^ID +PARKED AT +REASON +FROM +MESSAGES +BYTES +COPIES$/m)
    expect(out).toMatch(
      new RegExp(`^${id}  20[-0-9]+T[:0-9]+Z  failed +field/heh-0001 +1 report +\\d+ +1$`, 'm'),
    )
    expect(out).not.toContain('secret')
    const [facts] = await listed()
    expect(facts).toMatchObject({ reasons: ['failed'], from: 'field/heh-0001', where: 'state folder' })
    expect(facts?.messages).toMatchObject([{ type: 'report', expired: false, payloadBytes: 14 }])
  })

  it('shows one by the beginning of its id or message id, its contents only where they are asked for', async () => {
    const { id } = await worldWithOne('secret payload')
    const messageId = (await listed())[0]?.messageId ?? ''
    const plain = await parked('show', id.slice(0, 6))
    expect(plain.out).toMatch(/^reason +failed$/m)
    expect(plain.out).not.toContain('secret')
    expect((await parked('show', messageId, '--payload')).out).toMatch(/\nsecret payload\n$/)
    const { messages } = JSON.parse((await parked('show', id, '--payload', '--json')).out) as ItemFacts
    expect(messages).toMatchObject([{ payload: 'secret payload', payloadEncoding: 'utf-8' }])
  })

  it('shows binary, and what could steer a terminal, as hex', async () => {
    const { id } = await worldWithOne('\u001b[2J')
    expect((await parked('show', id, '--payload')).out).toMatch(/\n {2}hex 1b5b324a\n$/)
  })

  it('replays into the process that runs: handled once, and never again', async () => {
    const { id, bad, handled } = await worldWithOne()
    await parked('export', id, '--out', join(root, 'kept'))
    bad.clear()
    expect(await parked('replay', id)).toMatchObject({ code: 0, out: `${id}: number 0: handled\n` })
    expect(handled).toEqual(['bad'])
    expect(await listed()).toEqual([])
    expect(readdirSync(join(state, 'replay'))).toEqual([])
    // somebody puts the same bytes back
    writeFileSync(
      join(state, 'parked', `${'0'.repeat(32)}.sealed`),
      readFileSync(join(root, 'kept', `${id}.sealed`)),
    )
    expect(await parked('replay', id)).toMatchObject({
      code: 1,
      out: `${id}: number 0: was handled already; nothing was done\n`,
    })
    expect(handled).toEqual(['bad'])
  })

  it('replays into the next process, where none runs', async () => {
    const made = await worldWithOne()
    const { id, bad, handled, bus } = made
    await bus.close()
    bad.clear()
    const { code, out } = await parked('replay', id, '--wait', '0')
    expect([code, out]).toEqual([0, expect.stringMatching(/waits in .*replay; the process that uses this/)])
    expect(statSync(join(state, 'replay', `${id}.sealed`)).mode & 0o777).toBe(0o600)
    expect([handled, await listed()]).toEqual([[], []])
    await made.start()
    await vi.waitUntil(() => handled.length === 1, { timeout: 10_000 })
    expect(handled).toEqual(['bad'])
  })

  it('parks again what fails again, and says so', async () => {
    const { id } = await worldWithOne()
    expect(await parked('replay', id)).toMatchObject({
      code: 1,
      out: `${id}: number 0: the handler failed again; it is parked again\n`,
    })
    expect(await listed()).toMatchObject([{ id, reasons: ['failed'] }])
  })

  it('replays nothing that does not open, and leaves it where it is', async () => {
    await worldWithOne()
    writeFileSync(join(state, 'parked', `${'1'.repeat(32)}.sealed`), Buffer.alloc(300, 1))
    const garbage = (await listed()).find(({ from }) => from === null)
    expect(garbage).toMatchObject({ notOpened: expect.stringContaining('unknown-key') as string })
    const { code, err } = await parked('replay', garbage?.id ?? '')
    expect([code, err]).toEqual([1, expect.stringMatching(/not replayed, it stays parked: it does not open/)])
    expect(await listed()).toHaveLength(2)
  })

  it('deletes exactly the chosen one', async () => {
    const { hub, bad, id } = await worldWithOne()
    bad.add('worse')
    await hub.send('vpp-0001', { type: 'report', payload: 'worse' })
    await vi.waitUntil(async () => (await listed()).length === 2, { timeout: 10_000, interval: 100 })
    expect(await parked('delete', id)).toMatchObject({ code: 0, out: `${id}: deleted\n` })
    expect(await listed()).toMatchObject([{ messages: [{ payloadBytes: 5 }] }])
  })

  it('exports the sealed bytes and what is known of them; they stay parked', async () => {
    const { id } = await worldWithOne('secret payload')
    const out = join(root, 'exported')
    expect(await parked('export', '--all', '--out', out)).toMatchObject({ code: 0 })
    expect(readdirSync(out).sort()).toEqual([`${id}.json`, `${id}.sealed`])
    const body = readFileSync(join(out, `${id}.sealed`))
    const [kept = ''] = readdirSync(join(state, 'parked'))
    expect(body.equals(readFileSync(join(state, 'parked', kept)))).toBe(true)
    expect(readFileSync(join(out, `${id}.json`), 'utf8')).not.toContain('secret')
    expect(await listed()).toHaveLength(1)
  })

  it.each([
    [['conjure'], /no command "conjure"/],
    [['show'], /show: expected an id, got 0/],
    [['list', 'abcd'], /list: expected no id, got 1/],
    [['show', 'zzzz'], /expected an id of at least 4 hex digits/],
    [['export', '--out', 'x'], /either ids or --all/],
    [['export', '--all'], /--out DIR: expected/],
    [['replay', 'abcd', '--wait', 'long'], /--wait: expected a whole number/],
  ])('%j is called wrongly: exit code 2 with the usage', async (argv, sentence) => {
    const { code, err } = await parked(...argv)
    expect(code).toBe(2)
    expect(err).toMatch(sentence)
    expect(err).toContain('usage: sealbus parked COMMAND')
  })

  it('says that there is nothing of an id, and which ones a beginning may mean', async () => {
    await worldWithOne()
    expect(await parked('show', 'ffff0000ffff0000')).toMatchObject({
      code: 1,
      err: expect.stringContaining('expected one parked item, found nothing') as string,
    })
  })
})
