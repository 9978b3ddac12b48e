/**
 * Draws faults and lets them happen: one every 5 to 15 s, whatever is still under way, as long as its kind is free.
 * What comes follows from the seed and from how long mending takes; the report says what came.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { nowMs } from './ledger.js'
import type { Random } from './random.js'
import type { SoakFault, SoakStage } from './soak-faults.js'

/** A fault that came. Times in ms since the epoch. */
export interface SoakEvent {
  readonly name: string
  readonly target: string
  readonly injectedAt: number
  healedAt?: number
  error?: string
}

export interface DrawSetting extends Omit<SoakStage, 'random'> {
  readonly faults: readonly SoakFault[]
  readonly random: Random
  /** Ms since the epoch: none begins later. */
  readonly until: number
  readonly everyMs: readonly [min: number, max: number]
  readonly note: (line: string) => void
}

/** A node that is away answers no operator. */
const EXCLUDES: Readonly<Record<SoakFault['kind'], readonly SoakFault['kind'][]>> = {
  node: ['node', 'operator'],
  operator: ['node', 'operator'],
  link: ['link'],
}

/** Resolves when the last one is mended. @returns all that came, in order */
export async function drawFaults(setting: DrawSetting): Promise<SoakEvent[]> {
  const { random, until, everyMs, signal } = setting
  const events: SoakEvent[] = []
  const underway = new Map<Promise<void>, SoakFault['kind']>()
  for (let i = 1; ; i++) {
    const own = random.fork(String(i))
    const pauseMs = own.int(...everyMs)
    if (nowMs() + pauseMs >= until) break
    if (!(await sleep(pauseMs, true, { signal }).catch(() => false))) break
    const busy = new Set([...underway.values()].flatMap(kind => EXCLUDES[kind]))
    const free = setting.faults.filter(({ kind }) => !busy.has(kind))
    if (free.length === 0) continue
    const fault = own.pick(free)
    const happening = happen(fault, { ...setting, random: own }, events, setting.note)
    underway.set(happening, fault.kind)
    void happening.then(() => underway.delete(happening))
  }
  await Promise.all(underway.keys())
  return events
}

/** Never throws: what went wrong stands in the event. */
async function happen(
  fault: SoakFault,
  stage: SoakStage,
  events: SoakEvent[],
  note: (line: string) => void,
): Promise<void> {
  const target = fault.target(stage)
  const event: SoakEvent = { name: fault.name, target, injectedAt: nowMs() }
  events.push(event)
  note(`fault ${events.length}: ${nameOf(event)}`)
  try {
    await fault.run(stage, target)
    event.healedAt = nowMs()
  } catch (error) {
    event.error = error instanceof Error ? error.message : String(error)
    note(`fault ${events.length}: ${event.error}`)
  }
}

/** `drain a node, revive it: rmq2@localhost` */
export function nameOf({ name, target }: Pick<SoakEvent, 'name' | 'target'>): string {
  return target === '' ? name : `${name}: ${target}`
}
