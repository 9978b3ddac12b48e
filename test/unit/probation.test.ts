import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createFileSeen } from '../../src/reliability/file-seen.js'
import { createMemorySeen } from '../../src/reliability/memory-seen.js'
import type { SeenStore } from '../../src/reliability/seen.js'
import { build, ROOT } from '../support/program.js'
import { EPOCH, EPOCH2, envelope, HEH, ledger, rig, turns, wire } from '../support/receiving.js'

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** A store after an unclean start that remembers attempts, some of them from former lives. */
function afterCrash(former: Record<number, number> = {}): { seen: SeenStore; log: string[] } {
  const log: string[] = []
  const attempts = new Map(Object.entries(former).map(([seq, count]) => [Number(seq), count]))
  const memory = createMemorySeen(() => undefined)
  const seen: SeenStore = {
    ...memory,
    kind: 'file',
    start: async () => ({ ...(await memory.start()), unclean: true }),
    attempt: ({ epoch }, seq) => {
      const count = (attempts.get(seq) ?? 0) + 1
      attempts.set(seq, count)
      log.push(`attempt ${epoch === EPOCH ? '' : 'other '}${seq}`)
      return Promise.resolve(count)
    },
    survived: (_, seq) => {
      attempts.delete(seq)
      log.push(`survived ${seq}`)
    },
    mark: ({ seq, mark }) => {
      attempts.delete(seq)
      log.push(`${mark} ${seq}`)
      return Promise.resolve()
    },
  }
  return { seen, log }
}

describe('probation', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('writes each attempt down before its handler and runs one handler at a time, until 20 messages are handled', async () => {
    const { seen, log } = afterCrash()
    const { receiver, send, names } = rig({ seen })
    let running = 0
    const most: number[] = []
    await receiver.start(async delivery => {
      running += 1
      most.push(running)
      log.push(delivery.text())
      await new Promise(resolve => setTimeout(resolve, 10))
      running -= 1
    })
    for (let i = 0; i < 40; i++)
      send(envelope(Math.floor(i / 4), [wire('m')], { epoch: `${i % 4}`.padStart(16, '0') }))
    await advance(1_000)
    expect(log[0]).toMatch(/^attempt/)
    expect(log[1]).toBe('m')
    expect(most.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 1))
    expect(Math.max(...most.slice(20))).toBeGreaterThan(1)
    const attempts = log.filter(line => line.startsWith('attempt')).length
    expect([20, 21]).toContain(attempts) // the 20th may still be being remembered when the next one begins
    expect(names()).toEqual(['unclean-start', 'probation-over'])
  })

  test('parks the message whose third attempt it would be, with its index, and handles its neighbours', async () => {
    const { seen, log } = afterCrash({ 1: 2 })
    const { receiver, send, parked, receipts, broker } = rig({ seen })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('m0'), wire('kill', { receiptWanted: true }), wire('m2')]))
    await turns()
    expect(texts).toEqual(['m0', 'm2'])
    expect(parked).toMatchObject([{ exchange: 'parked', index: 1 }])
    expect(receipts).toMatchObject([{ seq: 1, outcome: 'parked' }])
    expect(receiver.counts).toMatchObject({ fatal: 1, parked: 1, handled: 2 })
    expect(log).toContain('parked 1')
    expect(broker.unacked.size).toBe(0)
  })

  test('forgets the attempt of a handler that fails without killing anybody', async () => {
    const { seen, log } = afterCrash()
    const { receiver, send } = rig({ seen })
    await receiver.start(() => Promise.reject(new Error('no')), { retries: 0 })
    send(envelope(0, [wire('bad')]))
    await turns()
    expect(log).toEqual(['attempt 0', 'survived 0', 'parked 0'])
  })

  test('lets a handler that hangs keep nobody from being handled', async () => {
    const { seen } = afterCrash()
    const { receiver, send } = rig({ seen })
    const { texts, handler } = ledger()
    await receiver.start(
      delivery => (delivery.text() === 'hang' ? new Promise(() => undefined) : handler(delivery, undefined)),
      { timeoutMs: 1_000 },
    )
    send(envelope(0, [wire('hang')]))
    send(envelope(0, [wire('m0')], { epoch: EPOCH2, from: { ...HEH, address: 'other' } }))
    await advance(5_000)
    expect(texts).toEqual([])
    await advance(2_000)
    expect(texts).toEqual(['m0'])
  })

  test('does not begin after an orderly end, nor where the store cannot count', async () => {
    for (const unclean of [true, false]) {
      const memory = createMemorySeen(() => undefined)
      const seen: SeenStore = { ...memory, start: async () => ({ ...(await memory.start()), unclean }) }
      const { receiver, send } = rig({ seen })
      let running = 0
      await receiver.start(() => {
        running += 1
        return new Promise(() => undefined)
      })
      for (const epoch of [EPOCH, EPOCH2]) send(envelope(0, [wire('m')], { epoch }))
      await turns()
      expect(running).toBe(2)
    }
  })

  test('ends with the store: an attempt that cannot be written down is not made', async () => {
    const { seen } = afterCrash()
    const { receiver, send, names, broker } = rig({
      seen: { ...seen, attempt: () => Promise.reject(new Error('disk')) },
    })
    const { texts, handler } = ledger()
    await receiver.start(handler)
    send(envelope(0, [wire('m0')]))
    await turns()
    expect(texts).toEqual([])
    expect(names()).toEqual(['unclean-start', 'store-failed'])
    expect(broker.acked).toBe(0)
  })
})

