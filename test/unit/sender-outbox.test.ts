/** The sending half over the outbox on disk: what outlives it, in which order it goes, and what happens when it is full. */
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FileOutboxOptions } from '../../src/reliability/file-outbox.js'
import { type Folder, makeFolder } from './outbox-fixture.js'
import { fakeSealer, hub, other, type Rig, rig, type Sealed, wire } from './sending-fixture.js'

let folder: Folder
const lives: Rig[] = []
beforeEach(() => {
  folder = makeFolder()
})
afterEach(async () => {
  await Promise.all(lives.splice(0).map(({ sender }) => sender.close()))
  folder.remove()
})

/** One life of a sending half; it finds no broker unless it is told. */
async function live(
  options: Partial<FileOutboxOptions> & { online?: boolean; sealer?: Rig['sealer'] } = {},
): Promise<Rig> {
  const { online = false, sealer, ...rest } = options
  const it = rig({ outbox: folder.open({ now: () => Date.now(), ...rest }), ...(sealer && { sealer }) })
  lives.push(it)
  it.transport.script = flight => flight.answer('confirmed')
  if (!online) it.transport.become('connecting')
  await it.sender.start()
  return it
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 500) throw new Error('waited 5 s in vain')
    await sleep(10)
  }
}

const sent = ({ transport }: Rig): Sealed[] => transport.flights.map(({ sealed }) => sealed)
const texts = (life: Rig): string[] => sent(life).flatMap(sealed => sealed.texts)
const names = (count: number, prefix = ''): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

