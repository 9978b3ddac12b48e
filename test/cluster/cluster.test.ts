import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import amqp, { type ChannelModel } from 'amqplib'
import { expect, test } from 'vitest'
import { openCluster, startCluster } from '../../cluster/index.js'
import { makeAuthority, makeLeaf } from './certificates.js'
import { DEFAULT_USERS, type TestCluster, withCluster } from './support.js'
import { topology } from './topology.js'

const started = withCluster()

/** A connection as the given user, to the given node. */
async function login(testCluster: TestCluster, user: string, node = 0): Promise<ChannelModel> {
  const external = amqp.credentials.external()
  const connection = await amqp.connect(`${testCluster.urls[node] ?? ''}/sealbus?heartbeat=10`, {
    ...testCluster.tls(user),
    credentials: external,
  })
  connection.on('error', () => undefined)
  return connection
}

/** What a TLS client without our certificate is told, after writing AMQP's first eight bytes. */
function greet(
  url: string,
  options: { ca: string; cert?: string; key?: string; maxVersion?: 'TLSv1.1' | 'TLSv1.2' },
) {
  return new Promise<string>(resolve => {
    const { hostname: host, port } = new URL(url)
    const legacy =
      options.maxVersion === 'TLSv1.1' ? { minVersion: 'TLSv1' as const, ciphers: 'DEFAULT@SECLEVEL=0' } : {}
    const socket = tlsConnect({ host, port: Number(port), ...legacy, ...options }, () =>
      socket.write('AMQP\0\0\x09\x01'),
    )
    socket.once('data', (bytes: Buffer) => {
      socket.destroy()
      resolve(`served ${bytes.toString('latin1')}`)
    })
    socket.once('error', error => {
      resolve(`refused ${(error as NodeJS.ErrnoException).code ?? ''}`)
    })
    socket.once('close', () => {
      resolve('refused')
    })
  })
}

/** Local addresses (hex, as the kernel writes them) on which a port is listened to, IPv4 and IPv6. */
function listeningOn(port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const rows = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(file => readFileSync(file, 'utf8').split('\n'))
  const columns = rows.map(row => row.trim().split(/\s+/))
  return columns
    .filter(row => row[3] === '0A' && row[1]?.endsWith(`:${hexPort}`))
    .map(row => row[1]?.split(':')[0] ?? '')
}

const LOOPBACK = ['0100007F', '00000000000000000000000001000000']

test('three nodes form one cluster whose frozen members count as dead after 8 seconds', async () => {
  const { cluster } = started()
  expect((await cluster.runningNodes()).sort()).toEqual([
    'rmq1@localhost',
    'rmq2@localhost',
    'rmq3@localhost',
  ])
  expect(await cluster.version()).toMatch(/^\d+\.\d+\.\d+$/)
  for (const node of cluster.nodes)
    expect(await cluster.evaluate('net_kernel:get_net_ticktime()', node)).toBe(8)
})

test('every port of a cluster is on loopback', () => {
  const { cluster } = started()
  const state = JSON.parse(readFileSync(join(cluster.dir, 'cluster.json'), 'utf8')) as {
    epmdPort: number
    nodes: { port: number; distributionPort: number }[]
  }
  const ports = [state.epmdPort, ...state.nodes.flatMap(node => [node.port, node.distributionPort])]
  for (const port of ports) {
    const addresses = listeningOn(port)
    expect(addresses.length).toBeGreaterThan(0)
    for (const address of addresses) expect(LOOPBACK).toContain(address)
  }
})

test('the cookie and the server key are readable by their owner only', () => {
  const mode = (file: string): number => statSync(join(started().cluster.dir, file)).mode & 0o777
  expect(mode('home/.erlang.cookie')).toBe(0o400)
  expect(mode('tls/server.key')).toBe(0o600)
})

test('nobody gets in without a certificate of the identity root, nor with TLS 1.1', async () => {
  const { urls, tls } = started()
  const url = urls[0] ?? ''
  const { ca, ...own } = tls('vpp')
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-stranger-'))
  const stranger = makeLeaf(makeAuthority(folder, 'other-root'), 'vpp', 'clientAuth')
  const pair = { cert: readFileSync(stranger.cert, 'utf8'), key: readFileSync(stranger.key, 'utf8') }
  rmSync(folder, { recursive: true })
  expect(await greet(url, { ca })).toMatch(/^refused/)
  expect(await greet(url, { ca, ...pair })).toMatch(/^refused/)
  expect(await greet(url, { ca, ...own, maxVersion: 'TLSv1.1' })).toMatch(/^refused/)
  expect(await greet(url, { ca, ...own, maxVersion: 'TLSv1.2' })).toMatch(/^served/)
})

test('EXTERNAL is the only way to log in, and guest does not exist', async () => {
  const { cluster, urls, tls } = started()
  const greeting = await greet(urls[0] ?? '', tls('vpp'))
  expect(greeting).toContain('EXTERNAL')
  expect(greeting).not.toMatch(/PLAIN|AMQPLAIN/)
  expect(await cluster.users()).not.toContain('guest')
})

