/** A bus in an outage: the transport can be started, and consuming does not begin. */
import { describe, expect, it } from 'vitest'
import type { Bus } from '../../src/bus.js'
import { MemoryBroker, memoryTransport, plainBus } from '../../src/index.js'

const never = (): Promise<never> => new Promise(() => undefined)

function outage(): Promise<Bus> {
  const transport = memoryTransport(new MemoryBroker(), 'vpp-0001')
  transport.consume = never
  return plainBus({ transport })
}

describe('in an outage', () => {
  it('a request ends at its time limit', async () => {
    const bus = await outage()
    const asked = bus.request('heh-0001', { type: 'ask', payload: 'now?' }, { timeoutMs: 100 })
    await expect(asked).rejects.toMatchObject({ code: 'request-timeout' })
    await bus.close()
  })

  it('drain ends, and with it what waits to consume', async () => {
    const bus = await outage()
    const consuming = bus.consume(() => undefined)
    consuming.catch(() => undefined)
    const startedAt = performance.now()
    await bus.drain({ timeoutMs: 500 })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    await expect(consuming).rejects.toMatchObject({ code: 'closed' })
  })
})
