/**
 * A publisher with an outbox on disk, killed with SIGKILL at random moments and started again on the same state folder:
 * `npm run bench -- kills [--kills 100] [--nodes 3] [--seed N] [--json FILE]`. Every third life finds no broker and can only store.
 * Ledgers are judged as the chaos tool does: what `send()` had resolved is handled, once, and in the order of sending.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { inOrder, nothingLost, onceEach } from '../chaos/invariants.js'
import { type Entry, readLedger } from '../chaos/ledger.js'
import type { KillsOrder } from './kills-worker.js'
import { HUB, makeSite, NOWHERE, PLANT, type Site } from './site.js'

/** Lives that find no broker. */
const OFFLINE_EVERY = 3
/** Lives that are ended at a random moment of their start; the others after their first message. */
const EARLY_EVERY = 5
const KILL_WITHIN_MS = 600
const SETTLE_MS = 90_000

export interface KillsReport {
  readonly broker: string
  readonly seed: number
  readonly kills: number
  readonly sent: number
  /** `send()` had resolved: stored. */
  readonly resolved: number
  readonly handled: number
  readonly lost: number
  readonly twice: number
  readonly reordered: number
  readonly violations: readonly string[]
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      kills: { type: 'string', default: '100' },
      nodes: { type: 'string', default: '3' },
      seed: { type: 'string' },
      json: { type: 'string' },
    },
  })
  const kills = Number(values.kills)
  if (!Number.isInteger(kills) || kills < 1)
    throw new RangeError(`--kills: expected a whole number from 1 on, got ${values.kills}`)
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  const note = (line: string): void => void process.stderr.write(`${line}\n`)
  const site = await makeSite(Number(values.nodes), note)
  try {
    const report = await killMany(site, kills, seed, note)
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
    process.stdout.write(`${summary(report)}\n`)
    return report.violations.length === 0 ? 0 : 1
  } finally {
    await site.close()
  }
}

/** Kills so often, lets the last life finish, judges. */
export async function killMany(
  site: Pick<Site, 'brokers' | 'broker' | 'identity' | 'folder'>,
  kills: number,
  seed: number,
  note: (line: string) => void,
): Promise<KillsReport> {
  const random = randomOf(seed)
  const folder = site.folder(`kills-${seed}`)
  const shared = { folder, run: String(seed), to: PLANT }
  const receiver = start({
    ...shared,
    role: 'receive',
    identity: site.identity(PLANT),
    brokers: site.brokers,
  })
  await said(receiver, 'ready')
  const publisher = { ...shared, role: 'publish' as const, identity: site.identity(HUB) }
  for (let life = 0; life < kills; life++) {
    const brokers = life % OFFLINE_EVERY === OFFLINE_EVERY - 1 ? NOWHERE : site.brokers
    await killOnce(start({ ...publisher, brokers, life }), life % EARLY_EVERY === 0, random)
    if ((life + 1) % 10 === 0) note(`${life + 1} of ${kills} killed`)
  }
  const last = start({ ...publisher, brokers: site.brokers, life: kills, finish: true })
  await ended(last)
  await settle(folder, kills)
  receiver.send('stop')
  await ended(receiver)
  return judge(entriesOf(folder, kills), { broker: site.broker, seed, kills })
}

async function killOnce(child: ChildProcess, early: boolean, random: () => number): Promise<void> {
  if (!early) await said(child, 'sending')
  await sleep(random() * KILL_WITHIN_MS)
  const gone = ended(child)
  child.kill('SIGKILL')
  await gone
}

/** Waits until what was resolved is handled. */
async function settle(folder: string, kills: number): Promise<void> {
  const deadline = performance.now() + SETTLE_MS
  while (nothingLost(entriesOf(folder, kills)).length > 0 && performance.now() < deadline) await sleep(500)
}

function entriesOf(folder: string, kills: number): Entry[] {
  const publishers = Array.from({ length: kills + 1 }, (_, life) => join(folder, `publisher-${life}.jsonl`))
  return [...publishers, join(folder, 'receiver.jsonl')].flatMap(file => readLedger(file))
}

function judge(entries: readonly Entry[], run: Pick<KillsReport, 'broker' | 'seed' | 'kills'>): KillsReport {
  const count = (kind: Entry['kind']): number => entries.filter(entry => entry.kind === kind).length
  const [lost, twice, reordered] = [nothingLost(entries), onceEach(entries), inOrder(entries)]
  return {
    ...run,
    ...{ sent: count('sent'), resolved: count('resolved'), handled: count('handled') },
    ...{ lost: lost.length, twice: twice.length, reordered: reordered.length },
    violations: [...lost, ...twice, ...reordered].map(({ invariant, message }) => `${invariant} ${message}`),
  }
}

function start(order: KillsOrder): ChildProcess {
  return fork(fileURLToPath(new URL('./kills-worker.js', import.meta.url)), [JSON.stringify(order)])
}

function said(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('message', message => {
      if (message === word) resolve()
    })
    child.once('exit', code =>
      reject(new Error(`bench: a process ended with ${code ?? 'a signal'} before "${word}"`)),
    )
  })
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
}

/** mulberry32: the same seed, the same moments. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function summary(report: KillsReport): string {
  const { broker, seed, kills, sent, resolved, handled, lost, twice, reordered, violations } = report
  const head = `${broker}, seed ${seed}: killed ${kills} times; ${sent} sent, ${resolved} resolved, ${handled} handled; lanes with a loss ${lost}, a repetition ${twice}, a wrong order ${reordered}`
  return [head, ...violations].join('\n')
}
