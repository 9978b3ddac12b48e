/** What a broker may do to a client at any step, scripted on real sockets. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type RabbitOptions, rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Publication, PublishChannel, Transport } from '../../src/transport/transport.js'
import { frames, type Script, ScriptedBroker, type Session, type Step } from '../support/scripted-broker.js'

const cleanup: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

async function broker(script?: Script): Promise<ScriptedBroker> {
  const made = await ScriptedBroker.listen(script)
  cleanup.push(() => made.close())
  return made
}

function transport(urls: string | readonly string[], more: Partial<RabbitOptions> = {}): Transport {
  const made = rabbitTransport({
    brokers: [urls].flat(),
    address: 'a',
    credentials: { user: 'guest', password: 'guest' },
    inbox: { kind: 'classic', declare: false },
    allowPlaintext: true,
    connectTimeoutMs: 500,
    ...more,
  })
  cleanup.push(() => made.close())
  return made
}

function publication(messageId = '00'.repeat(16)): Publication {
  return { exchange: 'inbox', to: 'b', from: 'a', messageId, body: Uint8Array.of(1, 2, 3) }
}

/** The n-th step of a kind, over all connections, is the script's; everything else is usual. */
function once(step: Step, act: (session: Session, channel: number) => true): Script {
  let done = false
  return (seen, session, channel) => {
    if (done || seen !== step) return undefined
    done = true
    return act(session, channel)
  }
}

async function shared(made: Transport): Promise<PublishChannel> {
  await made.start()
  return await made.channel('shared')
}

const HANDSHAKE: readonly Step[] = [
  'accept',
  'header',
  'connection.start-ok',
  'connection.tune-ok',
  'connection.open',
]
/** Those that a client waits for an answer to. */
const ANSWERED: readonly Step[] = ['header', 'connection.start-ok', 'connection.open']
const SETUP: readonly Step[] = ['channel.open', 'confirm.select']
const CONSUME: readonly Step[] = ['channel.open', 'basic.qos', 'basic.consume']

describe('a reset is outlived at every step', () => {
  test.each([...HANDSHAKE, ...SETUP])('reset at %s: a channel within 2 s', async step => {
    const made = transport((await broker(once(step, session => session.reset()))).url)
    const startedAt = performance.now()
    expect((await shared(made)).open).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })

  test.each(CONSUME)('reset at %s of the consumer: consuming within 2 s', async step => {
    const events: string[] = []
    const made = transport((await broker(once(step, session => session.reset()))).url)
    made.onEvent(event => events.push(event.name))
    await made.start()
    await made.consume(() => undefined, { prefetch: 1 })
    await until(() => events.includes('consuming'), 2_000)
  })

  test.each(HANDSHAKE)('an orderly end at %s is outlived, too', async step => {
    const made = transport((await broker(once(step, session => session.end()))).url)
    expect((await shared(made)).open).toBe(true)
  })
})

