import { describe, expect, test } from 'vitest'
import { SealbusError } from '../../src/errors.js'
import { createPark } from '../../src/reliability/parking.js'
import type { ChannelKind, Confirmation, Publication } from '../../src/transport/transport.js'

const publication: Publication = {
  exchange: 'parked',
  to: 'tso',
  from: 'heh-0001',
  messageId: '00'.repeat(16),
  body: Uint8Array.of(1),
}

function scripted(answers: readonly (Confirmation | Error)[]) {
  const kinds: ChannelKind[] = []
  let released = 0
  const channel = (kind: ChannelKind) => {
    const answer = answers[Math.min(kinds.push(kind), answers.length) - 1] ?? 'confirmed'
    return Promise.resolve({
      id: kinds.length,
      open: true,
      publish: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)),
      closed: new Promise<undefined>(() => undefined),
      release: () => {
        released += 1
      },
    })
  }
  return { transport: { channel }, kinds, released: () => released }
}

describe('parking', () => {
  test('resolves at the confirm, and gives the channel back', async () => {
    const { transport, kinds, released } = scripted(['confirmed'])
    await createPark(transport)(publication)
    expect([kinds, released()]).toEqual([['isolated'], 1])
  })

  test('goes on after a lost channel for as long as it takes, and on another channel after a nack', async () => {
    const lost = new SealbusError('connection-lost', 'gone')
    const { transport, kinds } = scripted([lost, lost, 'nacked', 'confirmed'])
    await createPark(transport)(publication)
    expect(kinds).toEqual(Array<ChannelKind>(4).fill('isolated'))
  })

  test('is full after five refusals', async () => {
    const { transport, kinds } = scripted(['nacked', 'nacked', 'returned', 'nacked', 'returned', 'confirmed'])
    await expect(createPark(transport)(publication)).rejects.toMatchObject({ code: 'buffer-full' })
    expect(kinds).toHaveLength(5)
  })

  test('is refused where its exchange is, after five answers, and never on a channel of others', async () => {
    const { transport, kinds } = scripted([new SealbusError('unauthorised', 'no exchange sealbus.parked')])
    await expect(createPark(transport)(publication)).rejects.toMatchObject({ code: 'buffer-full' })
    expect(kinds).toEqual(Array<ChannelKind>(5).fill('isolated'))
  })

  test('what is parked in one moment shares a channel, which goes back with the last of it', async () => {
    const { transport, kinds, released } = scripted(['confirmed'])
    const park = createPark(transport)
    await Promise.all(Array.from({ length: 3_000 }, () => park(publication)))
    expect([kinds, released()]).toEqual([['isolated'], 1])
    await park(publication)
    expect([kinds.length, released()]).toEqual([2, 2])
  })

  test('whoever stops waiting for the channel leaves it to the others', async () => {
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const { transport, kinds, released } = scripted(['confirmed'])
    const late = { channel: (kind: ChannelKind) => gate.then(() => transport.channel(kind)) }
    const park = createPark(late)
    const stop = new AbortController()
    const [stopped, stays] = [park(publication, stop.signal), park(publication)]
    stop.abort(new Error('stopping'))
    await expect(stopped).rejects.toThrow('stopping')
    open()
    await stays
    expect([kinds, released()]).toEqual([['isolated'], 1])
  })

  test('ends with a closed transport, and with its signal', async () => {
    const closed = scripted([new SealbusError('closed', 'closed')])
    await expect(createPark(closed.transport)(publication)).rejects.toMatchObject({ code: 'closed' })
    const stop = new AbortController()
    const lost = scripted([new SealbusError('connection-lost', 'gone')])
    const parking = createPark(lost.transport)(publication, stop.signal)
    stop.abort(new Error('stopping'))
    await expect(parking).rejects.toThrow('stopping')
  })
})
