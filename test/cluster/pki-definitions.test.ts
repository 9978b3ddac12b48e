/** The definitions that pki/ writes, in a real broker. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../../cluster/index.js'
import {
  initPki,
  issueBrokerCertificate,
  issueDevice,
  numberedFleet,
  type Pki,
  provision,
  revoke,
} from '../../pki/index.js'
import { loadIdentityFolder } from '../../src/identity-folder.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'

let folder: string
let pki: Pki
let cluster: Cluster

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealbus-definitions-'))
  pki = (await initPki({ dir: join(folder, 'D'), domain: 'field', passphrase: 'for this test only' })).pki
  await provision(pki, numberedFleet('heh-', 2, 'heh'))
  await provision(pki, numberedFleet('lamp-', 1, 'heh'), { inbox: 'classic' })
  await provision(pki, numberedFleet('tin-', 1, 'heh'), { inbox: 'transient' })
  await issueDevice(pki, { name: 'vpp-0001', role: 'vpp' })
  const tls = await issueBrokerCertificate(pki, { name: 'rmq1' })
  cluster = await startCluster({
    nodes: 1,
    dir: join(folder, 'cluster'),
    tls,
    definitions: pki.layout.definitions,
  })
})

afterAll(async () => {
  await cluster.down()
  rmSync(folder, { recursive: true, force: true })
})

const table = async (...args: string[]): Promise<string[][]> => {
  const text = await cluster.ctl(['--no-table-headers', ...args])
  return text
    .trim()
    .split('\n')
    .map(line => line.split('\t'))
}

/** Opens the inbox of a device with its own certificate, and closes it again. */
async function comeIn(name: string): Promise<string> {
  const loaded = await loadIdentityFolder(join(pki.layout.devices, name))
  const material = await loaded.tls()
  const transport = rabbitTransport({
    brokers: cluster.urls,
    address: name,
    tls: () => Promise.resolve({ ...material, ca: material.ca ?? '' }),
    inbox: loaded.config.inbox,
    connectTimeoutMs: 5_000,
  })
  try {
    await transport.start()
    return 'in'
  } catch (error) {
    return (error as { code?: string }).code ?? 'error'
  } finally {
    await transport.close()
  }
}

describe('definitions in a real broker', () => {
  test('make every device a user without tags, and give the vhost its exchanges and policies', async () => {
    const users = (await table('list_users')).map(([name, tags]) => `${name} ${tags}`)
    expect(users).toEqual(expect.arrayContaining(['heh-0001 []', 'heh-0002 []', 'vpp-0001 []']))
    const exchanges = (await table('list_exchanges', '-p', 'sealbus', 'name', 'type', 'durable')).map(row =>
      row.join(' '),
    )
    expect(exchanges).toEqual(expect.arrayContaining(['sealbus topic true', 'sealbus.parked topic true']))
    const policies = (await table('list_policies', '-p', 'sealbus')).map(
      ([, name, pattern]) => `${name} ${pattern}`,
    )
    expect(policies).toEqual(expect.arrayContaining(['inbox ^inbox\\.', 'parked ^parked\\.']))
  })

  test('accept no password for any of them', async () => {
    for (const password of ['', 'guest', 'heh-0001']) {
      await expect(cluster.ctl(['authenticate_user', 'heh-0001', password])).rejects.toThrow()
    }
  })

  test('make queues of the right kind for devices that declare none', async () => {
    const rows = await table('list_queues', '-p', 'sealbus', 'name', 'type', 'durable', 'policy')
    const queues = new Map(rows.map(([name, ...rest]) => [name, rest.join(' ')]))
    expect(queues.get('inbox.heh-0001')).toMatch(/quorum.* true inbox$/)
    expect(queues.get('parked.heh-0001')).toMatch(/quorum.* true parked$/)
    expect(queues.get('inbox.lamp-0001')).toMatch(/classic.* true inbox-classic/)
    expect(queues.get('inbox.tin-0001')).toMatch(/classic.* false inbox-classic/)
    expect(queues.get('parked.tin-0001')).toMatch(/classic.* true parked-classic/)
    expect(queues.has('inbox.vpp-0001')).toBe(false)
    const bindings = await table(
      'list_bindings',
      '-p',
      'sealbus',
      'source_name',
      'destination_name',
      'routing_key',
    )
    expect(bindings).toContainEqual(['sealbus', 'inbox.heh-0001', 'heh-0001.*'])
    expect(bindings).toContainEqual(['sealbus.parked', 'parked.heh-0001', 'heh-0001.*'])
  })

  test('let devices in by their certificates, whoever declares the queues', async () => {
    expect(await comeIn('heh-0001')).toBe('in')
    expect(await comeIn('tin-0001')).toBe('in')
    expect(await comeIn('vpp-0001')).toBe('in')
  })

  test('import again into the running broker after a revocation, and take the rights away', async () => {
    await revoke(pki, ['heh-0002'])
    await cluster.importDefinitions(pki.layout.definitions)
    const [row] = (await table('list_user_permissions', 'heh-0002')).filter(([vhost]) => vhost === 'sealbus')
    expect(row).toEqual(['sealbus', '^$', '^$', '^$'])
    expect(existsSync(join(pki.layout.devices, 'heh-0002'))).toBe(true)
  })
})
