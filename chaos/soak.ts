/**
 * A soak (row 29): hours of load, and one fault at random every 5 to 15 s. Judged are I1 to I5 over the whole time, and that
 * nothing grows in the processes of the load. Ledgers are read as a stream: an hour of them needs no more memory than a minute.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Driver, LinkDriver } from './drivers/driver.js'
import { nowMs } from './ledger.js'
import { Load } from './load.js'
import { type Cast, standardPlan } from './plan.js'
import { type Random, seededRandom } from './random.js'
import type { RunModel, Setting } from './report-model.js'
import { RunModelMaker } from './report-run.js'
import { drawFaults, nameOf, type SoakEvent } from './soak-draw.js'
import { faultsAtHand } from './soak-faults.js'
import { type Growth, growthLine } from './soak-growth.js'
import { SoakJudge } from './soak-judge.js'
import { mergedEntries } from './timeline-ledgers.js'
import { rangeOf } from './timeline-range.js'

export interface SoakSetting {
  readonly driver: Driver
  /** Undefined where nothing stands between clients and nodes. */
  readonly links: LinkDriver | undefined
  readonly cast: Cast
  /** Ledgers go here. */
  readonly folder: string
  readonly seed: string
  /** What to type to have it again. */
  readonly command: string
  readonly configuration: readonly Setting[]
  readonly durationMs: number
  /** Time between two messages of a lane, ms. */
  readonly everyMs: number
  readonly note: (line: string) => void
  /** Ends the soak early; what was until then is judged. */
  readonly signal: AbortSignal
  /** How to start the program of a process of the load. */
  readonly launch?: Parameters<typeof Load.start>[3]
  /** Shorter times, for tests. */
  readonly times?: Partial<SoakTimes>
}

interface SoakTimes {
  /** Between two faults. */
  readonly everyMs: readonly [min: number, max: number]
  readonly calmMs: number
  readonly drainMs: number
}

export interface SoakResult {
  readonly model: RunModel
  readonly events: readonly SoakEvent[]
  readonly growth: readonly Growth[]
}

const RUN = 'soak'
const TIMES: SoakTimes = { everyMs: [5_000, 15_000], calmMs: 5_000, drainMs: 90_000 }
const PROGRESS_MS = 60_000
const FLOWING = { messages: 20, limitMs: 30_000 }
const POLL_MS = 200
const QUIET_POLLS = 5 // each process reports its counts that often
const WARM_UP = { share: 0.15, leastMs: 60_000 }
/** From this length on a trend that cannot be told is a failure of the soak, not of its brevity. */
const LONG_MS = 1_800_000

/** Runs and judges it. @throws Error when the load could not be started, or no fault is at hand */
export async function runSoak(setting: SoakSetting): Promise<SoakResult> {
  const { driver, links, note, signal } = setting
  const times = { ...TIMES, ...setting.times }
  const faults = faultsAtHand(setting)
  if (faults.length === 0)
    throw new Error(`driver ${driver.kind} can do none of the faults of a soak; choose another with --driver`)
  note(`faults at hand: ${faults.map(({ name }) => name).join('; ')}`)
  const startedAt = nowMs()
  const random = seededRandom(setting.seed)
  const load = await startedLoad(setting, random)
  const progress = setInterval(() => note(progressLine(load, startedAt)), PROGRESS_MS)
  try {
    await pause(times.calmMs, signal)
    const until = nowMs() + setting.durationMs
    const stage = { driver, links, signal, faults, until, everyMs: times.everyMs, note }
    const events = await drawFaults({ ...stage, random: random.fork('faults') })
    await pause(until - nowMs(), signal)
    links?.heal()
    await driver.heal()
    await pause(times.calmMs, signal)
    const stoppedAt = nowMs()
    load.stop()
    await settled(load, times.drainMs)
    await load.close()
    return judged(setting, { startedAt, stoppedAt, endedAt: nowMs() }, events)
  } finally {
    clearInterval(progress)
    load.abandon()
  }
}

