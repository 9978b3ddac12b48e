/**
 * sealbus beside four libraries under faults: `npm run bench -- peers [--faults 2,8,9,13] [--repeat N] [--json FILE]`.
 *
 * One cluster of three real nodes; for each fault all five at once, with the same parties, lanes, rate and payloads, each as
 * its own documentation recommends, with confirms and reconnection. The packages are those of bench/peers/package-lock.json,
 * installed when they are not there.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { PEERS_FAULTS, type PeersFault } from './peers-faults.js'
import { type PeersGround, peersGround } from './peers-ground.js'
import { LIBRARIES, race } from './peers-race.js'
import { isBest, type Verdict } from './peers-verdict.js'

const EVERY_MS = 50

/** One run of one fault. */
export interface PeersRun {
  readonly fault: string
  readonly name: string
  readonly verdicts: readonly Verdict[]
  /** sealbus lost, doubled, reordered and refused nothing, and was back first, or within 100 ms of it. */
  readonly met: boolean
  /** Of the machine, before the run. */
  readonly loadAverage: number
}

/** The file that `--json` writes. */
export interface PeersReport {
  readonly broker: string
  readonly versions: Readonly<Record<string, string>>
  readonly lanes: number
  readonly messagesPerSecondInEachLane: number
  readonly runs: readonly PeersRun[]
}

/** Runs the comparison. @returns 0 when sealbus met its terms in each run, else 1 */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      faults: { type: 'string', default: PEERS_FAULTS.map(({ id }) => id).join(',') },
      repeat: { type: 'string', default: '1' },
      json: { type: 'string' },
    },
  })
  const faults = chosen(values.faults)
  const repeat = Number(values.repeat)
  if (!Number.isInteger(repeat) || repeat < 1)
    throw new RangeError(`--repeat: expected 1 or more, got ${values.repeat}`)
  const folder = peersFolder()
  await installed(folder)
  const ground = await peersGround(note)
  const save = (report: PeersReport): void => {
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  }
  try {
    return await compare(ground, folder, faults, repeat, save)
  } finally {
    await ground.close()
  }
}

async function compare(
  ground: PeersGround,
  folder: string,
  faults: readonly PeersFault[],
  repeat: number,
  save: (report: PeersReport) => void,
): Promise<number> {
  const runs: PeersRun[] = []
  const head = {
    broker: ground.broker,
    versions: versions(folder),
    lanes: 2 * ground.cast.steady.length,
    messagesPerSecondInEachLane: 1_000 / EVERY_MS,
  }
  for (const fault of faults) {
    for (let i = 0; i < repeat; i++) {
      runs.push(await oneRun(fault, i, ground, folder))
      save({ ...head, runs })
    }
  }
  process.stdout.write(`${ground.broker}\n\n${runs.map(tableOf).join('\n')}`)
  return runs.every(({ met }) => met) ? 0 : 1
}

async function oneRun(
  fault: PeersFault,
  index: number,
  ground: PeersGround,
  folder: string,
): Promise<PeersRun> {
  const [loadAverage = 0] = loadavg()
  const node = ground.driver.nodes[index % ground.driver.nodes.length] ?? ''
  const verdicts = await race(fault, {
    ...{ ground, node, note },
    peersFolder: folder,
    everyMs: EVERY_MS,
    run: `${fault.id}-${index + 1}`,
  })
  const [own, ...others] = verdicts
  const met = own !== undefined && isBest(own, others)
  return { fault: fault.id, name: fault.name, verdicts, met, loadAverage }
}

/** @throws RangeError */
function chosen(list: string): PeersFault[] {
  return list.split(',').map(id => {
    const fault = PEERS_FAULTS.find(each => each.id === id)
    if (fault !== undefined) return fault
    throw new RangeError(
      `--faults: expected some of ${PEERS_FAULTS.map(each => each.id).join(', ')}, got ${id}`,
    )
  })
}

/** bench/peers/ of the clone, from the sources as well as from dist/. @throws Error in an installed package, which has none */
function peersFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'bench/peers/package.json')) && dirname(folder) !== folder)
    folder = dirname(folder)
  const peers = join(folder, 'bench/peers')
  if (!existsSync(peers)) throw new Error('bench/peers is not here: run this in a clone of the repository')
  return peers
}

async function installed(folder: string): Promise<void> {
  const [lock, mark] = ['package-lock.json', 'node_modules/.package-lock.json'].map(name =>
    join(folder, name),
  )
  if (lock === undefined || mark === undefined) return
  if (existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs) return
  note(`installing the packages of bench/peers (npm ci): ${LIBRARIES.join(', ')}`)
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder })
}

function versions(folder: string): Record<string, string> {
  const versionOf = (library: string): string => {
    const text = readFileSync(join(folder, 'node_modules', library, 'package.json'), 'utf8')
    return (JSON.parse(text) as { version: string }).version
  }
  return Object.fromEntries(LIBRARIES.map(library => [library, versionOf(library)]))
}

/** Markdown. */
function tableOf({ fault, name, verdicts, met }: PeersRun): string {
  const rows = verdicts.map(row => {
    const gap = `${row.dead ? '> ' : ''}${row.gapMs}`
    const cells = [row.rejected, row.pending, row.lost, row.duplicated, row.reordered, gap, row.stallMs]
    return `| ${row.name}${row.crashed ? ' (crashed)' : ''} | ${cells.join(' | ')} |`
  })
  return [
    `fault ${fault}: ${name}${met ? '' : ' — NOT MET'}`,
    '',
    '| | rejected | pending | lost | duplicated | reordered | gap ms | load stood still ms |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function note(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
}
