/** The transport against a real broker: the contract, and what a broker refuses or takes away. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { erlangBinary } from '../../cluster/erlang.js'
import { type RabbitOptions, rabbitTransport } from '../../src/transport/rabbitmq.js'
import type { Transport, TransportStatus } from '../../src/transport/transport.js'
import {
  describeTransport,
  Inbox,
  publication,
  publishSurely,
  type TransportHarness,
} from '../support/transport-contract.js'
import { withCluster } from './support.js'

const running = withCluster({ nodes: 1 })

const harness: TransportHarness = {
  addresses: ['vpp', 'tso'],
  make: address => transportFor(address),
  killConnections: () => running().cluster.closeAllConnections('on purpose'),
  reset: () => deleteQueues(),
}

function options(address: string, more: Partial<RabbitOptions> = {}): RabbitOptions {
  return {
    brokers: running().urls,
    address,
    tls: () => Promise.resolve(running().tls(address)),
    inbox: { kind: 'quorum', declare: !address.startsWith('heh') },
    connectTimeoutMs: 3_000,
    ...more,
  }
}

const open: Transport[] = []

function transportFor(address: string, more: Partial<RabbitOptions> = {}): Transport {
  const transport = rabbitTransport(options(address, more))
  open.push(transport)
  return transport
}

async function started(address: string, more: Partial<RabbitOptions> = {}): Promise<Transport> {
  const transport = transportFor(address, more)
  await transport.start()
  return transport
}

/** What the self-declaring addresses declare. */
const OWN_QUEUES = ['inbox.vpp', 'parked.vpp', 'inbox.tso', 'parked.tso']

async function deleteQueues(queues: readonly string[] = OWN_QUEUES): Promise<void> {
  const each =
    'case rabbit_amqqueue:lookup(rabbit_misc:r(<<"sealbus">>, queue, N)) of ' +
    '{ok, Q} -> rabbit_amqqueue:delete(Q, false, false, <<"test">>), ok; _ -> ok end'
  await erl(`[${each} || N <- [${queues.map(erlangBinary).join(', ')}]], ok`)
}

async function erl(expression: string): Promise<unknown> {
  return await running().cluster.evaluate(expression)
}

