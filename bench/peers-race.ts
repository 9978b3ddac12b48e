/** One fault, all libraries at once: the same cluster, the same load, the same instant. */
import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nowMs } from '../chaos/ledger.js'
import { type Launch, Load, launchWorker } from '../chaos/load.js'
import { addressesOf, standardPlan } from '../chaos/plan.js'
import { type PeerSetting, peerQueue } from './peer.js'
import type { PeersFault } from './peers-faults.js'
import type { PeersGround } from './peers-ground.js'
import { type Verdict, verdictOf } from './peers-verdict.js'

/** Beside which sealbus runs; each has a module in peers/. */
export const LIBRARIES = ['amqplib', 'amqp-connection-manager', 'rabbitmq-client', 'rascal'] as const

const STEADY_MS = 2_000
const AFTER_MS = 4_000
const FLOWING = { messages: 20, limitMs: 60_000 }
const SETTLE_MS = 45_000
/** What a dead consumer had checked out comes back when its connection is closed. */
const RETURN_MS = 20_000
const PLACE_LIMIT_MS = 15_000
const POLL_MS = 250
const MOVES = 4

export interface RaceOptions {
  readonly ground: PeersGround
  /** Folder of the adapters. */
  readonly peersFolder: string
  /** Time between two messages of a lane, ms. */
  readonly everyMs: number
  /** Tells this run's messages and ledgers from those of others. */
  readonly run: string
  /** Chosen among the nodes. */
  readonly node: string
  readonly note: (line: string) => void
}

interface Contestant {
  readonly name: string
  readonly load: Load
}

/** Runs it. @throws Error when the fault could not be injected as it should be */
export async function race(fault: PeersFault, options: RaceOptions): Promise<Verdict[]> {
  const { ground, node, note } = options
  const { driver } = ground
  await cleared(ground)
  await driver.listenOnly(fault.clientsOnIt ? [node] : driver.nodes)
  const contestants = await started(options)
  try {
    const lanes = 2 * ground.cast.steady.length
    for (const { load } of contestants) load.begin('steady')
    await Promise.all(contestants.map(({ load }) => load.flowing(lanes, FLOWING.messages, FLOWING.limitMs)))
    await placed(fault, options)
    await sleep(STEADY_MS)
    note(`fault ${fault.id}: ${fault.name} (${node})`)
    const from = nowMs()
    await fault.inject(ground, node)
    await sleep(Math.max(0, from + fault.observeMs - nowMs()))
    ground.links.heal()
    await driver.heal()
    await sleep(AFTER_MS)
    const loadEnd = nowMs()
    await finished(contestants, ground)
    return contestants.map(({ name, load }) =>
      verdictOf(name, load.entries(), { from, until: loadEnd, loadEnd }),
    )
  } finally {
    for (const { load } of contestants) load.abandon()
  }
}

/** Whole cluster, empty queues. */
async function cleared(ground: PeersGround): Promise<void> {
  const { driver, cast, links } = ground
  links.heal()
  await driver.heal()
  await ground.admit()
  const addresses = addressesOf(cast)
  await driver.purge(addresses)
  for (const library of LIBRARIES)
    for (const address of addresses) await driver.actions.deleteQueue(peerQueue(library, address))
}

async function started(options: RaceOptions): Promise<Contestant[]> {
  const { ground, everyMs, run } = options
  const brokers = await ground.links.everywhere()
  const contestants: Contestant[] = []
  const start = async (name: string, launch: Launch): Promise<void> => {
    const plan = standardPlan(ground.cast, {
      run: `${run}-${name}`,
      everyMs,
      groups: ['steady'],
      delayMs: () => 0,
    })
    contestants.push({ name, load: await Load.start(plan, brokers, ground.folder, launch) })
  }
  try {
    await start('sealbus', launchWorker)
    for (const library of LIBRARIES) await start(library, launchPeer(library, options))
  } catch (error) {
    for (const { load } of contestants) load.abandon()
    throw error
  }
  return contestants
}

function launchPeer(library: string, { ground, peersFolder }: RaceOptions): Launch {
  const balancer = `amqps://localhost:${ground.balancer.port}`
  const setting: PeerSetting = { library, folder: peersFolder, balancer, ...ground.credentials }
  return () =>
    fork(fileURLToPath(new URL('./peers-worker.js', import.meta.url)), [JSON.stringify(setting)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
}

/** Leaders and clients where the fault needs them. @throws Error when they are not */
async function placed(fault: PeersFault, { ground, node }: RaceOptions): Promise<void> {
  const { driver } = ground
  await driver.listenOnly(driver.nodes)
  const leader = fault.leads === false ? driver.nodes.find(name => name !== node) : node
  if (fault.leads !== undefined && leader !== undefined) await moved(ground, leader)
  const deadline = performance.now() + PLACE_LIMIT_MS
  while (fault.clientsOnIt) {
    const connections = await driver.connections()
    const elsewhere = connections.filter(name => name !== node).length
    if (connections.length > 0 && elsewhere === 0) return
    if (performance.now() > deadline)
      throw new Error(`not injected: ${elsewhere} of ${connections.length} connections are not on ${node}`)
    await sleep(POLL_MS)
  }
}

/** n.b. some thirty queues: on a busy machine one request may not wait for all of them. @throws Error when they do not move */
async function moved({ driver }: PeersGround, leader: string): Promise<void> {
  for (let left = MOVES; left > 1; left--) {
    const done = await driver.moveLeaders(leader).then(
      () => true,
      () => false,
    )
    if (done) return
  }
  await driver.moveLeaders(leader)
}

/** Drains: what was confirmed must come; once all connections have been closed nothing is checked out any more. */
async function finished(contestants: readonly Contestant[], ground: PeersGround): Promise<void> {
  for (const { load } of contestants) load.stop()
  const settled = await Promise.all(contestants.map(({ load }) => load.settle(SETTLE_MS)))
  if (settled.includes(false)) {
    await ground.closeConnections() // what is checked out goes back
    await Promise.all(contestants.map(({ load }) => load.settle(RETURN_MS)))
  }
  await Promise.all(contestants.map(({ load }) => load.close()))
}
