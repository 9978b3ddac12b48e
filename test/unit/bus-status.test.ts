import { describe, expect, test } from 'vitest'
import type { BusParts } from '../../src/bus-parts.js'
import { BusStatus } from '../../src/bus-status.js'
import { SealbusError } from '../../src/errors.js'
import { Events } from '../../src/events.js'
import type { Receiver } from '../../src/reliability/receiver.js'

type Parts = ConstructorParameters<typeof BusStatus>[0]

function partsWith(events: Events, state: 'ready' | 'connecting'): Parts {
  return { events, transport: { status: () => ({ state }) } as BusParts['transport'] }
}

describe('the status of a bus', () => {
  test('says why its receiver is paused, once the connection is not to blame', () => {
    const failing = new SealbusError('handler-failing', 'the handler fails for all senders')
    let receiver: Pick<Receiver, 'state' | 'hindrance'> = { state: 'running', hindrance: undefined }
    const ready = new BusStatus(partsWith(new Events(), 'ready'), () => receiver)
    const connecting = new BusStatus(partsWith(new Events(), 'connecting'), () => receiver)
    expect(ready.current()).toEqual({ state: 'ready' })
    receiver = { state: 'paused', hindrance: failing }
    expect(ready.current()).toEqual({ state: 'paused', reason: failing })
    expect(connecting.current()).toEqual({ state: 'connecting' })
  })

  test('is told when it changes, and not when it does not', () => {
    const events = new Events()
    const told: unknown[] = []
    events.on('status', status => told.push(status))
    let receiver: Pick<Receiver, 'state' | 'hindrance'> = { state: 'running', hindrance: undefined }
    const status = new BusStatus(partsWith(events, 'ready'), () => receiver)
    status.tell()
    status.tell()
    receiver = { state: 'failed', hindrance: undefined }
    status.tell()
    expect(told).toMatchObject([
      { state: 'ready', alarm: false },
      { state: 'paused', reason: { code: 'store-failed' }, alarm: true },
    ])
  })
})
