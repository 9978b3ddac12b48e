import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Delivery } from '../../src/bus.js'
import { ReceivedMessage } from '../../src/delivery.js'
import { Requests } from '../../src/reliability/requests.js'
import { EPOCH, HEH, TSO, wire } from '../support/receiving.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const id = { epoch: EPOCH, seq: 3 }
const reply = (): Delivery =>
  new ReceivedMessage({
    message: wire('yes'),
    id,
    from: HEH,
    expiresAtMs: 0,
    reply: () => Promise.reject(new Error('no')),
  })

describe('a request', () => {
  test('is answered once, and only by the party that it went to', async () => {
    const requests = new Requests()
    const open = requests.open(HEH, 1_000)
    expect(requests.match(HEH, id)).toBe('none')
    open.numbered(id)
    expect([
      requests.match(HEH, id),
      requests.match(TSO, id),
      requests.match(HEH, { ...id, seq: 4 }),
    ]).toEqual(['open', 'none', 'none'])
    expect(requests.resolve(TSO, id, reply())).toBe(false)
    expect(requests.resolve(HEH, id, reply())).toBe(true)
    expect((await open.reply).text()).toBe('yes')
    expect(requests.resolve(HEH, id, reply())).toBe(false)
    expect(requests.match(HEH, id)).toBe('late')
  })

  test('times out, also when it was never numbered; what answers it later is recognised', async () => {
    const requests = new Requests()
    const open = requests.open(HEH, 1_000)
    const never = requests.open(HEH, 1_000)
    open.numbered(id)
    const outcomes = Promise.allSettled([open.reply, never.reply])
    await vi.advanceTimersByTimeAsync(1_000)
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ reason: { code: 'request-timeout' } })
    expect(requests.match(HEH, id)).toBe('late')
    never.numbered({ ...id, seq: 9 })
    expect(requests.match(HEH, { ...id, seq: 9 })).toBe('late')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('fails with what it is given, and with closed', async () => {
    const requests = new Requests()
    const failed = requests.open(HEH, 1_000)
    const open = requests.open(HEH, 1_000)
    failed.fail(new Error('not sent'))
    await expect(failed.reply).rejects.toThrow('not sent')
    requests.close()
    await expect(open.reply).rejects.toMatchObject({ code: 'closed' })
    expect(() => requests.open(HEH, 1_000)).toThrow(/closed/)
    expect(() => new Requests().open(HEH, 0)).toThrow(RangeError)
  })

  test('that is over is remembered in bounds', () => {
    const requests = new Requests()
    for (let seq = 0; seq < 1_030; seq++) {
      const open = requests.open(HEH, 1_000)
      open.reply.catch(() => undefined)
      open.numbered({ ...id, seq })
      open.fail(new Error('over'))
    }
    expect(requests.match(HEH, { ...id, seq: 0 })).toBe('none')
    expect(requests.match(HEH, { ...id, seq: 1_029 })).toBe('late')
  })
})
