/**
 * Row 27c: 200 clients at a node's death. All that were connected to it come back, to all that is left (spread), and with few
 * attempts each (no storm). A program of its own: what is looked at are connections, not messages.
 */
import { asError } from '../src/errors.js'
import { Crowd } from './crowd.js'
import { actionOf } from './drivers/compose.js'
import type { Fault } from './fault.js'
import type { Random } from './random.js'
import type { RunResult, Setting, Totals } from './scenario.js'

const CLIENTS = 200
const GATHER_LIMIT_MS = 120_000
/** For some 130 connections that are lost at once, each with a TLS handshake of two certificates. */
const BOUND_MS = 15_000
const LIMIT_MS = 4 * BOUND_MS
/** Attempts for each connection that was lost. */
const MOST_DIALS = 3
/** Of those that came back, one of two nodes has at most this share. */
const MOST_SHARE = 0.75
const NONE: Totals = { sent: 0, resolved: 0, rejected: 0, handled: 0, nacked: 0 }

export const crowdFault: Fault = {
  id: '27c',
  name: `${CLIENTS} clients at a node's death`,
  description:
    'Two connections of each client are spread over the nodes; one node loses power. All that were on it come back to the others, spread evenly, with few attempts.',
  bound: { publishMs: BOUND_MS },
  run: crowded,
}

async function crowded(setting: Setting, _run: string, random: Random): Promise<RunResult> {
  const { driver, cast, signal } = setting
  let crowd: Crowd | undefined
  try {
    await driver.heal()
    const brokers = driver.nodes.map(node => driver.url(node))
    const identity = cast.centre.identity
    crowd = await Crowd.gather({ identity, brokers, clients: CLIENTS, signal }, GATHER_LIMIT_MS)
    return await strike(setting, crowd, random)
  } catch (error) {
    return { violations: [], error: asError(error).message, totals: NONE }
  } finally {
    await crowd?.leave()
    await driver.heal().catch(() => undefined)
  }
}

async function strike({ driver, note }: Setting, crowd: Crowd, random: Random): Promise<RunResult> {
  const node = random.pick(driver.nodes)
  const before = await counts(driver)
  const lost = before.get(node) ?? 0
  if (lost === 0) throw new Error(`not injected: no connection of ${crowd.size} is on ${node}`)
  const dialsBefore = crowd.dials
  const struckAt = performance.now()
  await actionOf(driver, 'kill')(node)
  const cameBack = (await lostSome(crowd)) && (await crowd.reach(crowd.size, LIMIT_MS))
  const gapMs = Math.round(performance.now() - struckAt)
  const dials = crowd.dials - dialsBefore
  const after = await counts(driver)
  const gained = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
  note(
    `killed ${node} with ${lost} of ${crowd.size} connections: all back after ${gapMs} ms with ${dials} attempts, ${gained.map(([name, count]) => `${count} to ${name}`).join(', ')}`,
  )
  return {
    violations: [
      ...(cameBack ? [] : [`I6 only ${crowd.open} of ${crowd.size} connections came back`]),
      ...(gapMs > BOUND_MS ? [`I6 all back after ${gapMs} ms, bound ${BOUND_MS} ms`] : []),
      ...(dials > MOST_DIALS * lost ? [`I6 a storm: ${dials} attempts for ${lost} connections`] : []),
      ...gained
        .filter(([name, count]) => name !== node && count > MOST_SHARE * lost)
        .map(([name, count]) => `I6 not spread: ${count} of ${lost} went to ${name}`),
    ],
    gapMs,
    measures: [{ name: 'gap', gapMs, boundMs: BOUND_MS }],
    totals: NONE,
  }
}

/** The death is noticed a moment later. */
async function lostSome(crowd: Crowd): Promise<boolean> {
  for (let i = 0; i < 500 && crowd.open === crowd.size; i++)
    await new Promise(resolve => setTimeout(resolve, 10))
  return crowd.open < crowd.size
}

/** Client connections by node. */
async function counts(driver: Setting['driver']): Promise<Map<string, number>> {
  const all = await actionOf(driver, 'connections')()
  return new Map([...new Set(all)].map(node => [node, all.filter(each => each === node).length]))
}
