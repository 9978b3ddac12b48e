/** When a refusal is believed: the pauses between attempts, seen through the states. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SealbusError } from '../../src/errors.js'
import { Backoff } from '../../src/transport/backoff.js'
import type { Link } from '../../src/transport/link.js'
import { LastingLink } from '../../src/transport/reconnect.js'

const refusal = new SealbusError('unauthorised', 'the broker refuses the virtual host')

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A link that lives until `die` is called. */
function living(): { link: Link; die: () => void } {
  let die = (): void => undefined
  const closed = new Promise<Error | undefined>(resolve => {
    die = () => resolve(new Error('reset'))
  })
  const link = { open: true, where: 'a broker', closed, close: () => Promise.resolve() } as unknown as Link
  return { link, die: () => die() }
}

describe('a lasting link', () => {
  it('believes a refusal at once where nothing has worked yet', async () => {
    const states: string[] = []
    const lasting = new LastingLink(
      () => Promise.reject(refusal),
      ({ name }) => states.push(name),
      new Backoff(() => 1),
    )
    void lasting.link().catch(() => undefined)
    await vi.advanceTimersByTimeAsync(10)
    expect(states).toEqual(['connecting', 'refused'])
    await lasting.close()
  })

  it('takes the first two refusals after a loss for a node that goes down, and asks the next one soon', async () => {
    const states: string[] = []
    const { link, die } = living()
    const answers = [
      () => Promise.resolve(link),
      ...Array.from({ length: 9 }, () => () => Promise.reject(refusal)),
    ]
    const dial = (): Promise<Link> => (answers.shift() ?? (() => Promise.reject(refusal)))()
    const lasting = new LastingLink(dial, ({ name }) => states.push(name), new Backoff(() => 1))
    await lasting.link()
    die()
    await vi.advanceTimersByTimeAsync(400) // 50 after the loss, 50 and 100 after failures
    expect(states).toEqual([
      ...['connecting', 'open', 'waiting'],
      ...['connecting', 'waiting', 'connecting', 'waiting', 'connecting', 'refused'],
    ])
    await lasting.close()
  })
})
