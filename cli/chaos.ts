/** `sealbus chaos`: runs faults against a real cluster, and says whether the promises held. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runCampaign } from '../chaos/campaign.js'
import { borrowedGround, type Ground, ownGround } from '../chaos/ground.js'
import { newSeed, seededRandom } from '../chaos/random.js'
import { type FaultReport, renderTable } from '../chaos/report.js'
import { scenarios, selectScenarios } from '../chaos/scenarios/index.js'

const USAGE = `sealbus chaos run [--faults 1,2,4b] [--repeat N] [--json FILE] [--seed TEXT] [--cluster DIR] [--rate N] [--keep]
sealbus chaos list

Kills, drains and cuts a real cluster under load, and judges from ledgers what became of every message.

  --faults   rows of docs/DELIVERY.md, or sub-cases; default: all there are
  --repeat   runs of each; default 1
  --json     writes the results there, after each run
  --seed     the same seed draws the same nodes, bytes and times; printed at the start
  --cluster  folder of a running cluster (sealbus cluster up --pki D); default: one of its own, gone afterwards
  --rate     messages a second in each lane, 5 to 200; default 25
  --keep     leaves the ledgers where they are, and says where

Exit code 0: every promise kept within its bound. 1: not so, or a fault could not be injected. 2: wrong usage.`

const EXIT = { met: 0, notMet: 1, usage: 2, interrupted: 130 } as const

interface Settings {
  readonly faults: readonly string[]
  readonly repeat: number
  readonly json: string | undefined
  readonly seed: string
  readonly cluster: string | undefined
  readonly rate: number
  readonly keep: boolean
}

/** Runs the command. @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  const [word, ...rest] = argv[0]?.startsWith('-') === false ? argv : ['run', ...argv]
  if (rest.includes('--help') || rest.includes('-h') || word === 'help') return say(USAGE, EXIT.met)
  if (word === 'list')
    return say(scenarios.map(({ id, name }) => `${id.padEnd(4)}${name}`).join('\n'), EXIT.met)
  try {
    if (word !== 'run') throw new RangeError(`expected run or list, got ${word ?? ''}`)
    const settings = parse(rest)
    const chosen = selectScenarios(settings.faults)
    return await interruptible(signal => attack(settings, chosen, signal))
  } catch (error) {
    const wrongUsage = error instanceof RangeError || error instanceof TypeError
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\n${wrongUsage ? `\n${USAGE}\n` : ''}`,
    )
    return wrongUsage ? EXIT.usage : EXIT.notMet
  }
}

/** @throws RangeError for a value out of its range; TypeError (of node:util) for an option that there is not */
function parse(args: string[]): Settings {
  const { values } = parseArgs({
    args,
    options: {
      faults: { type: 'string' },
      repeat: { type: 'string', default: '1' },
      json: { type: 'string' },
      seed: { type: 'string' },
      cluster: { type: 'string' },
      rate: { type: 'string', default: '25' },
      keep: { type: 'boolean', default: false },
    },
  })
  return {
    faults: (values.faults ?? scenarios.map(({ id }) => id).join(',')).split(',').map(id => id.trim()),
    repeat: whole('--repeat', values.repeat, 1, 1_000),
    json: values.json,
    seed: values.seed ?? newSeed(),
    cluster: values.cluster,
    rate: whole('--rate', values.rate, 5, 200),
    keep: values.keep,
  }
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name}: expected a whole number from ${min} to ${max}, got ${text}`)
}

/** The first Ctrl-C ends in order: results so far are reported, the cluster goes down. */
async function interruptible(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    const code = await work(abort.signal)
    return abort.signal.aborted ? EXIT.interrupted : code
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function attack(
  settings: Settings,
  chosen: ReturnType<typeof selectScenarios>,
  signal: AbortSignal,
): Promise<number> {
  note(
    `seed ${settings.seed}; faults ${chosen.map(({ id }) => id).join(', ')}, ${settings.repeat} runs of each`,
  )
  const ground = await groundOf(settings)
  try {
    note(ground.broker)
    const { reports, met } = await runCampaign({
      scenarios: chosen,
      repeat: settings.repeat,
      random: seededRandom(settings.seed),
      setting: {
        driver: ground.driver,
        cast: ground.cast,
        folder: ground.folder,
        everyMs: 1_000 / settings.rate,
        note,
        signal,
      },
      onResult: reports => save(settings.json, reports),
    })
    save(settings.json, reports)
    if (reports.length > 0) note(`\n${renderTable(reports)}`)
    return say(`\nseed ${settings.seed}`, met ? EXIT.met : EXIT.notMet)
  } finally {
    if (settings.keep) note(`ledgers are in ${ground.keep()}`)
    await ground.close()
  }
}

function groundOf({ cluster }: Settings): Promise<Ground> {
  return cluster === undefined ? ownGround(note) : borrowedGround(cluster)
}

function save(file: string | undefined, reports: readonly FaultReport[]): void {
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ faults: reports })}\n`)
}

function note(line: string): void {
  process.stdout.write(`${line}\n`)
}

function say(text: string, code: number): number {
  note(text)
  return code
}
