import { appendFileSync, copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFileOutbox } from '../../src/reliability/file-outbox.js'
import type { Stored } from '../../src/reliability/outbox.js'
import { EPOCH, type Folder, makeFolder, numbers, record, to } from './outbox-fixture.js'

let folder: Folder
beforeEach(() => {
  folder = makeFolder()
})
afterEach(() => folder.remove())

describe('the outbox on disk', () => {
  it('has a record on disk when put resolves, without being closed', async () => {
    const outbox = folder.open()
    expect(await outbox.start()).toEqual([])
    await outbox.put(record(0))
    const copy = mkdtempSync(join(tmpdir(), 'sealbus-outbox-copy-'))
    for (const name of folder.files()) copyFileSync(join(folder.directory, name), join(copy, name))
    const other = createFileOutbox({ directory: copy, now: () => 0, emit: () => undefined })
    expect(numbers(await other.start())).toEqual([[0]])
    await other.close()
    await outbox.close()
    rmSync(copy, { recursive: true })
  })

  it('tells the next life what is left: each lane with its records in order, the oldest lane first', async () => {
    const outbox = folder.open()
    await outbox.start()
    const given = [
      record(0, { count: 3, droppable: true }),
      record(3, { untilHandled: true, floor: 2 }),
      record(4),
    ]
    const [, second, third] = await Promise.all(given.map(each => outbox.put(each)))
    await outbox.put(record(0, { epoch: 'ff'.repeat(8), priority: 'command' }))
    outbox.remove(third as Stored, 'settled', 2)
    await outbox.close()
    const left = await folder.left()
    expect(left).toMatchObject([
      { to, priority: 'report', epoch: EPOCH, floor: 2, next: 5 },
      { to, priority: 'command', epoch: 'ff'.repeat(8), floor: 0, next: 1 },
    ])
    expect(numbers(left)).toEqual([[0, 3], [0]])
    const { id, expiresAtMs } = given[1] as (typeof given)[number]
    expect(left[0]?.stored[1]).toMatchObject({
      id,
      expiresAtMs,
      count: 1,
      floor: 2,
      untilHandled: true,
      droppable: false,
    })
    expect(left[0]?.stored[0]).toMatchObject({ count: 3, droppable: true, bytes: 100 })
    expect(second?.seq).toBe(3)
  })

  it('gives the bytes back, in this life and in the next', async () => {
    const outbox = folder.open()
    await outbox.start()
    const given = [record(0), record(1, { bytes: 300_000 })]
    const stored = await Promise.all(given.map(each => outbox.put(each)))
    const plain = (bodies: readonly Uint8Array[]): string[] =>
      bodies.map(body => Buffer.from(body).toString('latin1'))
    expect(plain(await outbox.read(stored))).toEqual(plain(given.map(({ body }) => body)))
    await outbox.close()
    const next = folder.open()
    const [lane] = await next.start()
    expect(plain(await next.read(lane?.stored ?? []))).toEqual(plain(given.map(({ body }) => body)))
    await next.close()
  })

  it('names the epoch that a new one follows, even when nothing of it is left', async () => {
    const outbox = folder.open()
    await outbox.start()
    outbox.remove(await outbox.put(record(7, { count: 2 })), 'settled', 0)
    expect(outbox.predecessor(to, 'report')).toBeUndefined()
    await outbox.close()
    for (let life = 0; life < 3; life++) {
      const next = folder.open()
      expect(await next.start()).toEqual([])
      expect(next.predecessor(to, 'report')).toEqual({ epoch: EPOCH, lastSeq: 8 })
      expect(next.predecessor(to, 'command')).toBeUndefined()
      await next.close()
    }
    const last = folder.open()
    await last.start()
    await last.put(record(0, { epoch: 'ff'.repeat(8) }))
    await last.close()
    const after = folder.open()
    await after.start()
    expect(after.predecessor(to, 'report')).toEqual({ epoch: 'ff'.repeat(8), lastSeq: 0 })
    await after.close()
  })

  it('remembers a floor that nobody was told, and what is over above something unsettled', async () => {
    const outbox = folder.open()
    await outbox.start()
    const stored = await Promise.all([0, 1, 2].map(seq => outbox.put(record(seq))))
    outbox.remove(stored[1] as Stored, 'over', 0)
    await outbox.close()
    expect(await folder.left()).toMatchObject([{ floor: 0, overEnds: [2], next: 3 }])
    const next = folder.open()
    const [lane] = await next.start()
    next.remove(lane?.stored[0] as Stored, 'over', 2)
    next.remove(lane?.stored[1] as Stored, 'over', 3)
    await next.close()
    expect(await folder.left()).toMatchObject([{ floor: 3, announcedFloor: 0, overEnds: [], stored: [] }])
    const third = folder.open()
    await third.start()
    third.announced({ to, priority: 'report', epoch: EPOCH }, 3)
    await third.close()
    expect(await folder.left()).toEqual([])
  })

  it('says that a record is safe only after an fsync', async () => {
    const { open } = await import('node:fs/promises')
    let synced = 0
    const outbox = folder.open({
      openFile: async (...args) => {
        const file = await open(...args)
        file.datasync = async () => {
          synced = (await file.stat()).size
        }
        return file
      },
    })
    await outbox.start()
    for (let seq = 0; seq < 3; seq++) {
      await outbox.put(record(seq))
      const written = folder.files().map(name => folder.bytes(name).length)
      expect(synced).toBe(written.at(-1))
    }
    await outbox.close()
  })

  it('fsyncs many records together', async () => {
    let syncs = 0
    const { open } = await import('node:fs/promises')
    const outbox = folder.open({
      openFile: async (...args) => {
        const file = await open(...args)
        const sync = file.datasync.bind(file)
        file.datasync = () => {
          syncs++
          return sync()
        }
        return file
      },
    })
    await outbox.start()
    await Promise.all(Array.from({ length: 200 }, (_, seq) => outbox.put(record(seq))))
    await outbox.close()
    expect(syncs).toBeGreaterThan(0)
    expect(syncs).toBeLessThan(20)
  })

  it.each([
    [5, 1],
    [0, 2],
  ])(
    'with a linger of %i ms writes what comes one after the other in %i groups',
    async (lingerMs, groups) => {
      let syncs = 0
      const { open } = await import('node:fs/promises')
      const outbox = folder.open({
        lingerMs,
        openFile: async (...args) => {
          const file = await open(...args)
          const sync = file.datasync.bind(file)
          file.datasync = () => {
            syncs++
            return sync()
          }
          return file
        },
      })
      await outbox.start()
      const first = outbox.put(record(0))
      await Promise.resolve()
      await Promise.all([first, outbox.put(record(1))])
      expect(syncs).toBe(groups)
      await outbox.close()
    },
  )

  it('belongs to one process', async () => {
    const outbox = folder.open()
    await outbox.start()
    await expect(folder.open().start()).rejects.toMatchObject({ code: 'configuration' })
    await outbox.close()
    await folder.left()
  })
})

