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
    expect([kinds, released()]).toEqual([['shared'], 1])
  })

  test('goes on after a lost channel for as long as it takes, and on a fresh one after a nack', async () => {
    const lost = new SealbusError('connection-lost', 'gone')
    const { transport, kinds } = scripted([lost, lost, 'nacked', 'confirmed'])
    await createPark(transport)(publication)
    expect(kinds).toEqual([...Array<ChannelKind>(3).fill('shared'), 'fresh'])
  })

  test('is full after five refusals', async () => {
    const { transport, kinds } = scripted(['nacked', 'nacked', 'returned', 'nacked', 'returned', 'confirmed'])
    await expect(createPark(transport)(publication)).rejects.toMatchObject({ code: 'buffer-full' })
    expect(kinds).toHaveLength(5)
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