describe('silence ends at a deadline', () => {
  test.each(ANSWERED)('silence at %s: the next attempt comes after the deadline', async step => {
    const made = transport((await broker(once(step, () => true))).url, { connectTimeoutMs: 200 })
    const startedAt = performance.now()
    await made.start()
    const took = performance.now() - startedAt
    expect(took).toBeGreaterThan(190)
    expect(took).toBeLessThan(1_500)
  })

  test('silence at channel.open: another connection after 5 s', async () => {
    const made = transport((await broker(once('channel.open', () => true))).url)
    expect((await shared(made)).open).toBe(true)
  })

  test('a link that carries nothing any more is given up within 8 s of the publish', async () => {
    const dead = new Set<Session>()
    const server = await broker((_, session) => dead.has(session) || undefined)
    const made = transport(server.url)
    const channel = await shared(made)
    for (const session of server.sessions) dead.add(session)
    const startedAt = performance.now()
    await expect(channel.publish(publication())).rejects.toMatchObject({ code: 'connection-lost' })
    expect(performance.now() - startedAt).toBeGreaterThan(5_500)
    expect(performance.now() - startedAt).toBeLessThan(8_500)
    expect((await made.channel('shared')).open).toBe(true)
  })

  test('a late confirm on a link that answers costs no reconnect', async () => {
    const server = await broker()
    const made = transport(server.url)
    const pending = (await shared(made)).publish(publication())
    await new Promise(resolve => setTimeout(resolve, 9_000))
    server.sessions[0]?.send(frames.ack(1, 1))
    expect(await pending).toBe('confirmed')
    expect(server.sessions).toHaveLength(1)
  })

  test('close() on a dead link ends within its deadline, with everything settled', async () => {
    let silent = false
    const made = transport((await broker(() => (silent ? true : undefined))).url)
    const channel = await shared(made)
    silent = true
    const pending = channel.publish(publication())
    const opening = made.channel('fresh')
    pending.catch(() => undefined)
    opening.catch(() => undefined)
    const startedAt = performance.now()
    await made.close()
    expect(performance.now() - startedAt).toBeLessThan(2_500)
    await expect(pending).rejects.toMatchObject({ code: 'connection-lost' })
    await expect(opening).rejects.toMatchObject({ code: 'closed' })
  })

  test.each([...ANSWERED, ...SETUP])(
    'close() during silence at %s ends, and so does what waits',
    async step => {
      const made = transport((await broker(seen => seen === step || undefined)).url, {
        connectTimeoutMs: 60_000,
      })
      const waiting = made.start().then(() => made.channel('shared'))
      waiting.catch(() => undefined)
      await new Promise(resolve => setTimeout(resolve, 50))
      await made.close()
      await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    },
  )

  test('a waiting start() and channel() end when their signal aborts', async () => {
    const made = transport('amqp://127.0.0.1:1')
    const reason = new Error('enough')
    await expect(made.start(AbortSignal.timeout(20))).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(made.channel('shared', AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(made.status().state).toBe('connecting')
  })
})

describe('consuming that is asked for in an outage', () => {
  test('consume() gives its handle when the signal fires, and the handle ends what never began', async () => {
    const made = transport('amqp://127.0.0.1:1')
    const startedAt = performance.now()
    const consumer = await made.consume(() => undefined, { prefetch: 1, signal: AbortSignal.timeout(50) })
    await consumer.stop()
    expect(performance.now() - startedAt).toBeLessThan(500)
  })

  test('stop() has a deadline where the broker keeps silent, and nothing is delivered afterwards', async () => {
    let consume = (): void => undefined
    const server = await broker((step, session, channel) => {
      if (step !== 'basic.consume') return undefined
      consume = () => session.send(frames.consumeOk(channel), frames.deliver(channel, 1, 'x'))
      return true
    })
    const made = transport(server.url)
    let delivered = 0
    const consumer = await made.consume(() => delivered++, { prefetch: 1, signal: AbortSignal.timeout(50) })
    const startedAt = performance.now()
    await consumer.stop()
    expect(performance.now() - startedAt).toBeLessThan(2_500)
    consume()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(delivered).toBe(0)
  })
})

describe('confirms match by channel and delivery tag', () => {
  test('out of order, several at once, acks and nacks', async () => {
    let [published, on] = [0, 0]
    const server = await broker((step, _, channel) => {
      if (step === 'basic.publish') [published, on] = [published + 1, channel]
      return undefined
    })
    const { sessions } = server
    const channel = await shared(transport(server.url))
    const words = Array.from({ length: 6 }, () => channel.publish(publication()))
    const order: number[] = []
    words.forEach((word, i) => void word.then(() => order.push(i)))
    await until(() => published === 6)
    sessions[0]?.send(frames.ack(on, 2), frames.nack(on, 3), frames.ack(on, 5))
    sessions[0]?.send(frames.ack(on, 4, true), frames.ack(on, 99), frames.nack(on, 6, true))
    expect(await Promise.all(words)).toEqual([
      'confirmed',
      'confirmed',
      'nacked',
      'confirmed',
      'confirmed',
      'nacked',
    ])
    expect(order).toEqual([1, 2, 4, 0, 3, 5])
  })

  test('a return precedes its ack and is matched by message id', async () => {
    const ids = ['aa', 'bb', 'bb'].map(id => id.repeat(16))
    let published = 0
    const server = await broker((step, session, channel) => {
      if (step !== 'basic.publish') return undefined
      published += 1
      if (published < 3) return true
      const returned = frames.returned(channel, ids[1] ?? '')
      return session.send(returned, frames.ack(channel, 2), frames.ack(channel, 3), frames.ack(channel, 1))
    })
    const channel = await shared(transport(server.url))
    const words = await Promise.all(ids.map(id => channel.publish(publication(id))))
    expect(words).toEqual(['confirmed', 'returned', 'confirmed'])
  })

  test('a channel that dies settles each publish once; its late confirms count for nothing', async () => {
    let published = 0
    const server = await broker((step, session, channel) => {
      if (step !== 'basic.publish' || ++published !== 3) return undefined
      const death = frames.channelClose(channel, 406, 'PRECONDITION_FAILED - poison')
      return session.send(frames.ack(channel, 1), death, frames.ack(channel, 3, true))
    })
    const made = transport(server.url)
    const channel = await shared(made)
    const words = await Promise.allSettled(Array.from({ length: 3 }, () => channel.publish(publication())))
    expect(words[0]).toMatchObject({ value: 'confirmed' })
    for (const word of words.slice(1)) expect(word).toMatchObject({ reason: { code: 'broker-refused' } })
    expect(await channel.closed).toMatchObject({ code: 406 })
    expect((await made.channel('shared')).id).toBeGreaterThan(channel.id)
  })

  test.each([320, 501, 541])(
    'a connection closed with %i leaves the outcome unknown, whoever was on it',
    async code => {
      const server = await broker(
        once('basic.publish', session => session.send(frames.connectionClose(code, 'on purpose'))),
      )
      const made = transport(server.url)
      const events: string[] = []
      made.onEvent(event => events.push(event.name))
      const channel = await shared(made)
      const expected = { code: 'connection-lost', message: expect.stringContaining('on purpose') as unknown }
      await expect(channel.publish(publication())).rejects.toMatchObject(expected)
      expect((await made.channel('shared')).open).toBe(true)
      expect(made.status()).toEqual({ state: 'ready' })
      expect(events).not.toContain('channel-failed') // n.b. nobody was given the dead link meanwhile
    },
  )

  test.each([
    [404, "NOT_FOUND - no exchange 'sealbus.parked' in vhost 'sealbus'", true],
    [
      403,
      "ACCESS_REFUSED - access to exchange 'sealbus.parked' in vhost 'sealbus' refused for user 'a'",
      true,
    ],
    [404, "NOT_FOUND - no exchange 'sealbus' in vhost 'sealbus'", false],
    [403, "ACCESS_REFUSED - access to exchange 'sealbus' in vhost 'sealbus' refused for user 'a'", false],
  ])('%i %s: only a refusal of our exchange makes everybody wait', async (code, words, goesOn) => {
    const server = await broker(
      once('basic.publish', (session, channel) => session.send(frames.channelClose(channel, code, words))),
    )
    const made = transport(server.url)
    await made.start()
    const suspect = await made.channel('isolated')
    await expect(suspect.publish(publication())).rejects.toMatchObject({ code: 'unauthorised' })
    const next = made.channel('shared', AbortSignal.timeout(300)).then(
      () => true,
      () => false,
    )
    expect(await next).toBe(goesOn)
    expect(made.status().state).toBe(goesOn ? 'ready' : 'unauthorised')
  })

  test('a refusal of the exchange is forgotten with its connection, though nobody publishes', async () => {
    const words = "NOT_FOUND - no exchange 'sealbus' in vhost 'sealbus'"
    const server = await broker(
      once('basic.publish', (session, channel) => session.send(frames.channelClose(channel, 404, words))),
    )
    const made = transport(server.url)
    await expect((await shared(made)).publish(publication())).rejects.toMatchObject({ code: 'unauthorised' })
    expect(made.status().state).toBe('unauthorised')
    server.sessions[0]?.reset()
    await until(() => made.status().state === 'ready', 1_000)
  })

  test('callers of one moment share a fresh channel; the next moment gets another', async () => {
    const made = transport((await broker()).url)
    await made.start()
    const [one, two] = await Promise.all([made.channel('fresh'), made.channel('fresh')])
    expect(one).toBe(two)
    const three = await made.channel('fresh')
    expect(three).not.toBe(one)
    one.release()
    expect(one.open).toBe(true)
    two.release()
    expect(one.open).toBe(false)
  })

  test('at most 16 fresh channels live; past that the living come in turn', async () => {
    const made = transport((await broker()).url)
    await made.start()
    const ids = new Set<number>()
    for (let i = 0; i < 48; i++) ids.add((await made.channel('fresh')).id)
    expect(ids.size).toBe(16)
  })
})

describe('a broker that misbehaves ends a connection, not the process', () => {
  test('open-ok and a fatal close in one segment', async () => {
    const server = await broker(
      once('connection.open', session =>
        session.send(frames.openOk, frames.connectionClose(541, 'INTERNAL_ERROR')),
      ),
    )
    expect((await shared(transport(server.url))).open).toBe(true)
  })

  test.each([
    ['garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a frame on a channel that nobody opened', frames.selectOk(77)],
    ['an unexpected method', frames.qosOk(0)],
    ['a frame without its end', Buffer.from([1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 10, 0])],
  ])('%s, in the middle of work', async (_, bytes) => {
    const server = await broker(once('basic.publish', session => session.send(bytes)))
    const made = transport(server.url)
    const channel = await shared(made)
    await expect(channel.publish(publication())).rejects.toMatchObject({ code: 'connection-lost' })
    expect((await made.channel('shared')).open).toBe(true)
  })

  test.each([
    ['garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a close', frames.connectionClose(541, 'INTERNAL_ERROR')],
  ])('%s, at each step of the handshake', async (_, bytes) => {
    for (const step of HANDSHAKE) {
      const made = transport((await broker(once(step, session => session.send(bytes)))).url)
      expect((await shared(made)).open).toBe(true)
    }
  })

  test('a consumer that is cancelled is built anew, and its acknowledgements are stale', async () => {
    const server = await broker((step, session, channel) => {
      if (step !== 'basic.consume') return undefined
      session.send(frames.consumeOk(channel), frames.deliver(channel, 1, 'x'))
      return true
    })
    const made = transport(server.url)
    await made.start()
    const tokens: (() => boolean)[] = []
    let lost = 0
    await made.consume(delivery => tokens.push(() => delivery.ack()), { prefetch: 1, onLost: () => lost++ })
    await until(() => tokens.length === 1)
    const consuming = server.sessions[1]
    consuming?.send(frames.cancel(1))
    await until(() => lost === 1 && tokens.length === 2)
    expect(tokens.map(ack => ack())).toEqual([false, true])
  })

  test('a body that was worked on for too long costs its channel, no refusal, and an event', async () => {
    const words =
      'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms.'
    const server = await broker()
    const made = transport(server.url)
    const events: string[] = []
    made.onEvent(event => events.push(event.name))
    await made.start()
    await made.consume(() => undefined, { prefetch: 1 })
    server.sessions[1]?.send(frames.channelClose(1, 406, words))
    await until(() => events.filter(name => name === 'consuming').length === 2, 500)
    expect(events).toContain('acknowledgement-timeout')
    expect(made.status()).toEqual({ state: 'ready' })
  })

  test('a consumer that dies as soon as it consumes is built anew ever more slowly', async () => {
    const server = await broker((step, session, channel) => {
      if (step !== 'basic.consume') return undefined
      return session.send(frames.consumeOk(channel), frames.cancel(channel))
    })
    const made = transport(server.url)
    let lost = 0
    await made.start()
    await made.consume(() => undefined, { prefetch: 1, onLost: () => lost++ })
    await new Promise(resolve => setTimeout(resolve, 2_000))
    expect(lost).toBeLessThan(25)
  })

  test('while it blocks publishers, channel() pends and the status says why', async () => {
    const server = await broker()
    const made = transport(server.url)
    await made.start()
    server.sessions[0]?.send(frames.blocked('low on memory'))
    await until(() => made.status().state === 'blocked')
    expect(made.status().reason?.message).toContain('low on memory')
    const waiting = made.channel('shared')
    expect(await Promise.race([waiting, new Promise(resolve => setTimeout(resolve, 100, 'pending'))])).toBe(
      'pending',
    )
    server.sessions[0]?.send(frames.unblocked)
    expect((await waiting).open).toBe(true)
    expect(made.status()).toEqual({ state: 'ready' })
  })
})

describe('an inbox that delivers nothing for 30 s is looked at', () => {
  afterEach(() => void vi.useRealTimers())

  type Answer = (session: Session, channel: number) => true
  const count = (consumers: number): Answer => {
    return (session, channel) => session.send(frames.declareOk(channel, consumers))
  }
  const refuse = (code: number): Answer => {
    return (session, channel) => session.send(frames.channelClose(channel, code, 'refused'))
  }

  test.each([
    ['has our consumer', count(1), [1, 1]],
    ['has no consumer', count(0), [2, 3]],
    ['is gone', refuse(404), [2, 3]],
    ['may not be looked at', refuse(403), [2, 2]],
  ])('it %s: how often we consume then', async (_, answer, expected) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    let [consumed, looked] = [0, 0]
    const server = await broker((step, session, channel) => {
      if (step === 'basic.consume') consumed += 1
      if (step !== 'queue.declare') return undefined
      looked += 1
      return answer(session, channel)
    })
    const made = transport(server.url, { heartbeatSeconds: 3_600 })
    await made.start()
    await made.consume(() => undefined, { prefetch: 1 })
    vi.advanceTimersByTime(29_000)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect([consumed, looked]).toEqual([1, 0])
    for (const [i, times] of expected.entries()) {
      vi.advanceTimersByTime(30_500) // one look, not two
      await until(() => looked > i && consumed >= times)
      await new Promise(resolve => setTimeout(resolve, 150))
      expect(consumed).toBe(times)
    }
  })

  test('who may declare binds it again then: a binding that was taken away is told to nobody', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    let bound = 0
    const server = await broker((step, session, channel) => {
      if (step === 'queue.bind') bound += 1
      if (step === 'queue.bind') return session.send(frames.bindOk(channel))
      return step === 'queue.declare' ? session.send(frames.declareOk(channel, 1)) : undefined
    })
    const made = transport(server.url, { heartbeatSeconds: 3_600, inbox: { kind: 'quorum', declare: true } })
    await made.start()
    await made.consume(() => undefined, { prefetch: 1 })
    expect(bound).toBe(2) // inbox and parking
    vi.advanceTimersByTime(31_000)
    await until(() => bound === 4)
  })
})

