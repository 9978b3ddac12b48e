import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Link } from '../../src/transport/link.js'
import { Standby } from '../../src/transport/standby.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A connection that dies when it is told to. */
class FakeLink {
  readonly where: string
  readonly closed: Promise<Error | undefined>
  open = true
  #end: (reason: Error | undefined) => void = () => undefined

  constructor(where: string) {
    this.where = where
    this.closed = new Promise(resolve => {
      this.#end = resolve
    })
  }

  die(): void {
    this.open = false
    this.#end(new Error('died'))
  }

  close(): Promise<void> {
    this.open = false
    this.#end(undefined)
    return Promise.resolve()
  }
}

interface Rig {
  readonly standby: Standby
  readonly links: FakeLink[]
  readonly avoided: (string | undefined)[]
  readonly ready: string[]
  fails: boolean
}

function rig(): Rig {
  const links: FakeLink[] = []
  const avoided: (string | undefined)[] = []
  const ready: string[] = []
  const self: Rig = {
    ...{ links, avoided, ready, fails: false },
    standby: new Standby(
      (_, avoid) => {
        if (self.fails) return Promise.reject(new Error('no node'))
        avoided.push(avoid)
        const link = new FakeLink(`node${links.length + 1}:5671`)
        links.push(link)
        return Promise.resolve(link as unknown as Link)
      },
      where => ready.push(where),
    ),
  }
  return self
}

const dial = (standby: Standby): Promise<Link> => standby.dial(new AbortController().signal)

test('another connection is opened elsewhere behind the first, and taken at once when that dies', async () => {
  const { standby, links, avoided, ready } = rig()
  const first = await dial(standby)
  await vi.advanceTimersByTimeAsync(10)
  expect([first.where, avoided, ready]).toEqual(['node1:5671', [undefined, 'node1:5671'], ['node2:5671']])
  expect(standby.dial.isReady?.()).toBe(true)
  links[0]?.die()
  expect((await dial(standby)).where).toBe('node2:5671')
  await vi.advanceTimersByTimeAsync(10)
  expect(ready).toEqual(['node2:5671', 'node3:5671'])
  await standby.close()
})

test('one that dies while it stands by is replaced; a dead one is never given', async () => {
  const { standby, links } = rig()
  await dial(standby)
  await vi.advanceTimersByTimeAsync(2_000)
  links[1]?.die()
  expect(standby.dial.isReady?.()).toBe(false)
  await vi.advanceTimersByTimeAsync(100)
  expect(standby.dial.isReady?.()).toBe(true)
  links[0]?.die()
  expect((await dial(standby)).where).toBe('node3:5671')
  await standby.close()
})

test('nodes that take connections and drop them are asked with growing pauses', async () => {
  const { standby, links } = rig()
  await dial(standby)
  for (let i = 0; i < 400; i++) {
    await vi.advanceTimersByTimeAsync(25)
    for (const link of links.slice(1)) if (link.open) link.die()
  }
  expect(links.length).toBeLessThan(30)
  await standby.close()
})

test('while there is no node, it is asked for again; close ends that and what stands by', async () => {
  const made = rig()
  await dial(made.standby)
  await vi.advanceTimersByTimeAsync(10)
  made.fails = true
  made.links[1]?.die()
  await vi.advanceTimersByTimeAsync(10_000)
  made.fails = false
  await vi.advanceTimersByTimeAsync(6_000)
  expect(made.standby.dial.isReady?.()).toBe(true)
  await made.standby.close()
  expect(made.links.at(-1)?.open).toBe(false)
  const count = made.links.length
  await vi.advanceTimersByTimeAsync(60_000)
  expect(made.links).toHaveLength(count)
})
