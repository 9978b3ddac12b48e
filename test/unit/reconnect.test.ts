/** When a refusal is believed: the pauses between attempts, seen through the states. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SealbusError } from '../../src/errors.js'
import { Backoff } from '../../src/transport/backoff.js'
import type { Link } from '../../src/transport/link.js'
import { LastingLink, type LinkState } from '../../src/transport/reconnect.js'

const refusal = new SealbusError('unauthorised', 'the broker refuses the virtual host')

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A link that lives until `die` is called. */
function living(): { link: Link; die: () => void } {
  let die = (): void => undefined
  const closed = new Promise<Error | undefined>(resolve => {
    die = () => resolve(new Error('reset'))
  })
  const close = (): Promise<void> => {
    die()
    return Promise.resolve()
  }
  const link = { open: true, where: 'a broker', closed, close } as unknown as Link
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
    await vi.advanceTimersByTimeAsync(1_000)
    die()
    await vi.advanceTimersByTimeAsync(400) // 50 after the loss, 50 and 100 after failures
    expect(states).toEqual([
      ...['connecting', 'open', 'waiting'],
      ...['connecting', 'waiting', 'connecting', 'waiting', 'connecting', 'refused'],
    ])
    await lasting.close()
  })

  it('is back within 50 ms, however often, when it had lived for a second', async () => {
    const pauses = await lives(1_000, 12)
    expect(pauses).toEqual(Array(12).fill(50))
  })

  it('comes back ever more slowly when it dies as soon as it is open', async () => {
    const pauses = await lives(999, 9)
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  })
})

/** The pauses after links that each live for so long. */
async function lives(lifeMs: number, count: number): Promise<number[]> {
  const pauses: number[] = []
  let die = (): void => undefined
  const dial = (): Promise<Link> => {
    const made = living()
    die = made.die
    return Promise.resolve(made.link)
  }
  const changed = (state: LinkState): void => {
    if (state.name === 'waiting') pauses.push(state.delayMs)
  }
  const lasting = new LastingLink(dial, changed, new Backoff(() => 1))
  for (let i = 0; i < count; i++) {
    await lasting.link()
    await vi.advanceTimersByTimeAsync(lifeMs)
    die()
    await vi.advanceTimersByTimeAsync(0)
    await vi.advanceTimersByTimeAsync(pauses.at(-1) ?? 0)
  }
  await lasting.close()
  return pauses
}
