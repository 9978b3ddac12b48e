/** When a link that still lives is asked, and when it counts as dead: pure, a look for each second. */
import { describe, expect, it } from 'vitest'
import type { Link } from '../../src/transport/link.js'
import { ConfirmWatchdog, starvation } from '../../src/transport/watchdog.js'

/** A link that answers each question, as long as `answers`, and counts them. */
class FakeLink {
  readonly where = 'a broker'
  readonly blocked = undefined
  answers = true
  bytesRead = 0
  asked = 0
  killed: Error | undefined

  plainChannel(): Promise<{ close(): Promise<void> }> {
    this.asked += 1
    if (!this.answers) return new Promise(() => undefined)
    this.bytesRead += 20
    return Promise.resolve({ close: () => Promise.resolve() })
  }

  destroy(reason: Error): void {
    this.killed ??= reason
  }
}

/** One publish stays unconfirmed from second 0 on; the link hears a heartbeat every 10 s while it answers. */
function watch(link: FakeLink, seconds: number, each: (second: number) => void = () => undefined): void {
  const watchdog = new ConfirmWatchdog()
  for (let second = 0; second <= seconds && link.killed === undefined; second++) {
    each(second)
    if (link.answers && second % 10 === 0) link.bytesRead += 8
    watchdog.look(link as unknown as Link, 0, second * 1_000, true)
  }
}

describe('the watch over confirms', () => {
  it('lets a link live that answers, however late its confirms are', () => {
    const link = new FakeLink()
    watch(link, 60)
    expect(link.killed).toBeUndefined()
    expect(link.asked).toBeGreaterThan(8)
  })

  it('gives up a link that falls silent after having answered, within 7 s', () => {
    const link = new FakeLink()
    let last = 0
    watch(link, 60, second => {
      link.answers = second < 31
      last = second
    })
    expect(last).toBeLessThanOrEqual(31 + 7)
    expect(link.killed).toMatchObject({ code: 'timeout' })
  })
})

describe('the watch over an inbox that delivers nothing', () => {
  const waiting = { consumerCount: 1, messageCount: 3 }

  it('consumes anew where the broker knows no consumer', () => {
    expect(starvation({ consumerCount: 0, messageCount: 0 }, true, 10)).toMatch('no consumer')
  })

  it('consumes anew where bodies wait that we may take', () => {
    expect(starvation(waiting, false, 10)).toMatch('3 bodies wait')
  })

  it('lets an inbox be that is empty, or whose bodies we may not take yet', () => {
    expect(starvation({ consumerCount: 1, messageCount: 0 }, false, 10)).toBeUndefined()
    expect(starvation(waiting, false, 0)).toBeUndefined()
  })

  it('lets a single active consumer wait for its turn', () => {
    expect(starvation(waiting, true, 10)).toBeUndefined()
  })
})