describe('what is stored', () => {
  it('goes in the next life, before anything new: each life after the one before, which its envelopes name', async () => {
    for (const life of ['a', 'b']) {
      const { sender } = await live()
      for (const name of names(3, life)) await sender.send(hub, wire(name))
      expect(await sender.close()).toBe(life === 'a' ? 3 : 6)
    }
    const third = await live()
    const last = third.sender.send(hub, wire('c'), { until: 'confirmed' })
    third.transport.become('ready')
    await last
    expect(texts(third)).toEqual([...names(3, 'a'), ...names(3, 'b'), 'c'])
    const [a, , , b, , , c] = sent(third)
    expect(b?.predecessor).toEqual({ epoch: a?.epoch, lastSeq: 2 })
    expect(c?.predecessor).toEqual({ epoch: b?.epoch, lastSeq: 2 })
    expect(new Set([a?.epoch, b?.epoch, c?.epoch]).size).toBe(3)
    expect(third.outbox.usage()).toEqual({ records: 0, bytes: 0 })
  })

  it('of the life before the last goes first even when nothing of the last is left', async () => {
    const first = await live()
    await first.sender.send(hub, wire('a'))
    await first.sender.close()
    const second = await live()
    await second.sender.send(hub, wire('b', { ttlSeconds: 1 }))
    await second.sender.close()
    await sleep(1_100)
    const third = await live()
    third.transport.script = undefined
    await third.sender.send(hub, wire('c'))
    third.transport.become('ready')
    await until(() => third.transport.flights.length > 0)
    await sleep(50)
    expect(texts(third)).toEqual(['a'])
    expect(third.events.map(({ event }) => event)).toContain('expired')
  })

  it('is named by the next life even when all of it was confirmed', async () => {
    const first = await live({ online: true })
    const { epoch } = await first.sender.send(hub, wire('a'))
    await until(() => first.outbox.usage().records === 0)
    await first.sender.close()
    const second = await live({ online: true })
    await second.sender.send(hub, wire('b'), { until: 'confirmed' })
    expect(sent(second)[0]?.predecessor).toEqual({ epoch, lastSeq: 0 })
  })

  it('lies on disk alone: a backlog is charged to no memory, and read again in order', async () => {
    const { sender, transport, outbox } = await live()
    for (let n = 0; n < 300; n += 5)
      await Promise.all(names(5).map(i => sender.send(hub, wire(`${n + Number(i)}`))))
    expect(outbox.usage().records).toBeGreaterThan(50)
    expect(sender.usage().messages).toBe(0)
    transport.become('ready')
    await sender.drain()
    const all = transport.flights.flatMap(({ sealed }) => sealed.texts)
    expect(all).toEqual(names(300))
  })

  it('lets commands pass a backlog of reports', async () => {
    const life = await live()
    for (const name of names(60)) await life.sender.send(hub, wire(name), { priority: 'backfill' })
    life.transport.script = undefined
    life.transport.become('ready')
    await until(() => life.transport.flights.length > 0)
    await life.sender.send(hub, wire('now'), { priority: 'command' })
    await until(() => texts(life).includes('now'))
    expect(texts(life)).toEqual(['0', '1', 'now'])
  })

  it('resolves a send that waits for the confirm too, wherever its bytes lay meanwhile', async () => {
    const life = await live()
    const sends: ReturnType<Rig['sender']['send']>[] = []
    for (const name of names(20)) {
      sends.push(life.sender.send(hub, wire(name), { until: 'confirmed' }))
      await until(() => life.outbox.usage().records === sends.length) // each in an envelope of its own
    }
    life.transport.become('ready')
    expect((await Promise.all(sends)).map(({ state, seq }) => `${state} ${seq}`)).toEqual(
      names(20).map(i => `confirmed ${i}`),
    )
  })

  it('shows no plaintext: only what was sealed is in the folder', async () => {
    const sealer = fakeSealer()
    const { seal } = sealer
    sealer.seal = request => ({ ...seal(request), body: new Uint8Array(200).fill(7) })
    const life = await live({ sealer })
    await life.sender.send(hub, wire('a secret load profile'))
    await life.sender.close()
    const bytes = Buffer.concat(
      readdirSync(folder.directory).map(name => readFileSync(join(folder.directory, name))),
    )
    expect(bytes.includes(Buffer.alloc(200, 7))).toBe(true)
    expect(bytes.includes('secret')).toBe(false)
  })

  it('is sent again, the same bytes under the same numbers, from an older copy of the folder; a new life takes none of them', async () => {
    const first = await live({ online: true })
    first.transport.script = undefined
    for (const name of names(2)) await first.sender.send(hub, wire(name))
    const copy = `${folder.directory}-copy`
    cpSync(folder.directory, copy, { recursive: true })
    const copies = ({ transport }: Rig): string[] =>
      transport.flights.map(
        ({ publication: { messageId, body } }) => messageId + Buffer.from(body).toString(),
      )
    const before = copies(first)
    for (const flight of first.transport.flights) flight.answer('confirmed')
    await until(() => first.outbox.usage().records === 0)
    const late = await first.sender.send(hub, wire('late'))
    await first.sender.close()
    rmSync(folder.directory, { recursive: true })
    cpSync(copy, folder.directory, { recursive: true })
    rmSync(copy, { recursive: true })
    rmSync(join(folder.directory, 'outbox.lock'), { force: true })
    const second = await live({ online: true })
    const fresh = await second.sender.send(hub, wire('new'), { until: 'confirmed' })
    expect(copies(second).slice(0, 2)).toEqual(before)
    expect(fresh.epoch).not.toBe(late.epoch)
  })

  it('until it is handled is kept until the receipt comes, in the next life too', async () => {
    const first = await live()
    const sending = first.sender.send(hub, wire('a'), { until: 'handled' })
    sending.catch(() => undefined)
    await until(() => first.outbox.usage().records === 1)
    await first.sender.close()
    await expect(sending).rejects.toMatchObject({ code: 'outcome-unknown' })
    const second = await live({ online: true })
    await until(() => second.sender.usage().awaitingReceipt === 1)
    expect(second.outbox.usage().records).toBe(1)
    const epoch = sent(second)[0]?.epoch ?? ''
    expect(second.sender.handled(other, { epoch, seq: 0, outcome: 'handled' })).toBe(false)
    expect(second.sender.handled(hub, { epoch, seq: 0, outcome: 'handled' })).toBe(true)
    expect(second.outbox.usage().records).toBe(0)
  })

  it('shares no envelope between messages that want a receipt and such that want none', async () => {
    const life = await live()
    life.transport.script = undefined
    for (const name of names(6)) void life.sender.send(hub, wire(name, { receiptWanted: Number(name) >= 4 }))
    await until(() => life.sender.usage().messages === 0)
    life.transport.script = flight => flight.answer('confirmed')
    life.transport.become('ready')
    await until(() => life.sender.usage().awaitingReceipt === 1)
    expect(sent(life).map(each => each.texts.join('+'))).toEqual(['0+1+2+3', '4+5'])
    expect(life.outbox.usage().records).toBe(1)
  })

  it('keeps receipts out: they are worth no fsync', async () => {
    const { sender, outbox, transport } = await live({ online: true })
    sender.sendSystem(hub, wire('receipt', { type: 'sealbus/receipts' }))
    await until(() => transport.flights.length === 1)
    expect(readFileSync(join(folder.directory, folder.files().at(-1) ?? '')).length).toBe(0)
    expect(outbox.usage().records).toBe(0)
  })
})