describe('segments', () => {
  it('are deleted when nothing in them is needed', async () => {
    const outbox = folder.open({ segmentBytes: 10_000 })
    await outbox.start()
    for (let seq = 0; seq < 400; seq++)
      outbox.remove(await outbox.put(record(seq, { bytes: 1000 })), 'settled', 0)
    expect(folder.files().length).toBeLessThan(4)
    await outbox.close()
    expect(await folder.left()).toEqual([])
    expect(folder.files().length).toBeLessThan(4)
  })

  it('are emptied of the few that are still needed, which keep their bytes', async () => {
    const outbox = folder.open({ segmentBytes: 10_000, lingerMs: 0 })
    await outbox.start()
    const kept = await Promise.all([0, 1, 2].map(seq => outbox.put(record(seq, { bytes: 1000 }))))
    for (let seq = 3; seq < 200; seq++)
      outbox.remove(await outbox.put(record(seq, { bytes: 1000, epoch: 'ff'.repeat(8) })), 'settled', 0)
    expect(folder.files().length).toBeLessThan(5)
    expect((await outbox.read(kept)).map(body => Buffer.from(body).toString().slice(0, 7))).toEqual([
      'body 0;',
      'body 1;',
      'body 2;',
    ])
    await outbox.close()
    expect(numbers(await folder.left())).toEqual([[0, 1, 2]])
    expect(await folder.left()).toMatchObject([{ to, epoch: EPOCH, next: 3 }])
  })

  it('are missed when one is gone', async () => {
    const outbox = folder.open({ segmentBytes: 2_000 })
    await outbox.start()
    for (let seq = 0; seq < 9; seq++) await outbox.put(record(seq, { bytes: 1000 }))
    await outbox.close()
    const [, second] = folder.files()
    rmSync(join(folder.directory, second ?? ''))
    await expect(folder.open().start()).rejects.toMatchObject({ code: 'corrupt-store' })
  })
})

