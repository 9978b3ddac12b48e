/** The drivers against real nodes: what each action does to them, and that healing leaves a whole cluster. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { beforeAll, describe, expect, it } from 'vitest'
import { type LocalDriver, localDriver } from '../../chaos/drivers/local.js'
import { asEncoded, decoded } from '../../cluster/erlang.js'
import type { BrokerTls } from '../../cluster/options.js'
import { makeLeaf } from './certificates.js'
import { withCluster } from './support.js'

const running = withCluster()
let driver: LocalDriver
const evaluate = (expression: string, node = 1): Promise<unknown> =>
  running().cluster.evaluate(expression, running().cluster.node(node))

beforeAll(() => {
  driver = localDriver(running().cluster, { certificate: which => Promise.resolve(certificate(which)) })
})

/** From the authority of the running cluster; `expired` ends as it is made. */
function certificate(which: 'expired' | 'valid'): BrokerTls {
  const folder = join(running().cluster.dir, '..')
  const authority = { folder, cert: join(folder, 'broker-root.crt'), key: join(folder, 'broker-root.key') }
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const server = makeLeaf(authority, 'localhost', 'serverAuth', names, which === 'expired' ? 0 : 30)
  return { clientCaFile: join(folder, 'identity-root.crt'), certFile: server.cert, keyFile: server.key }
}

function handshake(port: number, tls: object): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ...tls }, () => {
      socket.destroy()
      resolve('open')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}

describe('an expression by way of rabbitmqctl', () => {
  it('comes back whole, though it is printed in several pieces', async () => {
    const { cluster } = running()
    const output = await cluster.ctl(['eval', asEncoded('lists:seq(1, 500)')])
    expect(decoded('rabbitmqctl', output)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1))
    await expect(
      cluster.ctl(['eval', asEncoded('1 = 2')]).then(said => decoded('rabbitmqctl', said)),
    ).rejects.toThrow()
  })
})

describe('the local driver', () => {
  it('freezes a node and lets it go on', async () => {
    const [node = ''] = driver.nodes
    await driver.actions.pause(node)
    expect(running().cluster.node(node).isPaused).toBe(true)
    expect((await driver.actions.queues(['heh-0001'])).map(({ name }) => name)).toContain('inbox.heh-0001')
    await driver.actions.resume(node)
    expect(running().cluster.node(node).isPaused).toBe(false)
  })

  it('raises and clears the alarms of memory and disk', async () => {
    const [node = ''] = driver.nodes
    for (const kind of ['memory', 'disk'] as const) {
      await driver.actions[`${kind}Alarm`](node, true)
      expect(await evaluate(`rabbit_alarm:get_alarms() =:= [{{resource_limit, ${kind}, node()}, []}]`)).toBe(
        true,
      )
      await driver.actions[`${kind}Alarm`](node, false)
      expect(await evaluate('rabbit_alarm:get_alarms() =:= []')).toBe(true)
    }
  })

  it('isolates a node, cuts one pair of three, and heals both', async () => {
    const [a = '', b = '', c = ''] = driver.nodes
    const seen = async (node: number): Promise<unknown> => evaluate('lists:sort(nodes())', node)
    await driver.actions.partition([[a], [b, c]])
    expect(await seen(1)).toEqual([])
    expect(await seen(2)).toEqual([c])
    await sleep(2_000)
    expect(await seen(1)).toEqual([]) // they try, and are refused
    await driver.heal()
    expect(await seen(1)).toEqual([b, c])
  })

  it('takes away queues, exchanges, bindings, users and the vhost, and brings them back', async () => {
    const before = await evaluate('rabbit_definitions:all_definitions()')
    await driver.actions.deleteQueue('inbox.heh-0001')
    await driver.actions.replaceQueue('inbox.heh-0002', { 'x-queue-type': 'classic', 'x-max-length': 3 })
    await driver.actions.unbind('sealbus.parked', 'parked.heh-0001')
    await driver.actions.deleteExchange('sealbus')
    await driver.actions.revokePermissions('vpp')
    await driver.actions.deleteUser('tso')
    const broken = (await evaluate('rabbit_definitions:all_definitions()')) as Record<string, unknown[]>
    expect(JSON.stringify(broken['queues'])).not.toContain('inbox.heh-0001')
    expect(JSON.stringify(broken['queues'])).toContain('"x-max-length":3')
    expect(JSON.stringify(broken['exchanges'])).not.toContain('"name":"sealbus",')
    expect(JSON.stringify(broken['permissions'])).not.toContain('"vpp"')
    await driver.actions.deleteVhost()
    expect(await evaluate('rabbit_vhost:list_names()')).not.toContain('sealbus')
    await driver.actions.restoreDefinitions()
    await driver.heal()
    const sorted = (given: unknown): string[] =>
      Object.values(given as Record<string, unknown[]>)
        .flat()
        .map(each => JSON.stringify(each))
        .sort()
    expect(sorted(await evaluate('rabbit_definitions:all_definitions()'))).toEqual(sorted(before))
    await driver.actions.restoreDefinitions() // nothing to do
  })

  it('bounds queues by a policy above all others', async () => {
    await driver.actions.setPolicy('tiny', { pattern: '^inbox\\.heh-0001$', definition: { 'max-length': 1 } })
    const effective =
      '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"sealbus">>, queue, <<"inbox.heh-0001">>)), [rabbit_policy:get(<<"max-length">>, Q), rabbit_policy:get(<<"overflow">>, Q)]'
    expect(await evaluate(effective)).toEqual([1, 'reject-publish'])
    await driver.actions.clearPolicy('tiny')
    await driver.actions.clearPolicy('tiny')
    expect(await evaluate(effective)).not.toContain(1)
  })

  it('serves an expired certificate, and a good one again', async () => {
    const { port } = running().cluster.node(1)
    const tls = running().tls('vpp')
    expect(await handshake(port, tls)).toBe('open')
    await driver.actions.replaceCertificates?.('expired')
    await sleep(1_000)
    expect(await handshake(port, tls)).toBe('CERT_HAS_EXPIRED')
    await driver.heal()
    expect(await handshake(port, tls)).toBe('open')
  })

  it('refuses connections beyond a limit', async () => {
    const limits = 'rabbit_vhost_limit:connection_limit(<<"sealbus">>)'
    await driver.actions.limitConnections(2)
    expect(await evaluate(`{ok, N} = ${limits}, N`)).toBe(6)
    await driver.actions.limitConnections(undefined)
    await driver.actions.limitConnections(undefined)
    expect(await evaluate(`undefined =:= ${limits}`)).toBe(true)
  })

  it('starts a cluster again that is down as a whole', async () => {
    await Promise.all(driver.nodes.map(node => driver.actions.kill(node)))
    await expect(driver.actions.kill(driver.nodes[0] ?? '')).rejects.toThrow('does not run')
    await driver.heal()
    expect(await running().cluster.runningNodes()).toHaveLength(3)
  })
})
