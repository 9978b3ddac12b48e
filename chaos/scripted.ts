/** Makes a scenario of a file: where leaders and clients go, and the steps on their stage. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Action } from './drivers/actions.js'
import { actionOf } from './drivers/compose.js'
import { nowMs } from './ledger.js'
import { type Nodes, Play } from './play.js'
import type { Scenario } from './scenario.js'
import type { Placing, Script, Step } from './script.js'
import type { Place, Stage } from './stage.js'
import { perform } from './words-flow.js'

const CLIENTS_LIMIT_MS = 10_000
const CLIENTS_POLL_MS = 250
/** After these the cluster is as it was: nothing has to be healed. */
const HARMLESS: ReadonlySet<Action> = new Set([
  'closeConnections',
  'connections',
  'queues',
  'moveLeaders',
  'listenOnly',
])

/** The scenario that a script describes. n.b. one run at a time: it remembers the nodes that it has drawn */
export function scenarioOf(script: Script): Scenario {
  const { id, name, description, bound, load, place, observeMs, healingCounts, afterMs, drainMs, expect } =
    script
  let nodes: Nodes = { chosen: '', leader: '', others: [] }
  const steps = [...script.steps, ...script.heal]
  const needs = [...new Set([...steps.flatMap(step => step.needs), ...needsOf(place)])]
  return {
    ...{ id, name, description, bound, load, observeMs, healingCounts, afterMs, drainMs, expect, needs },
    links: place.links,
    needsLinks: [...new Set(steps.flatMap(step => step.needsLinks))],
    async place(where) {
      nodes = drawn(where, place)
      return await placed(where, place, nodes)
    },
    armed: stage => armed(stage, place, nodes),
    inject: stage => perform(script.steps, new Play(stage, nodes)),
    heal: stage => healed(stage, script.heal, nodes, needs),
  }
}

function needsOf({ leaders, clients, links }: Placing): Action[] {
  return [
    ...(leaders === 'anywhere' ? [] : (['moveLeaders', 'queues'] as const)),
    ...(clients === 'anywhere' || links ? [] : (['connections'] as const)),
    ...(clients === 'chosen' && !links ? (['listenOnly'] as const) : []),
  ]
}

function drawn({ driver, random }: Place, { leaders }: Placing): Nodes {
  const chosen = random.pick(driver.nodes)
  const others = random.shuffle(driver.nodes.filter(node => node !== chosen))
  const leader = leaders === 'elsewhere' ? (others[0] ?? chosen) : chosen
  return { chosen, leader, others }
}

/** @returns what clients dial */
async function placed(place: Place, { leaders, clients }: Placing, nodes: Nodes): Promise<readonly string[]> {
  const { driver, links } = place
  if (leaders !== 'anywhere') await actionOf(driver, 'moveLeaders')(nodes.leader)
  const urls = (await links?.everywhere()) ?? driver.nodes.map(node => driver.url(node))
  if (clients === 'elsewhere') return urls.filter((_, i) => driver.nodes[i] !== nodes.chosen)
  if (clients === 'chosen') await gate(place, [nodes.chosen])
  return urls
}

/** Lets new clients come to these nodes only: at the links where there are some, else at the nodes. */
async function gate({ driver, links }: Place, open: readonly string[]): Promise<void> {
  if (links === undefined) {
    await actionOf(driver, 'listenOnly')(open)
    return
  }
  links.refuse(false)
  const shut = driver.nodes.filter(node => !open.includes(node))
  if (shut.length > 0) links.refuse(true, shut)
}

async function armed(stage: Stage, { leaders, clients }: Placing, nodes: Nodes): Promise<void> {
  await expectClients(stage, clients, nodes) // while nothing else is open
  if (clients === 'chosen') await gate(stage, stage.driver.nodes)
  if (leaders !== 'anywhere') {
    await actionOf(stage.driver, 'moveLeaders')(nodes.leader) // queues that a client has just declared are anywhere
    await expectLeaders(stage, leaders, nodes)
  }
  await expectClients(stage, clients, nodes)
}

/** @throws Error when the leaders are not where the fault needs them */
async function expectLeaders(
  { driver }: Stage,
  leaders: Placing['leaders'],
  { chosen }: Nodes,
): Promise<void> {
  const queues = await actionOf(driver, 'queues')()
  const led = queues.filter(({ leader }) => leader === chosen).length
  if (queues.length > 0 && led === (leaders === 'chosen' ? queues.length : 0)) return
  throw new Error(`not injected: ${chosen} leads ${led} of ${queues.length} queues`)
}

/** n.b. a connection of the run before, or one that just comes, is waited for. @throws Error when they are elsewhere */
async function expectClients(stage: Stage, clients: Placing['clients'], { chosen }: Nodes): Promise<void> {
  if (clients === 'anywhere') return
  const deadline = performance.now() + CLIENTS_LIMIT_MS
  for (;;) {
    const { all, there } = await countClients(stage, chosen)
    if (all > 0 && there === (clients === 'chosen' ? all : 0)) return
    if (performance.now() > deadline)
      throw new Error(`not injected: ${there} of ${all} connections are on ${chosen}`)
    await sleep(CLIENTS_POLL_MS)
  }
}

async function countClients({ driver, links }: Stage, node: string): Promise<{ all: number; there: number }> {
  if (links !== undefined) return { all: links.connections().length, there: links.connections([node]).length }
  const connections = await actionOf(driver, 'connections')()
  return { all: connections.length, there: connections.filter(name => name === node).length }
}

/** The script's own steps first: with them the fault has ended, whatever is left to be tidied up. */
async function healed(
  stage: Stage,
  steps: readonly Step[],
  nodes: Nodes,
  needs: readonly Action[],
): Promise<number> {
  await perform(steps, new Play(stage, nodes))
  stage.links?.heal()
  const endedAt = nowMs()
  if (needs.every(action => HARMLESS.has(action))) return endedAt
  await stage.driver.heal()
  return steps.length > 0 ? endedAt : nowMs()
}