test('the common name of the certificate is the user, and its permissions hold', async () => {
  const connection = await login(started(), 'heh-0001')
  const own = await connection.createChannel()
  await own.checkQueue('inbox.heh-0001')
  const other = await connection.createChannel()
  other.on('error', () => undefined)
  await expect(other.consume('inbox.heh-0002', () => undefined)).rejects.toThrow(/ACCESS_REFUSED/)
  await connection.close()
})

test('a queue of the definitions has a replica on every node', async () => {
  const { cluster } = started()
  const members =
    '{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"sealbus">>, queue, <<"inbox.heh-0001">>)), maps:get(nodes, amqqueue:get_type_state(Q))'
  expect(((await cluster.evaluate(members)) as string[]).length).toBe(3)
})

test('closing all connections tells each client the reason', async () => {
  const connection = await login(started(), 'vpp')
  const closed = new Promise<Error>(resolve => connection.once('close', resolve))
  expect(await started().cluster.closeAllConnections("that's it")).toBeGreaterThan(0)
  expect((await closed).message).toContain("that's it")
})

test('definitions are imported into a running cluster again when a user is added', async () => {
  const { cluster, definitions, addCertificate } = started()
  addCertificate('heh-0003')
  writeFileSync(
    definitions,
    JSON.stringify(topology([...DEFAULT_USERS, { name: 'heh-0003', rights: 'strict' }])),
  )
  await cluster.importDefinitions(definitions)
  const connection = await login(started(), 'heh-0003')
  await (await connection.createChannel()).checkQueue('inbox.heh-0003')
  await connection.close()
  await cluster.deleteUser('heh-0003')
  await expect(login(started(), 'heh-0003')).rejects.toThrow(/ACCESS.REFUSED|closed/i)
})

test('a killed leader is replaced by another node and comes back as a member', async () => {
  const { cluster } = started()
  const leader = await cluster.leaderOf('inbox.heh-0001')
  const pid = leader?.pid
  await leader?.kill()
  expect(leader?.pid).toBeUndefined()
  await expect.poll(() => cluster.leaderOf('inbox.heh-0001'), { timeout: 10_000 }).toBeDefined()
  expect((await cluster.leaderOf('inbox.heh-0001'))?.name).not.toBe(leader?.name)
  await leader?.start()
  expect(leader?.pid).not.toBe(pid)
  expect(await cluster.runningNodes()).toHaveLength(3)
})

test('an orderly stop and a start leave three members', async () => {
  const { cluster } = started()
  const node = cluster.node(2)
  await node.stop()
  expect(await node.listens()).toBe(false)
  await expect.poll(() => cluster.runningNodes(), { timeout: 10_000 }).toHaveLength(2)
  await node.start()
  expect(await node.listens()).toBe(true)
  expect(await cluster.runningNodes()).toHaveLength(3)
})

test('a paused node accepts connections and serves nobody until it is resumed', async () => {
  const node = started().cluster.node('rmq3')
  node.pause()
  const answer = login(started(), 'vpp', 2)
  const first = await Promise.race([
    answer.then(() => 'served'),
    new Promise(resolve => setTimeout(resolve, 1_000, 'silent')),
  ])
  expect(await node.listens()).toBe(true)
  node.resume()
  expect(first).toBe('silent')
  await (await answer).close()
})

test('starting a cluster that runs changes nothing', async () => {
  const { cluster, definitions } = started()
  const own = (file: string): string => join(cluster.dir, 'tls', file)
  const tls = { clientCaFile: own('client-ca.crt'), certFile: own('server.crt'), keyFile: own('server.key') }
  const said: string[] = []
  const again = await startCluster({
    dir: cluster.dir,
    tls,
    definitions,
    onProgress: line => said.push(line),
  })
  expect(again.nodes.map(node => node.pid)).toEqual(cluster.nodes.map(node => node.pid))
  expect(said.filter(line => line.includes('starts'))).toEqual([])
  await expect(startCluster({ dir: cluster.dir, tls, nodes: 5 })).rejects.toThrow(
    /has 3 nodes, 5 were asked for/,
  )
})

test('a second cluster lives side by side, and its end leaves no process and no data', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-cluster-second-'))
  const root = makeAuthority(folder, 'root')
  const server = makeLeaf(root, 'localhost', 'serverAuth', 'subjectAltName=IP:127.0.0.1')
  const tls = { clientCaFile: root.cert, certFile: server.cert, keyFile: server.key }
  const dir = join(folder, 'cluster')
  const second = await startCluster({ nodes: 1, name: 'second', dir, tls, ephemeral: true })
  expect(second.nodes[0]?.name).toBe(started().cluster.nodes[0]?.name) // the same Erlang name, under another epmd
  expect(await second.runningNodes()).toHaveLength(1)
  expect(await started().cluster.runningNodes()).toHaveLength(3)
  expect(openCluster(dir).nodes[0]?.pid).toBe(second.nodes[0]?.pid)
  await second.down()
  expect(execFileSync('ps', ['axww', '-o', 'command'], { encoding: 'utf8' })).not.toContain(dir)
  expect(existsSync(join(dir, 'nodes'))).toBe(false)
  expect(() => openCluster(dir)).toThrow(/no cluster in/)
  rmSync(folder, { recursive: true })
})