describe('what has expired in an outage', () => {
  it('is said first, so that nobody waits for its number', async () => {
    const life = await live()
    await life.sender.send(hub, wire('short', { ttlSeconds: 1 }))
    await life.sender.send(hub, wire('long'))
    await until(() => life.events.some(({ event }) => event === 'expired'))
    life.transport.become('ready')
    await life.sender.drain()
    expect(sent(life).map(({ texts: [text = ''], floor, seq }) => [text, seq, floor])).toEqual([
      ['', 2, 1],
      ['long', 1, 0],
    ])
  })

  it('is said by the next life where the process was down meanwhile, under the old epoch, and once', async () => {
    const first = await live()
    const { epoch } = await first.sender.send(hub, wire('short', { ttlSeconds: 1 }))
    await first.sender.close()
    await sleep(1_100)
    const second = await live({ online: true })
    await until(() => second.transport.flights.length === 1)
    expect(sent(second)).toMatchObject([{ epoch, seq: 1, floor: 1, texts: [] }])
    await second.sender.drain()
    const third = await live({ online: true })
    await sleep(50)
    expect(third.transport.flights).toEqual([])
  })

  it('is what is older than the bound too, though its message would live', async () => {
    const life = await live({ ageMs: 1_000 })
    await life.sender.send(hub, wire('old'))
    expect(life.outbox.usage().records).toBe(1)
    await until(() => life.outbox.usage().records === 0)
    expect(life.events.map(({ event }) => event)).toEqual(['expired'])
  })
})

describe('a full outbox', () => {
  it('lets a send wait for room, the more important first', async () => {
    const life = await live({ records: 2 })
    for (const name of names(2)) await life.sender.send(hub, wire(name))
    const order: string[] = []
    const waiting = (['report', 'command'] as const).map(async priority => {
      await life.sender.send(other, wire(priority), { priority })
      order.push(priority)
    })
    await sleep(50)
    expect(order).toEqual([])
    life.transport.become('ready')
    await Promise.all(waiting)
    expect(order).toEqual(['command', 'report'])
    await life.sender.drain()
    expect(texts(life)).toEqual(['0', '1', 'command', 'report'])
  })

  it('uses no number up for what it cannot keep', async () => {
    const life = await live({ records: 1, whenFull: 'reject' })
    await life.sender.send(hub, wire('a'))
    await expect(life.sender.send(hub, wire('b'))).rejects.toMatchObject({ code: 'buffer-full' })
    life.transport.become('ready')
    await until(() => life.outbox.usage().records === 0)
    expect(await life.sender.send(hub, wire('c'), { until: 'confirmed' })).toMatchObject({ seq: 1 })
    expect(texts(life)).toEqual(['a', 'c'])
  })

  it('refuses what is droppable instead of letting it wait', async () => {
    const life = await live({ records: 1 })
    await life.sender.send(hub, wire('a'))
    await expect(life.sender.send(hub, wire('b'), { droppable: true })).rejects.toMatchObject({
      code: 'buffer-full',
    })
  })

  it('drops the oldest that are droppable, with an event, and says their numbers are over', async () => {
    const life = await live({ records: 3, whenFull: 'drop' })
    await life.sender.send(hub, wire('keep'))
    for (const name of names(4, 'drop')) await life.sender.send(hub, wire(name), { droppable: true })
    const dropped = life.events.filter(({ event }) => event === 'dropped')
    expect(dropped.map(({ detail }) => (detail as { seq: number }).seq)).toEqual([1, 2])
    life.transport.become('ready')
    await life.sender.drain()
    expect(texts(life)).toEqual(['keep', 'drop2', 'drop3'])
    expect(sent(life).find(({ texts: [text] }) => text === undefined)?.floor).toBe(3)
  })

  it('drops nothing else: where nothing is droppable, a send waits', async () => {
    const life = await live({ records: 1, whenFull: 'drop' })
    await life.sender.send(hub, wire('a'))
    let stored = false
    const waiting = life.sender.send(hub, wire('b')).then(() => {
      stored = true
    })
    await sleep(50)
    expect(stored).toBe(false)
    life.transport.become('ready')
    await waiting
  })
})

