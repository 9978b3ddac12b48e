/**
 * The faults of a soak: each breaks one thing, looks at it for a while, and mends it. Those of one kind come one after the
 * other, since two nodes away at once, or a link that is slow and dead, would be another fault than the one that was drawn.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Action } from './drivers/actions.js'
import { actionOf } from './drivers/compose.js'
import type { Driver, LinkAction, LinkDriver } from './drivers/driver.js'
import type { Random } from './random.js'

/** What a fault of a soak works with. */
export interface SoakStage {
  readonly driver: Driver
  /** Undefined where nothing stands between clients and nodes. */
  readonly links: LinkDriver | undefined
  /** This fault's own draws. */
  readonly random: Random
  readonly signal: AbortSignal
}

export interface SoakFault {
  readonly name: string
  readonly kind: 'node' | 'link' | 'operator'
  readonly needs: readonly Action[]
  readonly needsLinks: readonly LinkAction[]
  /** What it will be done to, drawn by the seed: `rmq2@localhost`; empty for all. */
  readonly target: (stage: SoakStage) => string
  /** Breaks it, waits, mends it. @throws Error when it could not be done */
  readonly run: (stage: SoakStage, target: string) => Promise<void>
}

const WHOLE_LIMIT_MS = 60_000
const SOME_LIMIT_MS = 10_000 // clients that have just lost everything are back by then
const POLL_MS = 500
const FULL_REPLICAS = 3

/** All there are. */
export const soakFaults: readonly SoakFault[] = [
  nodeFault('kill -9 a node, start it again', 'kill', 'start', [1_000, 6_000]),
  nodeFault('SIGTERM a node, start it again', 'terminate', 'start', [0, 3_000]),
  nodeFault('drain a node, revive it', 'drain', 'revive', [2_000, 6_000]),
  nodeFault('freeze a node, let it go on', 'pause', 'resume', [2_000, 6_000]),
  {
    ...aboutNode('isolate a node from the others', ['partition', 'healPartition', 'queues']),
    async run(stage, node) {
      const others = stage.driver.nodes.filter(name => name !== node)
      await actionOf(stage.driver, 'partition')([[node], others])
      await held(stage, [3_000, 8_000])
      await actionOf(stage.driver, 'healPartition')()
      await wholeAgain(stage)
    },
  },
  alarm('memory alarm', 'memoryAlarm'),
  alarm('disk alarm', 'diskAlarm'),
  {
    ...{ name: 'close all connections', kind: 'operator', needs: ['closeConnections'], needsLinks: [] },
    target: () => '',
    run: ({ driver }) =>
      untilSome(() => actionOf(driver, 'closeConnections')('closed by the soak'), 'no connection to close'),
  },
  {
    ...aboutLinks('reset every connection', ['reset']),
    run: ({ links }) => untilSome(() => Promise.resolve(links?.reset() ?? 0), 'no connection to reset'),
  },
  {
    ...aboutLinks('cut every connection at a byte of its own', ['cut']),
    run: ({ links, random }) =>
      untilSome(() => {
        const connections = links?.connections() ?? []
        for (const connection of connections)
          connection.cutAfter(random.pick(['up', 'down']), random.int(0, 5_000))
        return Promise.resolve(connections.length)
      }, 'no connection to cut'),
  },
  linkFault('blackhole the way to a node', 'blackhole', (links, node, on) => links.blackhole(on, [node])),
  linkFault('refuse new connections to a node', 'refuse', (links, node, on) => links.refuse(on, [node])),
  linkFault('200 ms more of latency to a node', 'pace', (links, node, on) =>
    links.pace(on ? { latencyMs: 200 } : {}, [node]),
  ),
]

/** Those that these drivers can do. */
export function faultsAtHand({ driver, links }: Pick<SoakStage, 'driver' | 'links'>): SoakFault[] {
  return soakFaults.filter(
    ({ needs, needsLinks }) =>
      needs.every(action => driver.actions[action] !== undefined) &&
      needsLinks.every(action => links?.can.has(action) ?? false),
  )
}

type Range = readonly [minMs: number, maxMs: number]
type OneNode = 'kill' | 'terminate' | 'drain' | 'pause' | 'start' | 'revive' | 'resume'

function aboutNode(name: string, needs: readonly Action[]): Omit<SoakFault, 'run'> {
  const target = ({ driver, random }: SoakStage): string => random.pick(driver.nodes)
  return { name, kind: 'node', needs, needsLinks: [], target }
}

function aboutLinks(name: string, needsLinks: readonly LinkAction[]): Omit<SoakFault, 'run'> {
  return { name, kind: 'link', needs: [], needsLinks, target: () => '' }
}

/** A node that goes and comes back; the fault is over when its replicas have caught up. */
function nodeFault(name: string, strike: OneNode, mend: OneNode, lasts: Range): SoakFault {
  return {
    ...aboutNode(name, [strike, mend, 'queues']),
    async run(stage, node) {
      await actionOf(stage.driver, strike)(node)
      await held(stage, lasts)
      await actionOf(stage.driver, mend)(node)
      await wholeAgain(stage)
    },
  }
}

/** n.b. an alarm on one node blocks publishers on all of them. */
function alarm(name: string, action: 'memoryAlarm' | 'diskAlarm'): SoakFault {
  return {
    ...aboutNode(name, [action]),
    async run(stage, node) {
      await actionOf(stage.driver, action)(node, true)
      await held(stage, [1_000, 4_000])
      await actionOf(stage.driver, action)(node, false)
    },
  }
}

function linkFault(
  name: string,
  action: LinkAction,
  set: (links: LinkDriver, node: string, on: boolean) => void,
): SoakFault {
  return {
    ...aboutLinks(name, [action]),
    target: ({ driver, random }) => random.pick(driver.nodes),
    async run(stage, node) {
      const { links } = stage
      if (links === undefined) throw new Error('not injected: nothing stands between clients and nodes')
      set(links, node, true)
      await held(stage, [3_000, 8_000])
      set(links, node, false)
    },
  }
}

/** An aborted wait mends at once. */
async function held({ random, signal }: SoakStage, [minMs, maxMs]: Range): Promise<void> {
  await sleep(random.int(minMs, maxMs), undefined, { signal }).catch(() => undefined)
}

/** A fault that meets nothing waits for its victims. @throws Error when there are none for long */
async function untilSome(strike: () => Promise<number>, what: string): Promise<void> {
  const deadline = performance.now() + SOME_LIMIT_MS
  while ((await strike()) === 0) {
    if (performance.now() > deadline) throw new Error(`not injected: ${what}`)
    await sleep(POLL_MS)
  }
}

/** @throws Error when replicas stay away */
async function wholeAgain({ driver }: SoakStage): Promise<void> {
  const deadline = performance.now() + WHOLE_LIMIT_MS
  const replicas = Math.min(FULL_REPLICAS, driver.nodes.length)
  for (;;) {
    const queues = await actionOf(driver, 'queues')().catch(() => [])
    const sound = queues.every(({ leader, online }) => leader !== '' && online.length >= replicas)
    if (queues.length > 0 && sound) return
    if (performance.now() > deadline)
      throw new Error(`waited ${WHOLE_LIMIT_MS / 1_000} s in vain for all replicas of all queues`)
    await sleep(POLL_MS)
  }
}
