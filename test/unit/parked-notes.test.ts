/** Why something was parked is kept beside it, bounded, and read while it is written. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Events } from '../../src/events.js'
import { ParkedNotes, readParkedNotes } from '../../src/parked-notes.js'

const root = mkdtempSync(join(tmpdir(), 'sealbus-notes-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const message = { from: 'field/heh-0001', epoch: '00112233445566aa', seq: 7, type: 'report' }

describe('notes of parking', () => {
  it('keep reason, time, sender and number, and nothing that was sealed', async () => {
    const dir = join(root, 'one')
    const events = new Events()
    const notes = new ParkedNotes(dir, events, () => 1_000)
    events.emit('parked', { ...message, messageId: 'aa', index: 2, reason: 'failed' })
    events.emit('parked', { messageId: 'bb', reason: 'bad-tag', bytes: 9, alarm: true })
    events.emit('replayed', { ...message, id: 'cc-2', outcome: 'handled' })
    await notes.close()
    expect(await readParkedNotes(dir)).toEqual([
      {
        event: 'parked',
        atMs: 1_000,
        id: 'aa',
        reason: 'failed',
        index: 2,
        from: 'field/heh-0001',
        epoch: message.epoch,
        seq: 7,
      },
      { event: 'parked', atMs: 1_000, id: 'bb', reason: 'bad-tag' },
      {
        event: 'replayed',
        atMs: 1_000,
        id: 'cc-2',
        reason: 'handled',
        from: 'field/heh-0001',
        epoch: message.epoch,
        seq: 7,
      },
    ])
    expect(statSync(join(dir, 'parked.log')).mode & 0o777).toBe(0o600)
  })

  it('stay within two files, of which the older goes', async () => {
    const dir = join(root, 'many')
    const events = new Events()
    const notes = new ParkedNotes(dir, events, () => 1, 1_000)
    for (let i = 0; i < 100; i++) events.emit('parked', { messageId: String(i), reason: 'late' })
    await notes.close()
    const kept = (await readParkedNotes(dir)).map(({ id }) => Number(id))
    expect(kept.at(-1)).toBe(99)
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 100 - kept.length + i))
    expect(kept.length).toBeLessThan(50)
    for (const name of ['parked.log', 'parked.log.1'])
      expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(1_000)
  })

  it('go on after a torn line', async () => {
    const dir = join(root, 'torn')
    const events = new Events()
    const first = new ParkedNotes(dir, events, () => 1)
    events.emit('parked', { messageId: 'a', reason: 'late' })
    await first.close()
    appendFileSync(join(dir, 'parked.log'), '{"event":"par')
    const second = new ParkedNotes(dir, events, () => 2)
    events.emit('parked', { messageId: 'lost with it', reason: 'late' })
    events.emit('parked', { messageId: 'b', reason: 'late' })
    await second.close()
    expect((await readParkedNotes(dir)).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('of a folder that is not there are none', async () => {
    expect(await readParkedNotes(join(root, 'nowhere'))).toEqual([])
  })

  it('that cannot be written are told once', async () => {
    const dir = mkdtempSync(join(root, 'broken-'))
    mkdirSync(join(dir, 'parked.log')) // a folder where the file should be
    const events = new Events()
    const told: unknown[] = []
    events.on('reasons-not-kept', event => told.push(event))
    const notes = new ParkedNotes(dir, events, () => 1)
    for (const id of ['a', 'b']) events.emit('parked', { messageId: id, reason: 'late' })
    await notes.close()
    expect(told).toHaveLength(1)
  })
})
