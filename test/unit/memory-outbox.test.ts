import { describe, expect, it } from 'vitest'
import { createMemoryOutbox } from '../../src/reliability/memory-outbox.js'
import type { OutboxRecord } from '../../src/reliability/outbox.js'

const record = (id: string, bytes = 10): OutboxRecord => ({
  id,
  to: { domain: 'field', address: 'heh-0001' },
  priority: 'report',
  epoch: '00112233aabbccdd',
  seq: 0,
  count: 1,
  floor: 0,
  body: new Uint8Array(bytes),
  expiresAtMs: 0,
  untilHandled: false,
  droppable: false,
})

describe('the outbox in memory', () => {
  it('counts what it keeps, and forgets what is removed', async () => {
    const outbox = createMemoryOutbox()
    const stored = await outbox.put(record('a'))
    await outbox.put(record('b', 5))
    expect(outbox.usage()).toEqual({ records: 2, bytes: 15 })
    outbox.remove(stored, 'settled', 0)
    outbox.remove(stored, 'settled', 0)
    expect(outbox.usage()).toEqual({ records: 1, bytes: 5 })
  })

  it('survives nothing: it is not durable, and starts empty without predecessors', async () => {
    const outbox = createMemoryOutbox()
    expect(outbox.durable).toBe(false)
    expect(await outbox.start()).toEqual([])
    expect(outbox.predecessor({ domain: 'field', address: 'heh-0001' }, 'report')).toBeUndefined()
  })

  it('rejects with buffer-full at its bound of envelopes, and at its bound of bytes', async () => {
    const few = createMemoryOutbox({ records: 1 })
    await few.put(record('a'))
    await expect(few.put(record('b'))).rejects.toMatchObject({ code: 'buffer-full', retryable: true })
    const small = createMemoryOutbox({ bytes: 15 })
    const stored = await small.put(record('a'))
    expect(small.room()).toBe(5)
    await expect(small.put(record('b'))).rejects.toMatchObject({ code: 'buffer-full' })
    small.remove(stored, 'settled', 0)
    await small.put(record('b'))
  })

  it('takes one that is larger than its bound when it is empty, or nothing could be sent', async () => {
    const small = createMemoryOutbox({ bytes: 5 })
    await small.put(record('a'))
    expect(small.room()).toBe(0)
  })

  it('refuses bounds that are not positive', () => {
    expect(() => createMemoryOutbox({ records: 0 })).toThrow(RangeError)
  })

  it('is empty once closed, and may be closed twice', async () => {
    const outbox = createMemoryOutbox()
    await outbox.put(record('a'))
    await outbox.close()
    await outbox.close()
    expect(outbox.usage()).toEqual({ records: 0, bytes: 0 })
  })
})
