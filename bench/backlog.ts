/**
 * A hub that has stored 100 MB while there was no broker, and what happens to commands that it sends while all of that drains:
 * `npm run bench -- backlog [--megabytes 100] [--over cluster|memory|both] [--json FILE]`. Three processes over the cluster:
 * one fills and ends, one drains and sends commands, one receives. `memory` is the embedded broker, in one process.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { BacklogOrder, Drained, Filled } from './backlog-worker.js'
import { makeSite, type Site } from './site.js'

const NODES = 3
const PAYLOAD_BYTES = 1_000

export interface BacklogReport {
  readonly over: string
  readonly megabytes: number
  readonly messages: number
  readonly envelopes: number
  readonly fillSeconds: number
  readonly drainSeconds: number
  readonly megabytesPerSecond: number
  readonly commands: number
  /** From `send` to the handler, ms. */
  readonly commandMs: { readonly median: number; readonly p99: number; readonly worst: number }
  /** Of the draining process. */
  readonly peakRssMiB: number
  readonly missing: number
  readonly repeated: number
  readonly reordered: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      megabytes: { type: 'string', default: '100' },
      over: { type: 'string', default: 'both' },
      json: { type: 'string' },
    },
  })
  const megabytes = Number(values.megabytes)
  if (!(megabytes > 0)) throw new RangeError(`--megabytes: expected more than 0, got ${values.megabytes}`)
  const kinds = kindsOf(values.over)
  const site = await makeSite(
    kinds.includes('cluster') ? NODES : 0,
    line => void process.stderr.write(`${line}\n`),
  )
  try {
    const reports: BacklogReport[] = []
    for (const kind of kinds) reports.push(await measure(site, kind, megabytes))
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(reports, null, 2)}\n`)
    for (const report of reports) process.stdout.write(`${summary(report)}\n`)
    return reports.every(isGood) ? 0 : 1
  } finally {
    await site.close()
  }
}

async function measure(site: Site, over: 'cluster' | 'memory', megabytes: number): Promise<BacklogReport> {
  const messages = Math.round((megabytes * 1_000_000) / PAYLOAD_BYTES)
  const shared = {
    ...{ folder: site.folder(over), hub: site.identity('heh-0001'), plant: site.identity('vpp-0001') },
    ...{ brokers: site.brokers, messages, payloadBytes: PAYLOAD_BYTES },
  }
  const filled = (await result(start({ ...shared, role: 'fill' }))) as Filled
  const drained = over === 'memory' ? await drainHere(shared) : await drainApart(shared)
  return {
    over: over === 'memory' ? 'embedded broker, one process' : site.broker,
    ...{ megabytes, messages, envelopes: filled.envelopes, fillSeconds: round(filled.seconds) },
    ...{ drainSeconds: round(drained.seconds), megabytesPerSecond: round(megabytes / drained.seconds) },
    ...{ commands: drained.commandMs.length, commandMs: spread(drained.commandMs) },
    ...{ peakRssMiB: Math.round(drained.peakRssBytes / 2 ** 20) },
    ...{ missing: messages - drained.distinct, repeated: drained.repeated, reordered: drained.reordered },
  }
}

type Shared = Omit<BacklogOrder, 'role'>

async function drainHere(shared: Shared): Promise<Drained> {
  return (await result(start({ ...shared, role: 'both' }))) as Drained
}

/** n.b. the receiver judges: it has seen everything when it has the last message; the sender says what memory it took. */
async function drainApart(shared: Shared): Promise<Drained> {
  const receiver = start({ ...shared, role: 'receive' })
  await word(receiver, 'ready')
  const sender = start({ ...shared, role: 'drain' })
  const received = (await result(receiver)) as Drained
  sender.send('stop')
  const { peakRssBytes } = (await result(sender)) as Drained
  return { ...received, peakRssBytes }
}

function start(order: BacklogOrder): ChildProcess {
  return fork(fileURLToPath(new URL('./backlog-worker.js', import.meta.url)), [JSON.stringify(order)])
}

function word(child: ChildProcess, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('message', message => {
      if (message === expected) resolve()
    })
    child.once('exit', code => reject(new Error(`bench: a process ended with ${code ?? 'a signal'}`)))
  })
}

function result(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let last: unknown
    child.on('message', message => {
      if (typeof message === 'object') last = message
    })
    child.once('exit', code => {
      if (last === undefined) reject(new Error(`bench: a process ended with ${code ?? 'a signal'}`))
      else resolve(last)
    })
  })
}

function kindsOf(over: string): readonly ('cluster' | 'memory')[] {
  if (over === 'both') return ['memory', 'cluster']
  if (over === 'cluster' || over === 'memory') return [over]
  throw new RangeError(`--over: expected cluster, memory or both, got ${over}`)
}

function isGood({ commandMs, missing, repeated, reordered }: BacklogReport): boolean {
  return commandMs.worst < 1_000 && missing === 0 && repeated === 0 && reordered === 0
}

function spread(values: readonly number[]): BacklogReport['commandMs'] {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? Number.NaN)
  return { median: at(0.5), p99: at(0.99), worst: Math.round(sorted.at(-1) ?? Number.NaN) }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function summary(it: BacklogReport): string {
  const { commandMs: ms } = it
  return [
    `${it.over}: ${it.messages} messages in ${it.envelopes} envelopes, stored in ${it.fillSeconds} s`,
    `  drained in ${it.drainSeconds} s (${it.megabytesPerSecond} MB/s); peak memory of that process ${it.peakRssMiB} MiB`,
    `  ${it.commands} commands meanwhile: median ${ms.median} ms, p99 ${ms.p99} ms, worst ${ms.worst} ms`,
    `  missing ${it.missing}, repeated ${it.repeated}, out of order ${it.reordered}`,
  ].join('\n')
}