/** Until the status is the one; resolves with it. */
async function status(
  transport: Transport,
  state: TransportStatus['state'],
  timeoutMs = 15_000,
): Promise<TransportStatus> {
  const endAt = Date.now() + timeoutMs
  while (transport.status().state !== state) {
    if (Date.now() > endAt) throw new Error(`expected ${state}, is ${JSON.stringify(transport.status())}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return transport.status()
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(transport => transport.close()))
})

describeTransport('RabbitMQ', () => harness)

describe('what a real broker refuses is a named state', () => {
  test('a strict address consumes and publishes without declaring', async () => {
    const [receiver, sender] = [await started('heh-0001'), await started('vpp')]
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 10 })
    expect(await publishSurely(sender, { ...publication(harness, 'hi', 'heh-0001'), from: 'vpp' })).toBe(
      'confirmed',
    )
    await inbox.until(() => inbox.texts[0] === 'hi')
  })

  test('a CA that did not sign the broker: unauthorised, and the message says serverCa', async () => {
    const wrong = { ...running().tls('vpp'), ca: running().tls('vpp').cert }
    const transport = transportFor('vpp', { tls: () => Promise.resolve(wrong) })
    const starting = transport.start()
    starting.catch(() => undefined)
    const { reason } = await status(transport, 'unauthorised')
    expect(reason).toMatchObject({ code: 'unauthorised' })
    expect(reason?.message).toContain('serverCa')
    await transport.close()
    await expect(starting).rejects.toMatchObject({ code: 'closed' })
  })

  test('an expired client certificate: unauthorised; a renewed one is used without a restart', async () => {
    let material = expired('vpp')
    const transport = transportFor('vpp', { tls: () => Promise.resolve(material) })
    const starting = transport.start()
    const { reason } = await status(transport, 'unauthorised')
    expect(reason?.message).toMatch(/certificate has expired/)
    material = running().tls('vpp')
    await starting
    expect(transport.status()).toEqual({ state: 'ready' })
  })

  test('a user that does not exist: unauthorised until it does', async () => {
    const tls = running().addCertificate('ghost')
    const transport = transportFor('ghost', { tls: () => Promise.resolve(tls) })
    const starting = transport.start()
    const { reason } = await status(transport, 'unauthorised')
    expect(reason?.message).toMatch(/refuses our user/)
    await running().cluster.ctl(['add_user', 'ghost', 'x'])
    await running().cluster.ctl(['set_permissions', '-p', 'sealbus', 'ghost', '.*', '.*', '.*'])
    await starting
  })

  test('a virtual host that does not exist: unauthorised', async () => {
    const transport = transportFor('vpp', { vhost: 'nowhere' })
    transport.start().catch(() => undefined)
    const { reason } = await status(transport, 'unauthorised')
    expect(reason?.message).toMatch(/virtual host/)
  })

  test('a deleted exchange rejects publishes as unauthorised, and heals when it is back', async () => {
    const sender = await started('tso')
    await started('vpp')
    const exchange = 'rabbit_misc:r(<<"sealbus">>, exchange, <<"sealbus">>)'
    await erl(`rabbit_exchange:delete(${exchange}, false, <<"test">>), ok`)
    const channel = await sender.channel('shared')
    await expect(channel.publish(publication(harness, 'x'))).rejects.toMatchObject({ code: 'unauthorised' })
    const { reason } = await status(sender, 'unauthorised')
    expect(reason?.message).toContain('NOT_FOUND')
    await running().cluster.importDefinitions(running().definitions)
    await deleteQueues()
    const owner = await started('vpp') // n.b. the bindings went with the exchange
    expect(await publishSurely(sender, publication(harness, 'y'))).toBe('confirmed')
    expect(sender.status()).toEqual({ state: 'ready' })
    await owner.close()
  })

  test('a topic that is refused rejects that publish; its neighbours are unknown, not refused', async () => {
    const sender = await started('tso')
    await started('vpp')
    const channel = await sender.channel('shared')
    const forged = channel.publish({ ...publication(harness, 'forged'), from: 'vpp' })
    const neighbour = channel.publish(publication(harness, 'honest'))
    await expect(forged).rejects.toMatchObject({ code: 'unauthorised' })
    await neighbour.then(
      word => expect(word).toBe('confirmed'),
      (error: unknown) => expect(error).toMatchObject({ code: 'connection-lost' }),
    )
    expect(sender.status()).toEqual({ state: 'ready' })
    expect(await publishSurely(sender, publication(harness, 'y'))).toBe('confirmed')
  })

  test('an inbox that exists with other arguments: a named state, sending goes on, and it heals', async () => {
    await deleteQueues()
    const [sender] = [await started('vpp', { inbox: { kind: 'classic', declare: true } })]
    const other = await started('vpp')
    const { reason } = await status(other, 'unauthorised')
    expect(reason).toMatchObject({ code: 'broker-refused' })
    expect(await publishSurely(other, { ...publication(harness, 'self'), from: 'vpp' })).toBe('confirmed')
    await sender.close()
    await deleteQueues()
    await status(other, 'ready')
  })
})

/** A way to the broker that is cut by a reset after so many bytes, then whole again. */
async function cutAfter(bytes: readonly number[]): Promise<{ url: string; close: () => void }> {
  const target = Number(new URL(running().urls[0] ?? '').port)
  const cuts = [...bytes]
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    let left = cuts.shift() ?? Infinity
    const upstream = connect(target, '127.0.0.1')
    const reset = (): unknown => [client, upstream].map(each => each.resetAndDestroy())
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.on('data', data => {
        to.write(data.subarray(0, Math.min(data.length, left)))
        left -= data.length
        if (left <= 0) reset()
      })
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { url: `amqps://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

describe('a real connection that is cut', () => {
  test('at any byte of TLS handshake, AMQP handshake and set-up: usable within 2 s of the last cut', async () => {
    await started('vpp')
    for (const cut of [1, 300, 700, 1_200, 1_800, 2_400, 3_000, 3_600, 4_200, 5_000, 6_000, 7_000]) {
      const way = await cutAfter([cut, cut + 97])
      const sender = transportFor('tso', { brokers: [way.url] })
      const startedAt = performance.now()
      await sender.start()
      expect(await publishSurely(sender, publication(harness, `cut ${cut}`))).toBe('confirmed')
      expect(performance.now() - startedAt, `cut at ${cut}`).toBeLessThan(2_500)
      await sender.close()
      way.close()
    }
  })

  test('connections closed by an operator every 500 ms lose nothing', async () => {
    await deleteQueues()
    const [receiver, sender] = [await started('vpp'), await started('tso')]
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 100 })
    const killing = new AbortController()
    const killer = (async () => {
      for (let i = 0; i < 6; i++) {
        await new Promise(resolve => setTimeout(resolve, 500))
        await harness.killConnections()
      }
      killing.abort()
    })()
    const sent: string[] = []
    for (let i = 0; !killing.signal.aborted; i++) {
      const text = String(i)
      if ((await publishSurely(sender, publication(harness, text))) === 'confirmed') sent.push(text)
    }
    await killer
    await inbox.until(() => sent.every(text => inbox.texts.includes(text)))
    expect(sent.length).toBeGreaterThan(100)
  })
})

describe('what a real broker takes away', () => {
  test('a deleted queue is declared again by its owner, who goes on consuming', async () => {
    const [receiver, sender] = [await started('vpp'), await started('tso')]
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 10, onLost: inbox.onLost })
    await deleteQueues(['inbox.vpp'])
    await inbox.until(() => inbox.lost === 1)
    await status(receiver, 'ready')
    let word = 'returned'
    for (const endAt = Date.now() + 5_000; word !== 'confirmed' && Date.now() < endAt; ) {
      word = await publishSurely(sender, publication(harness, 'back'))
    }
    expect(word).toBe('confirmed')
    await inbox.until(() => inbox.texts.includes('back'))
  })

  test('a missing queue under strict permissions: a named state until it is there again', async () => {
    await deleteQueues(['inbox.heh-0002'])
    const receiver = await started('heh-0002')
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 10 })
    const { reason } = await status(receiver, 'unauthorised')
    expect(reason?.message).toContain('inbox.heh-0002')
    await running().cluster.importDefinitions(running().definitions)
    await status(receiver, 'ready')
    expect(await receiver.consumers()).toBe(1)
  })

  test('a full inbox nacks', async () => {
    const policy = `rabbit_policy:set(<<"sealbus">>, <<"tiny">>, <<"^inbox\\\\.vpp">>, [{<<"max-length">>, 1}, {<<"overflow">>, <<"reject-publish">>}], 9, <<"queues">>, <<"test">>)`
    await started('vpp')
    const sender = await started('tso')
    await erl(`${policy}, ok`)
    const words: string[] = []
    for (let i = 0; i < 30 && !words.includes('nacked'); i++) {
      words.push(await publishSurely(sender, publication(harness, 'x')))
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    await erl('rabbit_policy:delete(<<"sealbus">>, <<"tiny">>, <<"test">>), ok')
    expect(words.at(-1)).toBe('nacked')
    expect(sender.status()).toEqual({ state: 'ready' })
  })

  test('an alarm blocks publishing, not consuming, and costs no reconnect', async () => {
    await deleteQueues()
    const [receiver, sender] = [await started('vpp'), await started('tso')]
    const inbox = new Inbox()
    await receiver.consume(inbox.take, { prefetch: 10, onLost: inbox.onLost })
    const events: string[] = []
    sender.onEvent(event => events.push(event.name))
    await erl('rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}), ok')
    const channel = await sender.channel('shared')
    const pending = channel.publish(publication(harness, 'during'))
    await status(sender, 'blocked')
    expect(receiver.status().state).not.toBe('blocked') // n.b. it published nothing
    const waiting = sender.channel('fresh')
    expect(sender.writable()).toBeInstanceOf(Promise)
    await new Promise(resolve => setTimeout(resolve, 6_500)) // n.b. longer than a channel may take to open
    await erl('rabbit_alarm:clear_alarm({resource_limit, memory, node()}), ok')
    expect(await pending).toBe('confirmed')
    expect((await waiting).open).toBe(true)
    expect(sender.writable()).toBeUndefined()
    expect(events).not.toContain('disconnected')
    await inbox.until(() => inbox.texts[0] === 'during')
    expect(inbox.lost).toBe(0)
  })

  test('credit is added by a second consumer, except where one consumer alone is active', async () => {
    await deleteQueues()
    const sender = await started('tso')
    const receiver = await started('vpp', { inbox: { kind: 'classic', declare: true } })
    const inbox = new Inbox(false)
    const consumer = await receiver.consume(inbox.take, { prefetch: 2 })
    for (const text of ['1', '2', '3']) await publishSurely(sender, publication(harness, text))
    await inbox.until(() => inbox.deliveries.length === 2)
    expect(consumer.addCredit(2)).toBe(true)
    await inbox.until(() => inbox.deliveries.length === 3)
    expect(inbox.deliveries[2]?.ack()).toBe(true)
    const single = await (await started('tso')).consume(() => undefined, { prefetch: 1 })
    expect(single.addCredit(1)).toBe(false)
    await deleteQueues()
  })
})

/** A client certificate of the test's authority, which ended yesterday. */
function expired(user: string): { ca: string; cert: string; key: string } {
  const files = running().files(user)
  const folder = dirname(files.cert)
  const [csr, out] = [join(folder, 'expired.csr'), join(folder, 'expired.crt')]
  execFileSync('openssl', ['req', '-new', '-key', files.key, '-subj', `/CN=${user}`, '-out', csr])
  writeFileSync(
    join(folder, 'expired.cnf'),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${folder}/index.txt\nnew_certs_dir=${folder}\nserial=${folder}/serial\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n`,
  )
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'serial'), '7777\n')
  const ca = ['-cert', join(folder, 'identity-root.crt'), '-keyfile', join(folder, 'identity-root.key')]
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z']
  execFileSync(
    'openssl',
    [
      'ca',
      '-batch',
      '-notext',
      '-config',
      join(folder, 'expired.cnf'),
      ...ca,
      ...dates,
      '-in',
      csr,
      '-out',
      out,
    ],
    { stdio: 'pipe' },
  )
  const { ca: trusted, key } = running().tls(user)
  return { ca: trusted, key, cert: execFileSync('cat', [out], { encoding: 'utf8' }) }
}