async function startedLoad(setting: SoakSetting, random: Random): Promise<Load> {
  const { driver, links, cast, folder, everyMs, launch } = setting
  await driver.heal()
  const brokers = (await links?.everywhere()) ?? driver.nodes.map(node => driver.url(node))
  const delays = random.fork('delays')
  const groups = ['steady', 'quiet'] as const
  const plan = standardPlan(cast, { run: RUN, everyMs, groups, delayMs: () => delays.int(0, 1_000) })
  const load = await Load.start(plan, brokers, folder, launch)
  load.begin('steady')
  load.begin('quiet')
  await load.flowing(2 * (cast.steady.length + cast.quiet.length), FLOWING.messages, FLOWING.limitMs)
  return load
}

/** Waits until every promise has settled and as much is handled as was confirmed; what is missing then is for the judge. */
async function settled(load: Load, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs
  for (let quiet = 0; quiet < QUIET_POLLS && performance.now() < deadline; ) {
    await sleep(POLL_MS)
    const done = [...load.counts().values()].every(
      ({ sent, resolved, rejected, handled }) => resolved + rejected >= sent && handled >= resolved,
    )
    quiet = done ? quiet + 1 : 0
  }
}

/** n.b. synchronous, and long for long soaks: the load has ended by then. */
function judged(
  setting: SoakSetting,
  time: { startedAt: number; stoppedAt: number; endedAt: number },
  events: readonly SoakEvent[],
): SoakResult {
  const warmUpMs = Math.max(WARM_UP.leastMs, setting.durationMs * WARM_UP.share)
  const maker = new RunModelMaker(rangeOf(time.startedAt, time.endedAt))
  const judge = new SoakJudge({ from: time.startedAt + warmUpMs, to: time.stoppedAt })
  for (const entry of mergedEntries(ledgersIn(setting.folder))) {
    maker.take(entry)
    judge.take(entry)
  }
  const terms = { judgedAt: nowMs(), allowedRejections: new Set<string>() }
  const { violations, growth } = judge.finish(maker.messages(terms), terms)
  const unclear = growth.filter(({ verdict }) => verdict === 'too short to tell')
  const error = errorOf(setting, events, unclear)
  const model = maker.finish({
    ...{ id: '29', name: 'soak: a fault at random every 5 to 15 s', number: 1 },
    description: DESCRIPTION,
    ...{ seed: setting.seed, command: setting.command, configuration: setting.configuration },
    ...{ violations, terms, measures: [] },
    faults: events.map(event => ({ ...event, name: nameOf(event) })),
    ...(error !== undefined && { error }),
    notJudged: growth.length === 0 || unclear.length > 0 ? ['I5'] : [],
    notes: [...growth.map(growthLine), ...failures(events)],
  })
  return { model, events, growth }
}

const DESCRIPTION =
  'Load flows all the time. Faults of one kind come one after the other, those of different kinds at once. Memory, open resources, timers and listeners are judged by the slope of their floors after warming up.'

function errorOf(
  { durationMs, signal }: SoakSetting,
  events: readonly SoakEvent[],
  unclear: readonly Growth[],
): string | undefined {
  if (signal.aborted) return 'interrupted'
  if (events.length === 0) return 'no fault came: run for longer'
  const failed = failures(events)
  if (failed.length > 0) return `${failed.length} of ${events.length} faults failed: ${failed.join('; ')}`
  if (unclear.length > 0 && durationMs >= LONG_MS) return `growth cannot be told: ${growthLines(unclear)}`
  return undefined
}

function failures(events: readonly SoakEvent[]): string[] {
  return events.flatMap(event => (event.error === undefined ? [] : [`${nameOf(event)}: ${event.error}`]))
}

function growthLines(growth: readonly Growth[]): string {
  return growth.map(growthLine).join('; ')
}

function ledgersIn(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => name.startsWith(`${RUN}-`) && name.endsWith('.jsonl'))
    .map(name => join(folder, name))
}

function progressLine(load: Load, startedAt: number): string {
  const sum = { sent: 0, resolved: 0, rejected: 0, handled: 0 }
  for (const lane of load.counts().values())
    for (const key of ['sent', 'resolved', 'rejected', 'handled'] as const) sum[key] += lane[key]
  const minutes = ((nowMs() - startedAt) / 60_000).toFixed(1)
  return `${minutes} min: sent ${sum.sent}, resolved ${sum.resolved}, rejected ${sum.rejected}, handled ${sum.handled}`
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, ms), undefined, { signal }).catch(() => undefined)
}