describe('options are checked at construction', () => {
  const good: RabbitOptions = {
    brokers: ['amqps://localhost'],
    address: 'a',
    tls: () => Promise.resolve({ ca: '' }),
    inbox: { kind: 'quorum', declare: true },
  }
  test.each([
    ['no broker', { brokers: [] }],
    ['another scheme', { brokers: ['http://localhost'] }],
    ['plaintext unasked', { brokers: ['amqp://localhost'] }],
    ['a password in the URL', { brokers: ['amqps://u:secret@localhost'] }],
    ['plaintext without user', { brokers: ['amqp://localhost'], allowPlaintext: true }],
    ['an address with a dot', { address: 'a.b' }],
    ['another kind', { inbox: { kind: 'stream', declare: true } as unknown as RabbitOptions['inbox'] }],
  ])('%s', (_, wrong) => {
    expect(() => rabbitTransport({ ...good, ...wrong })).toThrow(
      expect.objectContaining({ code: 'configuration' }),
    )
  })

  test.each([
    { connectTimeoutMs: 99 },
    { connectTimeoutMs: 1.5 },
    { heartbeatSeconds: 0 },
    { reconnectMaxMs: 999 },
    { reconnectMaxMs: 600_001 },
  ])('%o', wrong => {
    expect(() => rabbitTransport({ ...good, ...wrong })).toThrow(RangeError)
  })

  test('amqps without a CA', () => {
    const { brokers, address, inbox } = good
    expect(() => rabbitTransport({ brokers, address, inbox })).toThrow('tls: expected')
  })

  test('a password in a URL is not repeated in the error', () => {
    expect(() => rabbitTransport({ ...good, brokers: ['https://u:secret@localhost'] })).not.toThrow(/secret/)
  })
})

async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endAt = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > endAt) throw new Error('waited in vain')
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
