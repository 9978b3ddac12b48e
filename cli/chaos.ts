/** `sealbus chaos`: runs faults against a real cluster, and says whether the promises held. */
import { writeFileSync } from 'node:fs'
import { runCampaign } from '../chaos/campaign.js'
import { makeDriver } from '../chaos/driver-kinds.js'
import { proxyLinks } from '../chaos/drivers/proxy.js'
import { shippedFaults } from '../chaos/faults.js'
import { borrowedGround, foreignGround, type Ground, ownGround } from '../chaos/ground.js'
import { seededRandom } from '../chaos/random.js'
import { readScriptFile } from '../chaos/read-script.js'
import { type FaultReport, renderTable } from '../chaos/report.js'
import { renderHtml } from '../chaos/report-html.js'
import { renderJunit } from '../chaos/report-junit.js'
import type { RunModel } from '../chaos/report-model.js'
import { type CommandFacts, modelOf, reportOf } from '../chaos/run-report.js'
import { vocabulary } from '../chaos/vocabulary.js'
import { parseSettings, type Settings } from './chaos-options.js'
import { runSoakCommand } from './chaos-soak.js'

const USAGE = `sealbus chaos run [FILE…] [--faults 1,2,4b | --quick | --all] [--repeat N | --duration S] [--soak S]
                  [--seed TEXT] [--rate N]
                  [--cluster DIR | --brokers URL,URL,URL --identity DIR] [--driver KIND,…] [--driver-config FILE]
                  [--json FILE] [--junit FILE] [--html FILE] [--keep]
sealbus chaos soak --help    hours of load, a fault at random every 5 to 15 s
sealbus chaos list           the rows that come with the tool
sealbus chaos check FILE…    whether scenario files are right
sealbus chaos words          what steps of a scenario can do

Kills, drains and cuts a real cluster under load, and judges from ledgers what became of every message. See docs/CHAOS.md.

  FILE             scenarios of your own
  --faults         rows of docs/DELIVERY.md, or sub-cases; --quick: a choice of at most six minutes; default: all there are
  --repeat         runs of each; default 1. --duration: instead, all in turn until so many seconds have passed
  --soak           how long row 29 lasts, s; default 600
  --seed           the same seed draws the same nodes, bytes and times; printed at the start
  --rate           messages a second in each lane, 5 to 200; default 25
  --cluster        folder of a running cluster (sealbus cluster up --pki D); default: one of its own, gone afterwards
  --brokers        a cluster elsewhere, of which nothing is assumed but AMQPS
  --identity       the domain's folder (sealbus pki), whose devices take part; they must not be in use
  --driver         what can be done to the cluster: local, proxy, and others; see docs/CHAOS.md
  --json, --junit, --html   results, written after each run
  --keep           leaves the ledgers where they are, and says where

Exit code 0: every promise kept within its bound. 1: not so, or a fault could not be injected. 2: wrong usage.`

const EXIT = { met: 0, notMet: 1, usage: 2, interrupted: 130 } as const

const WORDS: Readonly<Record<string, (args: string[]) => number | Promise<number>>> = {
  run: args => interruptible(signal => attack(parseSettings(args), signal)),
  soak: args => interruptible(signal => runSoakCommand(args, signal)),
  list: () =>
    say(
      shippedFaults()
        .map(({ id, name }) => `${id.padEnd(4)}${name}`)
        .join('\n'),
      EXIT.met,
    ),
  words: () => say(wordList(), EXIT.met),
  check,
}

/** Runs the command. @returns the exit code */
export async function run(argv: string[]): Promise<number> {
  const [name = 'run', ...rest] = argv[0]?.startsWith('-') === false ? argv : ['run', ...argv]
  const asksForHelp = rest.includes('--help') || rest.includes('-h')
  if (name === 'help' || (asksForHelp && name !== 'soak')) return say(USAGE, EXIT.met)
  try {
    const word = Object.hasOwn(WORDS, name) ? WORDS[name] : undefined
    if (word === undefined) throw new RangeError(`expected ${Object.keys(WORDS).join(', ')}, got ${name}`)
    return await word(rest)
  } catch (error) {
    const wrongUsage = error instanceof RangeError || error instanceof TypeError
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\n${wrongUsage ? `\n${USAGE}\n` : ''}`,
    )
    return wrongUsage ? EXIT.usage : EXIT.notMet
  }
}

/** Reads every file, and complains about each that is wrong. */
function check(files: string[]): number {
  if (files.length === 0) throw new RangeError('check: expected at least one FILE')
  let wrong = 0
  for (const file of files) {
    try {
      const { id, name, steps } = readScriptFile(file)
      note(`${file}: ${id} ${name}: ${steps.map(({ word }) => word).join(', ')}`)
    } catch (error) {
      wrong++
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
  return wrong === 0 ? EXIT.met : EXIT.notMet
}

function wordList(): string {
  return Object.entries(vocabulary)
    .map(([name, { summary, example }]) => `${`${name}: ${example}`.trim()}\n    ${summary}`)
    .join('\n')
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

async function attack(settings: Settings, signal: AbortSignal): Promise<number> {
  const { faults, repeat, durationMs, soakMs, seed, rate } = settings
  const times = durationMs === undefined ? `${repeat} runs of each` : `in turn for ${durationMs / 1_000} s`
  note(`seed ${seed}; faults ${faults.map(({ id }) => id).join(', ')}, ${times}`)
  const ground = await groundOf(settings)
  try {
    note(ground.broker)
    const { driver, cast, folder, broker } = ground
    const facts = { seed, command: settings.command, broker, driver: driver.kind, rate }
    const models: RunModel[] = []
    const { reports, met } = await runCampaign({
      ...{ faults, repeat, random: seededRandom(seed) },
      ...(durationMs !== undefined && { durationMs }),
      setting: {
        driver,
        links: () => proxyLinks(driver),
        cast,
        folder,
        everyMs: 1_000 / rate,
        soakMs,
        note,
        signal,
      },
      onRun: finished => {
        if (settings.html ?? settings.junit) models.push(modelOf(finished, facts))
        savePages(settings, models, facts)
      },
      onResult: found => saveJson(settings.json, found),
    })
    saveJson(settings.json, reports)
    if (reports.length > 0) note(`\n${renderTable(reports)}`)
    return say(`\nseed ${seed}`, met ? EXIT.met : EXIT.notMet)
  } finally {
    if (settings.keep) note(`ledgers are in ${ground.keep()}`)
    await ground.close()
  }
}

async function groundOf({ cluster, brokers, identity, drivers, driverConfig }: Settings): Promise<Ground> {
  if (identity === undefined)
    return cluster === undefined
      ? await ownGround(note, { network: drivers.includes('netns') })
      : await borrowedGround(cluster)
  const driver = await makeDriver(drivers, {
    ...{ brokers, cluster: undefined, note },
    config: driverConfig?.content,
    configFile: driverConfig?.file,
  })
  return await foreignGround(driver, identity)
}

function saveJson(file: string | undefined, reports: readonly FaultReport[]): void {
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ faults: reports })}\n`)
}

/** n.b. after each run, so that an interrupted one leaves what there was. */
function savePages({ html, junit }: Settings, models: readonly RunModel[], facts: CommandFacts): void {
  const report = reportOf(models, facts)
  if (html !== undefined) writeFileSync(html, renderHtml(report))
  if (junit !== undefined) writeFileSync(junit, renderJunit(report))
}

function note(line: string): void {
  process.stdout.write(`${line}\n`)
}

function say(text: string, code: number): number {
  note(text)
  return code
}
