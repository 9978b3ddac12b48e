import { fork } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createFileSeen } from '../../src/reliability/file-seen.js'
import { acquireLock } from '../../src/reliability/lock.js'
import { encodeFrame, parseFrames } from '../../src/reliability/log-frames.js'
import type { EpochRecord, Mark, SeenMark } from '../../src/reliability/seen.js'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealbus-seen-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const key = { domain: 'field', address: 'heh-0001', epoch: '00112233445566aa' }
const mark = (seq: number, kind: Mark = 'handled'): SeenMark => ({
  ...key,
  seq,
  mark: kind,
  hash: '0123456789abcdef',
  createdAtMs: 1_000 + seq,
})
const record = (start: number, next: number): EpochRecord => ({
  ...key,
  start,
  next,
  floor: 0,
  beyond: [],
  skipped: [],
  parked: [],
  hashes: [],
  lastCreatedAtMs: 0,
})
const log = (): string => join(directory, 'seen.log')

async function remembered(): Promise<Awaited<ReturnType<ReturnType<typeof createFileSeen>['start']>>> {
  const store = createFileSeen({ directory })
  const memory = await store.start()
  await store.close()
  return memory
}

/** What the next process finds if this one dies now: the folder without the lock of a living process. */
function crash(): string {
  const copy = mkdtempSync(join(directory, 'life-'))
  for (const file of readdirSync(directory, { withFileTypes: true }))
    if (file.isFile() && file.name !== 'seen.lock')
      copyFileSync(join(directory, file.name), join(copy, file.name))
  return copy
}

describe('attempts', () => {
  const attemptsOf = async (
    folder: string,
    seq: number,
  ): Promise<[boolean | undefined, number | undefined]> => {
    const store = createFileSeen({ directory: folder, lingerMs: 0 })
    const { unclean } = await store.start()
    const attempts = await store.attempt?.(key, seq)
    await store.close()
    return [unclean, attempts]
  }

  test('are counted over starts that follow no orderly end, and forgotten after one', async () => {
    const store = createFileSeen({ directory, lingerMs: 0 })
    expect((await store.start()).unclean).toBe(false)
    expect(await store.attempt?.(key, 7)).toBe(1)
    const second = crash()
    expect(await attemptsOf(second, 7)).toEqual([true, 2])
    expect(await attemptsOf(second, 7)).toEqual([false, 1])
    expect(await attemptsOf(crash(), 8)).toEqual([true, 1])
    await store.close()
  })

  test('survive a rewrite of the file, and end with the mark, with the epoch, or where nothing came of them', async () => {
    const store = createFileSeen({ directory, lingerMs: 0, compactBytes: 10 })
    await store.start()
    for (const seq of [0, 1, 2]) await store.attempt?.(key, seq)
    await store.attempt?.({ ...key, epoch: 'ff'.repeat(8) }, 3)
    store.survived?.(key, 1)
    store.forget({ ...key, epoch: 'ff'.repeat(8) })
    await store.mark(mark(0, 'parked'))
    expect(await attemptsOf(crash(), 0)).toEqual([true, 1])
    expect(await attemptsOf(crash(), 1)).toEqual([true, 1])
    expect(await attemptsOf(crash(), 2)).toEqual([true, 2])
    const other = createFileSeen({ directory: crash() })
    await other.start()
    expect(await other.attempt?.({ ...key, epoch: 'ff'.repeat(8) }, 3)).toBe(1)
    await other.close()
    await store.close()
  })

  test('are not forgotten by a start that a living process refuses', async () => {
    const store = createFileSeen({ directory })
    await store.start()
    const refused = createFileSeen({ directory })
    await expect(refused.start()).rejects.toMatchObject({ code: 'configuration' })
    await refused.close()
    expect(await attemptsOf(crash(), 0)).toEqual([true, 1])
    await store.close()
  })
})

