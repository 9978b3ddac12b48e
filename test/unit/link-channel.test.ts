/** A channel on a link: what it leaves behind, and when its closing may cost the link. */
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Channel } from '../../src/transport/amqp.js'
import { LinkChannel, type LinkOfChannel } from '../../src/transport/link-channel.js'

class FakeLink implements LinkOfChannel {
  readonly listeners = new Set<() => void>()
  blocked: string | undefined
  open = true
  reason: Error | undefined

  onDeath(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  destroy(reason: Error): void {
    this.open = false
    this.reason = reason
    for (const listener of [...this.listeners]) listener()
  }
}

function channel(close: (emitter: EventEmitter) => Promise<void>): Channel {
  const emitter = new EventEmitter()
  return Object.assign(emitter, { close: () => close(emitter) }) as unknown as Channel
}

const answered = (): Channel => channel(emitter => Promise.resolve(void emitter.emit('close')))
const unanswered = (): Channel => channel(() => new Promise(() => undefined))

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a channel', () => {
  it('that is closed is forgotten by its link', async () => {
    const link = new FakeLink()
    const opened = new LinkChannel(answered(), link)
    expect(link.listeners.size).toBe(1)
    await opened.close()
    expect(link.listeners.size).toBe(0)
    expect(await opened.closed).toBeUndefined()
  })

  it('dies with its link, and says of what', async () => {
    const link = new FakeLink()
    const opened = new LinkChannel(unanswered(), link)
    link.destroy(new Error('reset'))
    expect(await opened.closed).toMatchObject({
      code: 'connection-lost',
      message: expect.stringContaining('reset') as unknown,
    })
  })

  it('whose closing is not answered costs the link after 2 s', async () => {
    const link = new FakeLink()
    void new LinkChannel(unanswered(), link).close()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(link.open).toBe(false)
  })

  it('that amqplib refuses to close costs the link at once, alarm or not', async () => {
    const link = new FakeLink()
    link.blocked = 'low on disk'
    await new LinkChannel(
      channel(() => Promise.reject(new Error('closing already'))),
      link,
    ).close()
    expect(link.open).toBe(false)
  })

  it('may take as long as an alarm to close, and 2 s to 4 s more', async () => {
    const link = new FakeLink()
    link.blocked = 'low on disk'
    const closing = new LinkChannel(unanswered(), link).close()
    await vi.advanceTimersByTimeAsync(61_000)
    expect(link.open).toBe(true)
    link.blocked = undefined
    await vi.advanceTimersByTimeAsync(1_900)
    expect(link.open).toBe(true)
    await vi.advanceTimersByTimeAsync(2_100)
    expect(link.open).toBe(false)
    await closing
  })

  it('that is closing in an alarm ends with its link', async () => {
    const link = new FakeLink()
    link.blocked = 'low on disk'
    const closing = new LinkChannel(unanswered(), link).close()
    await vi.advanceTimersByTimeAsync(10_000)
    link.destroy(new Error('reset'))
    await closing
    expect(link.reason?.message).toBe('reset')
  })
})
