/**
 * One piece of work on one outbox, in a process of its own (outbox-worker.ts): so that memory, bytes written and a kill are
 * of that work alone.
 */
import { randomBytes } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFileOutbox } from '../src/reliability/file-outbox.js'
import type { Outbox, OutboxRecord, Stored } from '../src/reliability/outbox.js'
import { createLevelOutbox } from './outbox-level.js'

export const CANDIDATES = ['log', 'level'] as const
export type Candidate = (typeof CANDIDATES)[number]

export interface Work {
  readonly candidate: Candidate
  readonly directory: string
  /**
   * `put`: put and forget. `churn`: put, and remove 256 later, as when a broker confirms. `endless`: churn until killed,
   * with a ledger of what was promised. `start`: opens what is there.
   */
  readonly kind: 'put' | 'churn' | 'endless' | 'start'
  readonly records: number
  readonly bodyBytes: number
}

export interface Done {
  readonly records: number
  readonly seconds: number
  /** Bytes that the process caused to be written to the disk (/proc/self/io), per byte of body. */
  readonly amplification: number
  readonly rssBytes: number
}

/** Puts that are awaited together. */
const AWAITED = 64
const LAG = 256
const EPOCH = '00112233445566aa'

export function openOutbox({ candidate, directory }: Pick<Work, 'candidate' | 'directory'>): Outbox {
  if (candidate === 'level') return createLevelOutbox(join(directory, 'level'))
  return createFileOutbox({
    directory: join(directory, 'log'),
    records: 10_000_000,
    now: () => Date.now(),
    emit: () => undefined,
  })
}

export async function work(given: Work): Promise<Done> {
  const outbox = openOutbox(given)
  const before = writtenBytes()
  const begun = performance.now()
  const left = await outbox.start()
  const records = given.kind === 'start' ? count(left) : await drive(outbox, given)
  const seconds = (performance.now() - begun) / 1000
  await outbox.close()
  const amplification = (writtenBytes() - before) / Math.max(1, records * given.bodyBytes)
  return { records, seconds, amplification, rssBytes: process.memoryUsage.rss() }
}

/** Where the endless work writes what it was promised: `+seq` once put has resolved, `-seq` before it is removed. */
export function ledgerOf(directory: string): string {
  return join(directory, 'ledger')
}

async function drive(outbox: Outbox, { kind, records, bodyBytes, directory }: Work): Promise<number> {
  const note = kind === 'endless' ? noteIn(ledgerOf(directory)) : () => undefined
  const waiting: Stored[] = []
  let seq = 0
  while (seq < records) {
    const puts = Array.from({ length: AWAITED }, async () => {
      const stored = await outbox.put(benchRecord(seq++, bodyBytes))
      note('+', stored.seq)
      waiting.push(stored)
    })
    await Promise.all(puts)
    while (kind !== 'put' && waiting.length > LAG) {
      const [oldest] = waiting.splice(0, 1)
      if (oldest === undefined) break
      note('-', oldest.seq)
      outbox.remove(oldest, 'settled', 0)
    }
  }
  return seq
}

/** n.b. random bytes, as sealed ones look: no store may compress them. */
function benchRecord(seq: number, bytes: number): OutboxRecord {
  return {
    ...{
      id: randomBytes(16).toString('hex'),
      to: { domain: 'field', address: 'heh-0001' },
      priority: 'report',
    },
    ...{ epoch: EPOCH, seq, count: 1, floor: 0, expiresAtMs: Date.now() + 86_400_000 },
    ...{ untilHandled: false, droppable: false, body: randomBytes(bytes) },
  }
}

function noteIn(file: string): (sign: string, seq: number) => void {
  return (sign, seq) => appendFileSync(file, `${sign}${seq}\n`)
}

function count(left: readonly { readonly stored: readonly unknown[] }[]): number {
  return left.reduce((sum, { stored }) => sum + stored.length, 0)
}

function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? Number.NaN)
}
