/** `sealbus chaos soak`: a long load with a fault at random every 5 to 15 s; judges every message, and that nothing grows. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { proxyLinks } from '../chaos/drivers/proxy.js'
import { borrowedGround, type Ground, ownGround } from '../chaos/ground.js'
import { newSeed } from '../chaos/random.js'
import { renderHtml } from '../chaos/report-html.js'
import { renderJunit } from '../chaos/report-junit.js'
import type { ReportModel } from '../chaos/report-model.js'
import { runSoak, type SoakResult } from '../chaos/soak.js'
import { soakJson, soakText } from '../chaos/soak-summary.js'
import { EXIT } from './usage.js'

const USAGE = `sealbus chaos soak [--duration 60m] [--seed TEXT] [--rate N] [--json FILE] [--html FILE] [--junit FILE] [--cluster DIR] [--keep]

Loads a real cluster for a long time, injects one fault at random every 5 to 15 s, and judges from ledgers what became of
every message, and that memory, sockets, timers and listeners of the processes do not grow.

  --duration  30s, 10m, 1h; default 60m. Growth can be told from about 20 minutes on
  --seed      the same seed draws the same faults, nodes and times; printed at the start
  --rate      messages a second in each of 16 lanes, 1 to 200; default 10
  --json      writes the result there
  --html      writes a page with the timeline, the verdicts and the numbers
  --junit     writes JUnit XML
  --cluster   folder of a running cluster (sealbus cluster up --pki D); default: one of its own, gone afterwards
  --keep      leaves the ledgers where they are, and says where

Exit code 0: every promise kept. 1: not so, or a fault could not be injected. 2: wrong usage.`

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 }
const LEAST_MS = 30_000
const MOST_MS = 7 * 24 * 3_600_000 // 7 days

interface Settings {
  readonly durationMs: number
  readonly duration: string
  readonly seed: string
  readonly rate: number
  readonly json: string | undefined
  readonly html: string | undefined
  readonly junit: string | undefined
  readonly cluster: string | undefined
  readonly keep: boolean
}

/**
 * Runs the command.
 * @returns the exit code
 * @throws RangeError, TypeError for wrong usage
 */
export async function runSoakCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    note(USAGE)
    return EXIT.done
  }
  const settings = parse(args)
  note(`seed ${settings.seed}; soak of ${settings.duration}`)
  const ground = await (settings.cluster === undefined ? ownGround(note) : borrowedGround(settings.cluster))
  const links = proxyLinks(ground.driver)
  try {
    const result = await soaked(settings, ground, links, signal)
    write(settings, result)
    note(`\n${soakText(result)}\n\nseed ${settings.seed}`)
    return result.model.verdict === 'met' ? EXIT.done : EXIT.failed
  } finally {
    await links.close()
    if (settings.keep) note(`ledgers are in ${ground.keep()}`)
    await ground.close()
  }
}

async function soaked(
  { seed, rate, durationMs, ...settings }: Settings,
  { driver, cast, folder, broker }: Ground,
  links: ReturnType<typeof proxyLinks>,
  signal: AbortSignal,
): Promise<SoakResult> {
  return await runSoak({
    ...{ driver, links, cast, folder, seed, durationMs, note, signal },
    everyMs: 1_000 / rate,
    command: commandOf({ seed, rate, durationMs, ...settings }),
    configuration: [
      { name: 'broker', value: broker },
      { name: 'drivers', value: `${driver.kind}, ${links.kind}` },
      { name: 'load', value: `${rate} messages a second in each lane, for ${settings.duration}` },
      { name: 'node', value: `${process.version}, ${process.platform} ${process.arch}` },
    ],
  })
}

function commandOf({ duration, seed, rate, cluster }: Settings): string {
  const where = cluster === undefined ? '' : ` --cluster ${cluster}`
  return `sealbus chaos soak --duration ${duration} --seed ${seed} --rate ${rate}${where}`
}

/** @throws RangeError for a value out of its range; TypeError (of node:util) for an option that there is not */
function parse(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      duration: { type: 'string', default: '60m' },
      seed: { type: 'string' },
      rate: { type: 'string', default: '10' },
      json: { type: 'string' },
      html: { type: 'string' },
      junit: { type: 'string' },
      cluster: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  })
  const { json, html, junit, cluster, keep, duration } = values
  return {
    ...{
      duration,
      durationMs: durationOf(duration),
      seed: values.seed ?? newSeed(),
      rate: rateOf(values.rate),
    },
    ...{ json, html, junit, cluster, keep },
  }
}

function durationOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smh])$/.exec(text) ?? []
  const ms = Number(number) * (UNITS[unit ?? ''] ?? Number.NaN)
  if (ms >= LEAST_MS && ms <= MOST_MS) return ms
  throw new RangeError(`--duration: expected 30s to 168h, such as 10m, got ${text}`)
}

function rateOf(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= 200) return value
  throw new RangeError(`--rate: expected a whole number from 1 to 200, got ${text}`)
}

function write({ json, html, junit, seed }: Settings, result: SoakResult): void {
  const { command } = result.model
  const report: ReportModel = {
    ...{ title: 'sealbus chaos soak', madeAt: new Date().toISOString(), seed, command, runs: [result.model] },
  }
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(soakJson(result))}\n`)
  if (html !== undefined) writeFileSync(html, renderHtml(report))
  if (junit !== undefined) writeFileSync(junit, renderJunit(report))
}

function note(line: string): void {
  process.stdout.write(`${line}\n`)
}
