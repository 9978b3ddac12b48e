import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry, Ledger } from '../../chaos/ledger.js'
import { Mishaps } from '../../chaos/mishaps.js'
import { restoreOutbox, saveOutbox, tearOutbox } from '../../chaos/party-state.js'
import { block, moveClock } from '../../chaos/tricks.js'

describe('a process of the load', () => {
  it('has a wall clock that can be moved, and a monotonic one that cannot', () => {
    const [real, steady] = [Date.now(), performance.now()]
    moveClock(3_600_000)
    try {
      expect(Date.now() - real).toBeGreaterThanOrEqual(3_600_000)
      expect(Date.now() - real).toBeGreaterThanOrEqual(3_600_000)
      expect(new Date(5).getTime()).toBe(5)
      expect(new Date()).toBeInstanceOf(Date)
      expect(performance.now() - steady).toBeLessThan(60_000)
    } finally {
      moveClock(-3_600_000)
    }
    expect(Date.now() - real).toBeLessThan(60_000)
  })

  it('has a clock that moves by what it is told, also after it was right again', () => {
    const real = Date.now()
    for (const by of [3_600_000, -3_600_000, -3_600_000]) moveClock(by)
    const moved = Date.now() - real
    moveClock(3_600_000)
    expect(moved).toBeGreaterThanOrEqual(-3_600_000)
    expect(moved).toBeLessThan(-3_540_000)
  })

  it('can stand still', () => {
    const before = performance.now()
    block(30)
    expect(performance.now() - before).toBeGreaterThanOrEqual(30)
  })
})

describe('a mishap', () => {
  const entries: Entry[] = []
  const ledger: Ledger = { write: entry => void entries.push(entry), close: () => undefined }
  beforeEach(() => {
    entries.length = 0
  })

  it('happens to the next message alone, and is written down before it does', async () => {
    const mishaps = new Mishaps(ledger, [])
    const done: number[] = []
    const run = (n: number): Promise<void> =>
      mishaps.run('a>b', n, () => {
        done.push(n)
        return Promise.resolve()
      })
    await run(0)
    mishaps.arm('fail')
    await expect(run(1)).rejects.toThrow('on purpose')
    await run(2)
    expect(done).toEqual([0, 2])
    expect(entries).toMatchObject([{ kind: 'mishap', lane: 'a>b', n: 1, is: 'fail' }])
  })

  it('that lasts comes again with its message, in later lives too', async () => {
    const before: Entry = { kind: 'mishap', t: 0, lane: 'a>b', n: 1, is: 'fail' }
    const mishaps = new Mishaps(ledger, [before])
    await expect(mishaps.run('a>b', 1, () => Promise.resolve())).rejects.toThrow('on purpose')
    await mishaps.run('a>b', 2, () => Promise.resolve())
    expect(entries).toEqual([])
  })

  it('that does not last is over with the life in which it came', async () => {
    const mishaps = new Mishaps(ledger, [{ kind: 'mishap', t: 0, lane: 'a>b', n: 1, is: 'die-in-handler' }])
    await mishaps.run('a>b', 1, () => Promise.resolve())
  })
})

describe('the outbox of a party that has ended', () => {
  let identity = ''
  const outbox = (): string => join(identity, 'state', 'outbox')
  beforeEach(() => {
    identity = mkdtempSync(join(tmpdir(), 'sealbus-party-'))
    mkdirSync(outbox(), { recursive: true })
    writeFileSync(join(identity, 'config.json'), JSON.stringify({ state: 'state' }))
    writeFileSync(join(outbox(), '0000000001.log'), 'first record')
  })
  afterEach(() => rmSync(identity, { recursive: true, force: true }))

  it('is saved, and put back as it was', () => {
    saveOutbox(identity)
    writeFileSync(join(outbox(), '0000000002.log'), 'more')
    restoreOutbox(identity)
    expect(readdirSync(outbox())).toEqual(['0000000001.log'])
    expect(() => restoreOutbox(identity)).toThrow(/^not injected: nothing was saved/)
  })

  it('is torn behind its last record, which stays whole', () => {
    tearOutbox(identity, 5)
    expect(readFileSync(join(outbox(), '0000000001.log'), 'utf8')).toBe('first recordfirst')
    rmSync(join(outbox(), '0000000001.log'))
    expect(() => tearOutbox(identity, 5)).toThrow(/^not injected: no file/)
  })
})
