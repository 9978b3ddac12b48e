/** Nodes in network namespaces, real ones: a cut between them is silent, and clients are not touched by it. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalDriver } from '../../chaos/drivers/local.js'
import { type Ground, ownGround } from '../../chaos/ground.js'

const isRoot = process.getuid?.() === 0
/** net_ticktime is 8 s: a silent node is noticed within a quarter more. */
const NOTICED = { timeout: 15_000, interval: 250 }

let ground: Ground<LocalDriver> | undefined

beforeAll(async () => {
  if (isRoot) ground = await ownGround(() => undefined, { network: true })
}, 180_000)

afterAll(async () => {
  await ground?.close()
  if (isRoot) expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain('sealbus-')
}, 60_000)

function driver(): LocalDriver {
  if (ground === undefined) throw new Error('nothing has started')
  return ground.driver
}

/** A client's TCP connection to a node. */
async function dial(node: string): Promise<void> {
  const { hostname, port } = new URL(driver().url(node))
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.destroy()
}

describe.runIf(isRoot)('the netns driver', () => {
  it('isolates a node in silence, which the others notice in time, and lets clients through to it', async () => {
    const [a = '', b = '', c = ''] = driver().nodes
    const startedAt = performance.now()
    await driver().actions.partition([[a], [b, c]])
    await dial(a)
    await expect
      .poll(async () => (await driver().actions.queues()).every(queue => queue.leader !== a), NOTICED)
      .toBe(true)
    expect(performance.now() - startedAt).toBeGreaterThan(1_000) // nobody was told
    await driver().heal()
    expect((await driver().actions.queues()).every(queue => queue.online.length === 3)).toBe(true)
  }, 120_000)
})
