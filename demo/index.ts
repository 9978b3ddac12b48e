/**
 * The demonstration: the seeds' conversations over a sealed bus, a node killed under load, and a look through the eyes of
 * the broker's operator. Its last line is JSON; its exit code says whether that line is as it should be.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from '../src/bus.js'
import { CAST } from './cast.js'
import { activateHubs, askForReports, bid, handlerOf, mapDatapoints } from './conversations.js'
import { type Counts, Ledger } from './ledger.js'
import { startLoad } from './load.js'
import { type Blow, type Say, type Stage, setStage } from './stage.js'
import { Talk } from './talk.js'

const BEFORE_KILL_MS = 3_000
const AFTER_KILL_MS = 6_000
const SETTLE_LIMIT_MS = 30_000
/** docs/DELIVERY.md: what the death of the connected node may cost. */
const FAILOVER_BOUND_MS = 3_000

/** The demonstration's last line. */
export interface Verdict extends Counts {
  readonly failoverMs: number
  readonly plaintextSeen: boolean
  readonly broker: string
}

/** Plays the demonstration. @returns the verdict, and whether it is as it should be */
export async function demonstrate(say: Say, embedded: boolean): Promise<{ verdict: Verdict; ok: boolean }> {
  const stage = await setStage(say, embedded)
  const buses = new Map<string, Bus>()
  try {
    const verdict = await play(stage, buses, say)
    return { verdict, ok: isAsItShouldBe(verdict) }
  } finally {
    await Promise.all([...buses.values()].map(bus => bus.close()))
    await stage.end()
  }
}

async function play(stage: Stage, buses: Map<string, Bus>, say: Say): Promise<Verdict> {
  const ledger = new Ledger()
  const talk = new Talk(buses, ledger)
  await Promise.all(CAST.map(async ({ name }) => buses.set(name, await stage.join(name))))
  for (const [name, bus] of buses) await bus.consume(handlerOf(name, talk))
  say(`${buses.size} parties connected`)
  for (const conversation of [askForReports, activateHubs, bid, mapDatapoints]) say(await conversation(talk))
  const { at, since } = await killUnderLoad(stage, talk, say)
  await settle(ledger)
  const failoverMs = Math.round(ledger.gapAfter(at))
  say(`first confirm and first delivery on the slowest lane: ${failoverMs} ms after ${since}`)
  const plaintextSeen = await look(stage, ledger, say)
  return { ...ledger.counts(), failoverMs, plaintextSeen, broker: stage.broker }
}

async function killUnderLoad(stage: Stage, talk: Talk, say: Say): Promise<Blow> {
  const load = startLoad(talk)
  say('steady load: ten hubs report ten times a second, the VPP activates each four times a second')
  await sleep(BEFORE_KILL_MS)
  const blow = await stage.kill()
  say(blow.what)
  await sleep(AFTER_KILL_MS)
  await load.stop()
  return blow
}

async function settle(ledger: Ledger): Promise<void> {
  const deadline = performance.now() + SETTLE_LIMIT_MS
  while (ledger.pending() > 0 && performance.now() < deadline) await sleep(50)
  await sleep(500) // n.b. a duplicate would come late
}

/** Searches what the broker's operator captured for every payload that was sent. */
async function look(stage: Stage, ledger: Ledger, say: Say): Promise<boolean> {
  const captured = Buffer.concat(await stage.captured())
  const payloads = ledger.payloads()
  const found = payloads.filter(payload => captured.includes(payload)).length
  say(
    `the broker's operator captured ${captured.length} bytes; of ${payloads.length} payloads sent, ${found} stand in them`,
  )
  if (captured.length === 0)
    throw new Error('the shadow queue captured nothing: this run shows nothing about plaintext')
  return found > 0
}

function isAsItShouldBe(verdict: Verdict): boolean {
  const { sent, handled, lost, duplicates, outOfOrder, failoverMs, plaintextSeen } = verdict
  const clean = sent > 0 && handled === sent && lost === 0 && duplicates === 0 && outOfOrder === 0
  return clean && failoverMs <= FAILOVER_BOUND_MS && !plaintextSeen
}
