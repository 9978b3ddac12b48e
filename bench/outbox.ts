/**
 * Two ways to keep envelopes on disk, side by side in one run:
 * `npm run bench -- outbox [--json FILE] [--rounds N] [--kills N] [--dir FOLDER]`. `log` is the product's segmented log, `level`
 * is LevelDB. Rounds alternate (A B A B …). Figures are medians of rounds; the machine's disk decides them.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CANDIDATES, type Candidate, type Done, ledgerOf, openOutbox, type Work } from './outbox-work.js'

const BODY_BYTES = 1_000
const RECORDS = 40_000
const RESTART_BYTES = 100_000_000
const ENDLESS = Number.MAX_SAFE_INTEGER
/** A kill comes at a random moment after the first promise. */
const KILL_WITHIN_MS = 400

interface Figures {
  readonly putsPerSecond: number
  readonly putsAndRemovesPerSecond: number
  /** Bytes to the disk for each byte of body: put alone; put and removed. */
  readonly writtenPerByte: { readonly put: number; readonly churn: number }
  readonly restartSeconds: number
  readonly restartRssMiB: number
  readonly kills: Kills
}

interface Kills {
  readonly kills: number
  readonly promised: number
  /** Promised, not removed, and gone. */
  readonly lost: number
  /** Stores that did not open. */
  readonly damaged: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      kills: { type: 'string', default: '20' },
      dir: { type: 'string', default: tmpdir() },
    },
  })
  const rounds = whole('--rounds', values.rounds, 1)
  const kills = whole('--kills', values.kills, 0)
  const folder = mkdtempSync(join(values.dir, 'sealbus-bench-outbox-'))
  try {
    const report = await compare(folder, rounds, kills)
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
    process.stdout.write(table(report))
    return CANDIDATES.every(name => report[name].kills.lost === 0) ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(folder: string, rounds: number, kills: number): Promise<Record<Candidate, Figures>> {
  const puts = await alternate(rounds, candidate => once(folder, candidate, 'put'))
  const churns = await alternate(rounds, candidate => once(folder, candidate, 'churn'))
  const restarts = await alternate(1, candidate => restart(folder, candidate))
  const killed = await alternate(kills, candidate => killOnce(folder, candidate))
  const figures = (name: Candidate): Figures => ({
    putsPerSecond: Math.round(median(puts[name].map(rate))),
    putsAndRemovesPerSecond: Math.round(median(churns[name].map(rate))),
    writtenPerByte: {
      put: round(median(puts[name].map(({ amplification }) => amplification))),
      churn: round(median(churns[name].map(({ amplification }) => amplification))),
    },
    restartSeconds: round(median(restarts[name].map(({ seconds }) => seconds))),
    restartRssMiB: Math.round(median(restarts[name].map(({ rssBytes }) => rssBytes / 2 ** 20))),
    kills: sum(killed[name]),
  })
  return { log: figures('log'), level: figures('level') }
}

/** A B A B …, so that both meet the same weather. */
async function alternate<T>(
  rounds: number,
  run: (candidate: Candidate) => Promise<T>,
): Promise<Record<Candidate, T[]>> {
  const results: Record<Candidate, T[]> = { log: [], level: [] }
  for (let round = 0; round < rounds; round++)
    for (const candidate of CANDIDATES) results[candidate].push(await run(candidate))
  return results
}

async function once(folder: string, candidate: Candidate, kind: Work['kind']): Promise<Done> {
  return await inFresh(folder, directory =>
    finished(start({ candidate, directory, kind, records: RECORDS, bodyBytes: BODY_BYTES })),
  )
}

async function restart(folder: string, candidate: Candidate): Promise<Done> {
  const bodyBytes = BODY_BYTES
  return await inFresh(folder, async directory => {
    await finished(
      start({ candidate, directory, kind: 'put', records: RESTART_BYTES / bodyBytes, bodyBytes }),
    )
    return await finished(start({ candidate, directory, kind: 'start', records: 0, bodyBytes }))
  })
}

/** kill -9 while it puts and removes; then what was promised must be there. */
async function killOnce(folder: string, candidate: Candidate): Promise<Kills> {
  return await inFresh(folder, async directory => {
    const child = start({ candidate, directory, kind: 'endless', records: ENDLESS, bodyBytes: BODY_BYTES })
    const ended = new Promise(resolve => child.once('exit', resolve))
    while (!existsSync(ledgerOf(directory))) await sleep(5)
    await sleep(Math.random() * KILL_WITHIN_MS)
    child.kill('SIGKILL')
    await ended
    return await judge(candidate, directory)
  })
}

async function judge(candidate: Candidate, directory: string): Promise<Kills> {
  const promised = new Set<number>()
  const lines = readFileSync(ledgerOf(directory), 'utf8').split('\n').slice(0, -1)
  for (const line of lines) {
    if (line.startsWith('+')) promised.add(Number(line.slice(1)))
    else promised.delete(Number(line.slice(1)))
  }
  const outbox = openOutbox({ candidate, directory })
  const left = await outbox.start().catch(() => undefined)
  if (left === undefined) return { kills: 1, promised: promised.size, lost: promised.size, damaged: 1 }
  const there = new Set(left.flatMap(({ stored }) => stored.map(({ seq }) => seq)))
  await outbox.close()
  const lost = [...promised].filter(seq => !there.has(seq)).length
  return { kills: 1, promised: promised.size, lost, damaged: 0 }
}

async function inFresh<T>(folder: string, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(folder, 'round-'))
  try {
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function start(work: Work): ChildProcess {
  return fork(fileURLToPath(new URL('./outbox-worker.js', import.meta.url)), [JSON.stringify(work)])
}

function finished(child: ChildProcess): Promise<Done> {
  return new Promise((resolve, reject) => {
    let done: Done | undefined
    child.once('message', message => {
      done = message as Done
    })
    child.once('exit', code => {
      if (done === undefined) reject(new Error(`bench: the process ended with ${code ?? 'a signal'}`))
      else resolve(done)
    })
  })
}

function rate({ records, seconds }: Done): number {
  return records / seconds
}

function sum(all: readonly Kills[]): Kills {
  const add = (a: Kills, b: Kills): Kills => ({
    kills: a.kills + b.kills,
    promised: a.promised + b.promised,
    lost: a.lost + b.lost,
    damaged: a.damaged + b.damaged,
  })
  return all.reduce(add, { kills: 0, promised: 0, lost: 0, damaged: 0 })
}

function whole(name: string, given: string, least: number): number {
  const value = Number(given)
  if (Number.isInteger(value) && value >= least) return value
  throw new RangeError(`${name}: expected a whole number from ${least} on, got ${given}`)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function table(report: Record<Candidate, Figures>): string {
  const rows: [string, (figures: Figures) => string | number][] = [
    ['puts a second, 64 awaited together', each => each.putsPerSecond],
    ['puts and removes a second', each => each.putsAndRemovesPerSecond],
    ['bytes written per byte put', each => each.writtenPerByte.put],
    ['bytes written per byte put, removed', each => each.writtenPerByte.churn],
    ['seconds to open 100 MB', each => each.restartSeconds],
    ['memory then, MiB', each => each.restartRssMiB],
    ['kill -9: times', each => each.kills.kills],
    ['kill -9: promised and lost', each => `${each.kills.promised} / ${each.kills.lost}`],
    ['kill -9: did not open', each => each.kills.damaged],
  ]
  const line = (name: string, cells: readonly (string | number)[]): string =>
    `${name.padEnd(38)}${cells.map(cell => String(cell).padStart(14)).join('')}\n`
  const head = line(`records of ${BODY_BYTES} bytes`, CANDIDATES)
  return (
    head +
    rows
      .map(([name, cell]) =>
        line(
          name,
          CANDIDATES.map(each => cell(report[each])),
        ),
      )
      .join('')
  )
}
