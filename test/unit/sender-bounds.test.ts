/** What the sending half must not do too soon or too much: shown by no other test, as mutations of the code found. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Flight, hub, other, rig, wire } from './sending-fixture.js'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const tick = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a channel', () => {
  it('of which a quarter is taken by lanes that have had no answer for a second keeps the rest for others', async () => {
    const made = rig()
    const party = (i: number): { domain: string; address: string } => ({
      domain: 'field',
      address: `heh-${i}`,
    })
    const send = (i: number): void => void made.sender.send(party(i), wire('x')).catch(() => undefined)
    for (let i = 0; i < 64; i++) send(i)
    await tick()
    expect(made.transport.inFlight).toHaveLength(64)
    await tick(1_500)
    for (let i = 0; i < 64; i++) send(i)
    await tick()
    expect(made.transport.inFlight).toHaveLength(64) // n.b. theirs: a quarter of 256
    const free = made.sender.send(other, wire('x'))
    free.catch(() => undefined)
    await tick()
    expect(made.transport.inFlight).toHaveLength(65)
    await made.sender.close()
  })
})

describe('an envelope that was alone in flight when its channel died', () => {
  it('once is sent again: only the second time it is poison', async () => {
    const made = rig()
    let deaths = 0
    made.transport.script = (flight: Flight): void => {
      if (deaths++ === 0) flight.channel.die('broker-refused')
      else flight.answer('confirmed')
    }
    const sent = made.sender.send(hub, wire('a'))
    await tick(1_000)
    expect(await sent).toMatchObject({ state: 'confirmed', seq: 0 })
    expect(made.transport.flights.at(-1)?.channel.kind).toBe('isolated')
    expect(made.events.map(({ event }) => event)).not.toContain('quarantined')
  })
})

describe('an envelope that was in flight with others when their channel died', () => {
  it('is not blamed for it: one death alone after that is its first', async () => {
    const made = rig()
    const innocent = made.sender.send(hub, wire('innocent'))
    const neighbour = made.sender.send(other, wire('neighbour'))
    await tick()
    expect(made.transport.inFlight).toHaveLength(2)
    let deaths = 0
    made.transport.script = (flight: Flight): void => {
      const isInnocent = flight.sealed.texts.includes('innocent')
      if (isInnocent && deaths++ === 0) flight.channel.die('broker-refused')
      else flight.answer('confirmed')
    }
    made.transport.inFlight[0]?.channel.die('broker-refused')
    await tick(2_000)
    expect(await innocent).toMatchObject({ state: 'confirmed' })
    expect(await neighbour).toMatchObject({ state: 'confirmed' })
  })
})

describe('an alarm of the broker', () => {
  it('stops publishing until it is over, and rejects nothing', async () => {
    const made = rig()
    made.transport.script = flight => flight.answer('confirmed')
    await made.sender.send(hub, wire('before'))
    made.transport.become('blocked')
    const sent = made.sender.send(hub, wire('a'))
    await tick(10_000)
    expect(made.transport.flights).toHaveLength(1)
    made.transport.become('ready')
    await tick()
    expect(await sent).toMatchObject({ state: 'confirmed' })
  })
})