describe('a message that kills the process', () => {
  let directory = ''
  beforeAll(build, 600_000)
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sealbus-lives-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const lines = (file: string): string[] => readFileSync(join(directory, file), 'utf8').trim().split('\n')

  /** Runs one life; resolves with how it ended. */
  async function live(): Promise<string> {
    const program = join(ROOT, 'test', 'support', 'receiver-life.mjs')
    const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'ignore', 'inherit'] })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    return signal ?? String(code)
  }

  test('is parked after three deaths, out of a batch in a full prefetch, and all its neighbours are handled', async () => {
    const lanes = ['aa', 'bb', 'cc', 'dd'].map(byte => byte.repeat(8))
    const bodies = Array.from({ length: 100 }, (_, i) => {
      const [epoch = '', seq] = [lanes[i % 4], 3 * Math.floor(i / 4)]
      const texts = [0, 1, 2].map(k => (i === 61 && k === 1 ? 'kill' : `${epoch.slice(0, 2)} ${seq + k}`))
      const id = i.toString(16).padStart(16, '0')
      const numbers = { epoch, seq, floor: 0, open: 0, createdAtMs: Date.now() }
      return JSON.stringify({
        from: HEH,
        envelopeId: id.repeat(2),
        contentHash: id.repeat(4),
        ...numbers,
        texts,
      })
    })
    writeFileSync(join(directory, 'bodies.json'), JSON.stringify({ bodies }))
    const ends: string[] = []
    while (ends.at(-1) !== '0' && ends.length < 10) ends.push(await live())
    expect(ends).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', '0'])
    expect(lines('parked').map(line => JSON.parse(line) as unknown)).toEqual([
      { index: 1, messageId: (61).toString(16).padStart(16, '0').repeat(2) },
    ])
    expect(lines('events').filter(line => line.includes('"fatal"'))).toHaveLength(2) // the verdict, and the reason of parking
    expect(
      lines('begun')
        .filter(line => line.startsWith('kill'))
        .slice(1),
    ).toEqual(['kill 1', 'kill 1'])
    for (const epoch of lanes) {
      const name = epoch.slice(0, 2)
      const handled = [...new Set(lines('handled').filter(line => line.startsWith(name)))]
      const sent = Array.from({ length: 75 }, (_, seq) => `${name} ${seq}`)
      expect(handled).toEqual(name === 'bb' ? sent.filter(text => text !== 'bb 46') : sent)
    }
    const store = createFileSeen({ directory: join(directory, 'state') })
    expect(await store.start()).toMatchObject({ unclean: false })
    await store.close()
  }, 60_000)
})
