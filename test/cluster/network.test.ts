/** Network namespaces without a broker: what is cut is silent, and clients reach every node as before. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  freeNetwork,
  makeNetwork,
  type NodeNetwork,
  nodeNetwork,
  removeNetwork,
  setNodeLink,
  setPath,
  within,
} from '../../cluster/network.js'

const isRoot = process.getuid?.() === 0
const number = isRoot ? freeNetwork() : 1
const nodes = [1, 2, 3].map(i => nodeNetwork(number, i)) as [NodeNetwork, NodeNetwork, NodeNetwork]
const servers: ReturnType<typeof spawn>[] = []

/** Says its name to whoever connects, on all addresses of the namespace. */
const SERVER = "require('net').createServer(s => s.end('here')).listen(4000, () => console.log('up'))"

beforeAll(async () => {
  if (!isRoot) return
  makeNetwork(number, 3)
  makeNetwork(number, 3) // is there already
  for (const node of nodes) {
    const [program, ...args] = [...within(node), process.execPath, '-e', SERVER]
    const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    servers.push(server)
    await once(server.stdout, 'data')
  }
})

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL')
  if (isRoot) removeNetwork(number, 3)
})

/** Whether one node gets through to another within a second. */
async function reaches(from: NodeNetwork, to: NodeNetwork): Promise<boolean> {
  const dial = `const s = require('net').connect(4000, '${to.nodeAddress}'); s.on('data', () => process.exit(0)); s.on('error', () => process.exit(1)); setTimeout(() => process.exit(2), 1000)`
  const [program, ...args] = [...within(from), process.execPath, '-e', dial]
  const [code] = (await once(spawn(program, args), 'exit')) as [number]
  return code === 0
}

/** Whether this machine, as a client, gets through to a node. */
function serves(node: NodeNetwork): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(4000, node.clientAddress)
    socket.once('data', () => resolve(true)).once('error', () => resolve(false))
    socket.setTimeout(1_000, () => resolve(false)).once('close', () => socket.destroy())
  })
}

describe('nodes in network namespaces', () => {
  it.runIf(!isRoot)('need root, and say so', () => {
    expect(() => makeNetwork(number, 3)).toThrow('need root')
  })

  it.runIf(isRoot)('reach each other and are reached by clients', async () => {
    const [a, b, c] = nodes
    expect(await Promise.all([reaches(a, b), reaches(b, c), reaches(c, a)])).toEqual([true, true, true])
    expect(await Promise.all(nodes.map(serves))).toEqual([true, true, true])
  })

  it.runIf(isRoot)('are alone when their link is down, and still serve clients', async () => {
    const [a, b, c] = nodes
    setNodeLink(a, false)
    expect(await Promise.all([reaches(a, b), reaches(c, a), reaches(b, c)])).toEqual([false, false, true])
    expect(await Promise.all(nodes.map(serves))).toEqual([true, true, true])
    setNodeLink(a, true)
    await expect.poll(() => reaches(a, b), { timeout: 10_000 }).toBe(true)
  })

  it.runIf(isRoot)('can be cut pair by pair', async () => {
    const [a, b, c] = nodes
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      setPath(from, to, false)
    expect(await Promise.all([reaches(a, b), reaches(b, a)])).toEqual([false, false])
    expect(await Promise.all([reaches(a, c), reaches(c, b)])).toEqual([true, true])
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      setPath(from, to, true)
    expect(await reaches(a, b)).toBe(true)
  })
})