describe('a disk that fails', () => {
  it('rejects what was being stored and whatever comes, and says so once; what is stored still goes', async () => {
    let broken = false
    const life = await live({
      openFile: async (...args) => {
        const file = await open(...args)
        const sync = file.datasync.bind(file)
        file.datasync = () => (broken ? Promise.reject(new Error('EIO: i/o error, fdatasync')) : sync())
        return file
      },
    })
    await life.sender.send(hub, wire('a'))
    broken = true
    const failed = { code: 'store-failed', retryable: false }
    await expect(life.sender.send(hub, wire('b'))).rejects.toMatchObject(failed)
    broken = false
    await expect(life.sender.send(hub, wire('c'))).rejects.toMatchObject(failed)
    expect(folder.events).toMatchObject([{ event: 'store-failed', detail: { alarm: true } }])
    life.transport.become('ready')
    await until(() => texts(life).includes('a'))
    await life.sender.close()
    const next = await live({ online: true })
    await next.sender.drain()
    expect(texts(next)[0]).toBe('a') // n.b. that it was confirmed could not be written down: a duplicate
  })
})

describe('a disk that is full', () => {
  it('rejects what did not fit, though half of it was written; what was stored is there afterwards', async () => {
    let left = Number.POSITIVE_INFINITY
    const life = await live({
      openFile: async (...args) => {
        const file = await open(...args)
        const write = file.write.bind(file) as (...given: unknown[]) => ReturnType<typeof file.write>
        file.write = ((bytes: Uint8Array, offset: number, length: number, at: number) => {
          if (left === 0) return Promise.reject(new Error('ENOSPC: no space left on device, write'))
          const fits = Math.min(length, left)
          left -= fits
          return write(bytes, offset, fits, at)
        }) as typeof file.write
        return file
      },
    })
    for (const name of names(3)) await life.sender.send(hub, wire(name))
    left = 100
    await expect(life.sender.send(hub, wire('too much'))).rejects.toThrow(/ENOSPC/)
    await life.sender.close()
    const next = await live({ online: true })
    await next.sender.send(hub, wire('after'), { until: 'confirmed' })
    expect(texts(next)).toEqual([...names(3), 'after'])
    expect(folder.events.map(({ event }) => event)).toEqual(['store-failed', 'outbox-torn'])
  })
})

describe('the end of a life', () => {
  it('says how many messages are left, and leaves them', async () => {
    const life = await live()
    for (const name of names(5)) await life.sender.send(hub, wire(name))
    expect(await life.sender.drain({ timeoutMs: 50 })).toBe(5)
    const next = await live({ online: true })
    expect(await next.sender.drain()).toBe(0)
    expect(texts(next)).toEqual(names(5))
  })

  it('stores what it was just storing: those sends resolve', async () => {
    const life = await live()
    const sending = life.sender.send(hub, wire('a'))
    await Promise.resolve()
    await life.sender.close()
    expect(await sending).toMatchObject({ state: 'stored' })
  })
})
