/** Faults 1 to 4: a node dies, is stopped, is put into maintenance. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario, Stage } from '../scenario.js'

const KILL_OBSERVE_MS = 8_000 // the nack trap lasts until the node is back: look for longer than any bound
const STOP_OBSERVE_MS = 4_000
const CLIENTS_LIMIT_MS = 10_000
const CLIENTS_POLL_MS = 250

/** What these faults have in common: one chosen node, and whether clients sit on it. */
interface NodeFault {
  readonly id: string
  readonly name: string
  readonly boundMs: number
  /** The chosen node leads all queues, or none. */
  readonly leads: boolean
  /** All clients are connected to the chosen node, or none is. */
  readonly clients: 'on it' | 'elsewhere'
  readonly observeMs: number
  readonly healingCounts: boolean
  strike(stage: Stage, node: string): Promise<void>
}

/** Rows 1 to 4 of docs/DELIVERY.md. */
export const nodeFaults: readonly Scenario[] = [
  nodeFault({
    id: '1',
    name: 'kill -9 the leader, clients elsewhere',
    boundMs: 3_000,
    leads: true,
    clients: 'elsewhere',
    observeMs: KILL_OBSERVE_MS,
    healingCounts: false,
    strike: (stage, node) => at(stage, stage.driver.kill(node)),
  }),
  nodeFault({
    id: '2',
    name: 'kill -9 the leader that clients are connected to',
    boundMs: 3_000,
    leads: true,
    clients: 'on it',
    observeMs: KILL_OBSERVE_MS,
    healingCounts: false,
    strike: (stage, node) => at(stage, stage.driver.kill(node)),
  }),
  nodeFault({
    id: '3',
    name: 'kill -9 a follower',
    boundMs: 1_000,
    leads: false,
    clients: 'elsewhere',
    observeMs: KILL_OBSERVE_MS,
    healingCounts: false,
    strike: (stage, node) => at(stage, stage.driver.kill(node)),
  }),
  nodeFault({
    id: '4a',
    name: 'SIGTERM the node that leads and serves, then start it again',
    boundMs: 3_000,
    leads: true,
    clients: 'on it',
    observeMs: STOP_OBSERVE_MS,
    healingCounts: true,
    strike: (stage, node) => at(stage, stage.driver.terminate(node)),
  }),
  nodeFault({
    id: '4b',
    name: 'drain the node that leads and serves, then revive it',
    boundMs: 2_000,
    leads: true,
    clients: 'on it',
    observeMs: STOP_OBSERVE_MS,
    healingCounts: true,
    strike: (stage, node) => at(stage, stage.driver.drain(node)),
  }),
]

/** The fault begins when the order is given. */
async function at(stage: Stage, order: Promise<void>): Promise<void> {
  stage.injected()
  await order
}

function nodeFault(fault: NodeFault): Scenario {
  let node = ''
  let leader = ''
  return {
    id: fault.id,
    name: fault.name,
    boundMs: fault.boundMs,
    groups: ['steady', 'quiet', 'late'],
    observeMs: fault.observeMs,
    healingCounts: fault.healingCounts,
    async place({ driver, random }) {
      node = random.pick(driver.nodes)
      const others = driver.nodes.filter(name => name !== node)
      leader = fault.leads ? node : random.pick(others)
      await driver.moveLeaders(leader)
      if (fault.clients === 'elsewhere') return others.map(name => driver.url(name))
      await driver.listenOnly([node])
      return driver.nodes.map(name => driver.url(name))
    },
    async armed(stage) {
      await expectClients(stage, node, fault) // while nothing else listens
      await stage.driver.listenOnly(stage.driver.nodes)
      await stage.driver.moveLeaders(leader) // queues that a client has just declared are anywhere
      await expectLeaders(stage, node, fault)
      await expectClients(stage, node, fault)
    },
    async inject(stage) {
      stage.note(`${fault.name}: ${node}`)
      await fault.strike(stage, node)
    },
    async heal({ driver }) {
      await driver.heal()
    },
  }
}

/** @throws Error when the leaders are not where the fault needs them */
async function expectLeaders({ driver }: Stage, node: string, fault: NodeFault): Promise<void> {
  const queues = await driver.queues()
  const led = queues.filter(({ leader }) => leader === node).length
  if (queues.length > 0 && led === (fault.leads ? queues.length : 0)) return
  throw new Error(`not injected: ${node} leads ${led} of ${queues.length} queues`)
}

/** n.b. a connection of the run before, or one that just comes, is waited for. @throws Error when they are elsewhere */
async function expectClients({ driver }: Stage, node: string, fault: NodeFault): Promise<void> {
  const deadline = Date.now() + CLIENTS_LIMIT_MS
  for (;;) {
    const connections = await driver.connections()
    const there = connections.filter(name => name === node).length
    if (connections.length > 0 && there === (fault.clients === 'on it' ? connections.length : 0)) return
    if (Date.now() > deadline) {
      throw new Error(`not injected: ${there} of ${connections.length} connections are on ${node}`)
    }
    await sleep(CLIENTS_POLL_MS)
  }
}