describe('a crash', () => {
  it('at any byte of the last records leaves every record before it', async () => {
    const outbox = folder.open({ lingerMs: 0 })
    await outbox.start()
    const ends: number[] = []
    const name = folder.files().at(-1) ?? ''
    for (let seq = 0; seq < 3; seq++) {
      await outbox.put(record(seq, { bytes: 12 }))
      ends.push(folder.bytes(name).length)
    }
    await outbox.close()
    const whole = folder.bytes(name)
    for (let length = ends[0] ?? 0; length <= whole.length; length++) {
      const cut = makeFolder()
      writeFileSync(join(cut.directory, name), whole.subarray(0, length))
      const outbox = cut.open()
      const complete = ends.filter(end => end <= length).length
      expect(numbers(await outbox.start())).toEqual([Array.from({ length: complete }, (_, i) => i)])
      expect(cut.events.length).toBe(ends.includes(length) ? 0 : 1)
      if (length % 20 === 0) await outbox.put(record(10)) // it can be written on
      await outbox.close()
      if (length % 20 === 0) expect(numbers(await cut.left()).flat()).toContain(10)
      cut.remove()
    }
  }, 60_000)

  it('that left a later page of the last group and not an earlier one is a torn tail, since nothing of it was promised', async () => {
    const outbox = folder.open({ lingerMs: 5 })
    await outbox.start()
    await outbox.put(record(0))
    const name = folder.files().at(-1) ?? ''
    const before = folder.bytes(name).length
    await Promise.all([outbox.put(record(1)), outbox.put(record(2))])
    await outbox.close()
    const bytes = folder.bytes(name)
    bytes.fill(0, before, before + 60)
    writeFileSync(join(folder.directory, name), bytes)
    expect(numbers(await folder.left())).toEqual([[0]])
    expect(folder.events).toMatchObject([{ event: 'outbox-torn' }])
  })

  it('leaves bytes at the end that are no record: they are cut off, and an event says so', async () => {
    const outbox = folder.open()
    await outbox.start()
    await outbox.put(record(0))
    await outbox.close()
    appendFileSync(join(folder.directory, folder.files().at(-1) ?? ''), Buffer.alloc(5000))
    expect(numbers(await folder.left())).toEqual([[0]])
    expect(folder.events).toMatchObject([{ event: 'outbox-torn', detail: { bytes: 5000 } }])
    expect(numbers(await folder.left())).toEqual([[0]])
    expect(folder.events).toHaveLength(1)
  })
})

describe('damage', () => {
  it('before what was synced later is an error that names the file, and nothing is deleted', async () => {
    const outbox = folder.open({ lingerMs: 0 })
    await outbox.start()
    const name = folder.files().at(-1) ?? ''
    for (let seq = 0; seq < 2; seq++) await outbox.put(record(seq))
    const synced = folder.bytes(name).length
    await outbox.put(record(2))
    await outbox.close()
    const whole = folder.bytes(name)
    for (let at = 0; at < synced; at += 13) {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ 0x10
      writeFileSync(join(folder.directory, name), bytes)
      await expect(folder.open().start()).rejects.toMatchObject({ code: 'corrupt-store' })
      expect(folder.bytes(name)).toEqual(bytes)
    }
    writeFileSync(join(folder.directory, name), whole)
    expect(numbers(await folder.left())).toEqual([[0, 1, 2]])
  })

  it('at the end of a file that is not the last is an error too', async () => {
    const outbox = folder.open({ segmentBytes: 1_000 })
    await outbox.start()
    for (let seq = 0; seq < 3; seq++) await outbox.put(record(seq, { bytes: 900 }))
    await outbox.close()
    const [first] = folder.files()
    truncateSync(join(folder.directory, first ?? ''), 700)
    await expect(folder.open().start()).rejects.toMatchObject({ code: 'corrupt-store' })
  })

  it('that comes while it runs is told when the bytes are read, and the outbox has failed', async () => {
    const outbox = folder.open()
    await outbox.start()
    const stored = await outbox.put(record(0))
    const name = folder.files().at(-1) ?? ''
    const bytes = folder.bytes(name)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    writeFileSync(join(folder.directory, name), bytes)
    await expect(outbox.read([stored])).rejects.toMatchObject({ code: 'corrupt-store' })
    expect(folder.events).toMatchObject([{ event: 'store-failed' }])
    await expect(outbox.put(record(1))).rejects.toMatchObject({ code: 'corrupt-store' })
    await outbox.close()
  })
})

describe('bounds', () => {
  it('of records and of bytes are said as room, and obeyed', async () => {
    const outbox = folder.open({ records: 2 })
    await outbox.start()
    expect(outbox.room()).toBe(Number.POSITIVE_INFINITY)
    const stored = await outbox.put(record(0))
    await outbox.put(record(1))
    expect(outbox.room()).toBe(0)
    await expect(outbox.put(record(2))).rejects.toMatchObject({ code: 'buffer-full' })
    outbox.remove(stored, 'settled', 0)
    expect(outbox.usage()).toEqual({ records: 1, bytes: 100 })
    await outbox.put(record(2))
    await outbox.close()
    const small = folder.open({ bytes: 65_536 })
    await small.start()
    expect(small.room()).toBe(65_536 - 200)
    await expect(small.put(record(3, { bytes: 65_400 }))).rejects.toMatchObject({ code: 'buffer-full' })
    await small.close()
  })

  it('out of range are refused by name', () => {
    expect(() => folder.open({ records: 0 })).toThrow(/records: expected a whole number 1/)
    expect(() => folder.open({ bytes: 1 })).toThrow(/bytes/)
    expect(() => folder.open({ ageMs: 1e12 })).toThrow(/ageMs/)
    expect(() => folder.open({ lingerMs: 6 })).toThrow(/lingerMs/)
    expect(() => folder.open({ whenFull: 'explode' as 'wait' })).toThrow(/whenFull/)
  })
})
