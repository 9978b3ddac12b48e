import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import amqp, { type ChannelModel } from 'amqplib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startProvisionedCluster } from '../../cluster/index.js'
import { initPki, type Pki, provision, revoke } from '../../pki/index.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-cluster-provisioned-'))
const dir = join(folder, 'pki')
let pki: Pki
let cluster: Cluster
let said: string[] = []
let asked = 0

async function up(): Promise<Cluster> {
  said = []
  const passphrase = (): Promise<string> => {
    asked++
    return Promise.resolve('for this test only')
  }
  const place = { nodes: 1, name: 'provisioned', dir: join(folder, 'cluster') }
  return await startProvisionedCluster({
    ...place,
    pki: dir,
    passphrase,
    ephemeral: true,
    onProgress: line => said.push(line),
  })
}

async function login(device: string): Promise<ChannelModel> {
  const file = (name: string): string => readFileSync(join(dir, 'devices', device, name), 'utf8')
  const { brokers } = JSON.parse(file('config.json')) as { brokers: string[] }
  const cert = file('identity.crt') + file('chain.crt')
  const tls = { ca: file('broker-root.crt'), cert, key: file('identity.key') }
  const credentials = amqp.credentials.external()
  const connection = await amqp.connect(`${brokers[0] ?? ''}/sealbus`, { ...tls, credentials })
  connection.on('error', () => undefined)
  return connection
}

beforeAll(async () => {
  ;({ pki } = await initPki({ dir, domain: 'field', passphrase: 'for this test only' }))
  await provision(pki, [{ name: 'heh-0001', role: 'heh' }])
  cluster = await up()
})

afterAll(async () => {
  await cluster.down()
  rmSync(folder, { recursive: true, force: true })
})

test('a provisioned device finds the cluster by its own folder and is let in', async () => {
  const connection = await login('heh-0001')
  await (await connection.createChannel()).checkQueue('inbox.heh-0001')
  await connection.close()
})

test('up again changes nothing and asks for no passphrase', async () => {
  const before = asked
  await up()
  expect(said).toEqual([])
  expect(asked).toBe(before)
})

test('a device that was added is let in after up, without a restart', async () => {
  const { pid } = cluster.node(1)
  await provision(pki, [{ name: 'heh-0002', role: 'heh' }])
  await up()
  expect(cluster.node(1).pid).toBe(pid)
  await (await login('heh-0002')).close()
})

test('a device that was revoked loses its connections with the next up, and gets none again', async () => {
  const connection = await login('heh-0002')
  const closed = new Promise(resolve => connection.once('close', resolve))
  await revoke(pki, ['heh-0002'])
  await up()
  await closed
  await expect(login('heh-0002')).rejects.toThrow()
})

test('another PKI folder is refused while the cluster runs', async () => {
  const other = join(folder, 'other')
  await initPki({ dir: other, domain: 'field', passphrase: 'for this test only' })
  const start = startProvisionedCluster({
    dir: join(folder, 'cluster'),
    pki: other,
    passphrase: () => Promise.resolve('for this test only'),
  })
  await expect(start).rejects.toThrow(/belongs to the PKI folder/)
})