describe('a seen file', () => {
  test('remembers marks, notes, closed epochs and the highest time over a restart', async () => {
    const store = createFileSeen({ directory, lingerMs: 0 })
    expect(await store.start()).toEqual({
      epochs: [],
      closedBefore: new Map(),
      highestTimeMs: 0,
      lost: false,
      unclean: false,
    })
    store.note(record(5, 5))
    store.time(77)
    await Promise.all([mark(5), mark(6), mark(9, 'parked'), mark(4)].map(m => store.mark(m)))
    store.note({ ...record(0, 3), epoch: 'ff'.repeat(8) })
    store.forget({ ...key, epoch: 'ff'.repeat(8) }, 55)
    await store.close()
    const memory = await remembered()
    expect(memory.epochs).toMatchObject([
      { ...key, start: 4, next: 7, beyond: [9], parked: [9], lastCreatedAtMs: 1_009 },
    ])
    expect(memory.epochs[0]?.hashes).toHaveLength(4)
    expect(memory.closedBefore).toEqual(new Map([['field/heh-0001', 55]]))
    expect(memory.highestTimeMs).toBe(77)
  })

  test('has a mark on disk when it resolves, without being closed', async () => {
    const store = createFileSeen({ directory })
    await store.start()
    await store.mark(mark(0))
    const copy = mkdtempSync(join(tmpdir(), 'sealbus-seen-copy-'))
    writeFileSync(join(copy, 'seen.log'), readFileSync(log()))
    const other = createFileSeen({ directory: copy })
    expect((await other.start()).epochs).toMatchObject([{ next: 1 }])
    await other.close()
    await store.close()
    rmSync(copy, { recursive: true })
  })

  test('says that a mark is safe only after an fsync', async () => {
    const store = createFileSeen({ directory })
    await store.start()
    const handle = await open(log(), 'r')
    const synced = vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'datasync')
    await handle.close()
    const sizes: number[] = []
    synced.mockImplementation(() => {
      sizes.push(statSync(log()).size)
      return Promise.resolve()
    })
    const before = statSync(log()).size
    await store.mark(mark(0))
    expect(sizes).toHaveLength(1)
    expect(sizes[0]).toBeGreaterThan(before)
    synced.mockRestore()
    await store.close()
  })

  test('torn at every length of its last group keeps all groups before it', async () => {
    const store = createFileSeen({ directory, lingerMs: 0 })
    await store.start()
    await store.mark(mark(0))
    const before = readFileSync(log()).length
    await store.mark(mark(1))
    await store.close()
    const whole = readFileSync(log())
    for (let length = before; length < whole.length; length++) {
      const { payloads, damagedAt } = parseFrames(whole.subarray(0, length))
      expect([payloads.length, damagedAt]).toEqual([2, undefined])
    }
    truncateSync(log(), whole.length - 1)
    expect((await remembered()).epochs).toMatchObject([{ next: 1 }])
    appendFileSync(log(), new Uint8Array(4096))
    expect((await remembered()).epochs).toMatchObject([{ next: 1 }])
  })

  test('damaged elsewhere than at its end is refused, at every byte', async () => {
    const frames = Buffer.concat([1, 2, 3].map(n => encodeFrame(Uint8Array.of(n, n, n, n))))
    for (let at = 0; at < (frames.length / 3) * 2; at++) {
      const damaged = Buffer.from(frames)
      damaged[at] = (damaged[at] ?? 0) ^ 0x10
      expect(parseFrames(damaged).damagedAt).toBeDefined()
    }
    writeFileSync(log(), Buffer.concat([Buffer.from('junk'), frames]))
    await expect(createFileSeen({ directory }).start()).rejects.toMatchObject({ code: 'corrupt-store' })
  })

  test('that is missing where there was one says lost', async () => {
    await remembered()
    expect((await remembered()).lost).toBe(false)
    rmSync(log())
    expect((await remembered()).lost).toBe(true)
    expect((await remembered()).lost).toBe(false)
  })

  test('is rewritten when it has grown, and says the same', async () => {
    const store = createFileSeen({ directory, lingerMs: 0, compactBytes: 2_000 })
    await store.start()
    for (let seq = 0; seq < 200; seq++) await store.mark(mark(seq))
    await store.close()
    expect(readFileSync(log()).length).toBeLessThan(6_000)
    expect((await remembered()).epochs).toMatchObject([{ start: 0, next: 200 }])
  })

  test('is shut against a second store, of this process or of another', async () => {
    const store = createFileSeen({ directory })
    await store.start()
    await expect(createFileSeen({ directory }).start()).rejects.toMatchObject({ code: 'configuration' })
    await store.close()
    const script = join(directory, 'sleep.mjs')
    writeFileSync(script, 'setInterval(() => {}, 1000); process.send("up")')
    const child = fork(script, { execArgv: [] })
    await new Promise(resolve => child.once('message', resolve))
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    writeFileSync(join(directory, 'seen.lock'), `${child.pid} ${started}\n`)
    await expect(createFileSeen({ directory }).start()).rejects.toThrow(`process ${child.pid}`)
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    expect((await remembered()).lost).toBe(false)
  })

  test('does not take a process that has the number of a dead one for it', () => {
    const path = join(directory, 'x.lock')
    writeFileSync(path, `${process.ppid} 1\n`)
    acquireLock(path).release()
  })

  test('that cannot be written fails for good', async () => {
    const store = createFileSeen({ directory, lingerMs: 0, compactBytes: 10 })
    await store.start()
    rmSync(directory, { recursive: true }) // the rewrite that follows the mark cannot be done
    await expect(store.mark(mark(0))).rejects.toMatchObject({ code: 'store-failed' })
    await expect(store.mark(mark(1))).rejects.toMatchObject({ code: 'store-failed', retryable: false })
    await store.close()
  })

  test('collects marks of the same moment in one group', async () => {
    const store = createFileSeen({ directory, lingerMs: 2 })
    await store.start()
    const before = parseFrames(readFileSync(log())).payloads.length
    await Promise.all(Array.from({ length: 500 }, (_, seq) => store.mark(mark(seq))))
    await store.close()
    const { payloads, length } = parseFrames(readFileSync(log()))
    expect(payloads.length).toBe(before + 1)
    expect(length).toBeLessThan(600)
  })
})
