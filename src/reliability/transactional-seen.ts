/**
 * The seen store in the application's own database: mark and effect are one transaction, so a message takes effect once,
 * whoever dies when. The mark stands first; a second worker with a copy waits at it, and finds it, or handles the message
 * because the first has rolled back. docs/DELIVERY.md, "Effectively once".
 */
import { asError, SealbusError } from '../errors.js'
import { partyKey, SKEW_MS } from '../wire.js'
import { EpochMemory } from './epoch.js'
import { MarkBatch } from './mark-batch.js'
import { Patience } from './patience.js'
import { Presence } from './presence.js'
import type {
  EpochKey,
  EpochRecord,
  Known,
  Mark,
  Recalled,
  SeenHooks,
  SeenMark,
  SeenMemory,
  SeenStore,
} from './seen.js'
import {
  CLAIM_NUMBER,
  COUNT_WORKERS,
  COVER,
  DROP_COVERED,
  DROP_OLD,
  DROP_WORKERS,
  FIND_NUMBER,
  NOTE_EPOCH,
  NOTE_TIME,
  READ_EPOCH,
  READ_NUMBERS,
  READ_TIME,
  SEEN_SCHEMA,
} from './seen-sql.js'
import { AlreadySeen, RolledBack, StoreUnavailable } from './store-errors.js'

export type SqlValue = string | number
export type SqlRow = Readonly<Record<string, unknown>>

export interface TransactionalSeenOptions<Tx> {
  /** Runs `run` in a transaction: commits when it has resolved; rolls back, and rejects as it did, when it rejects. */
  readonly transaction: <R>(run: (tx: Tx) => Promise<R>) => Promise<R>
  /** One statement with `$1`, `$2`, …, in the transaction or, without one, by itself. Resolves with the rows. */
  readonly query: (sql: string, values: readonly SqlValue[], tx?: Tx) => Promise<readonly SqlRow[]>
  /** The error says that the database is away: what the handler did with it counts as no failure. Default: never. */
  readonly isAway?: (error: Error) => boolean
  /** The error says that the transaction may be run again at once (deadlock, serialisation). Default: never. */
  readonly isConflict?: (error: Error) => boolean
}

/** Hashes that tell a duplicate from a conflict. */
const HASHES = 64
/** A run is written anew this long after the last time, and after as many marks. */
const COVER_MS = 600_000 // 10 minutes
const COVER_MARKS = 1_000
const MAX_CONFLICTS = 10
const CLOSE_MS = 2_000
/** A worker that has died counts this long. */
const PRESENT_MS = 60_000 // 1 minute
const DEFAULT_LIFETIME_MS = 24 * 3600_000

/** Mark and effect in one transaction; the tables of {@link SEEN_SCHEMA} are made at the start. */
export function transactionalSeen<Tx>(options: TransactionalSeenOptions<Tx>): SeenStore<Tx> {
  return new TransactionalSeen({ isAway: () => false, isConflict: () => false, ...options })
}

class TransactionalSeen<Tx> implements SeenStore<Tx> {
  readonly kind = 'transactional'
  readonly #options: Required<TransactionalSeenOptions<Tx>>
  readonly #patience: Patience = new Patience('the database')
  readonly #batch: MarkBatch
  readonly #presence: Presence = new Presence((...worker) => this.#present(...worker))
  readonly #marks: Map<string, number> = new Map()
  #lifetimeMs = DEFAULT_LIFETIME_MS
  #highestMs = 0
  #cleanedMs = 0
  #closing: Promise<void> | undefined

  constructor(options: Required<TransactionalSeenOptions<Tx>>) {
    this.#options = options
    this.#batch = new MarkBatch((sql, values) => this.#ask(sql, values))
  }

  async start(hooks?: SeenHooks): Promise<SeenMemory> {
    this.#lifetimeMs = hooks?.lifetimeMs ?? DEFAULT_LIFETIME_MS
    this.#patience.tell(hooks)
    try {
      for (const statement of SEEN_SCHEMA) await this.#options.query(statement, [])
    } catch (thrown) {
      const message = `the database refuses: ${asError(thrown).message}; make the tables of SEEN_SCHEMA, and give rights to read and write them`
      throw new SealbusError('store-failed', message, { cause: thrown })
    }
    const [row] = await this.#ask(READ_TIME, ['time'])
    this.#highestMs = Number(row?.['ms'] ?? 0)
    this.#presence.begin()
    return { epochs: [], closedBefore: new Map(), highestTimeMs: this.#highestMs, lost: false }
  }

  async recall(key: EpochKey): Promise<Recalled> {
    const [closed] = await this.#ask(READ_TIME, [closedName(key)])
    const record = await this.#read(key)
    return { record, closedBefore: closed && Number(closed['ms']) }
  }

  /** n.b. the mark in the transaction is the check. */
  check(): undefined {
    return undefined
  }

  async transaction<R>(run: (tx: Tx) => Promise<R>): Promise<R> {
    for (let conflicts = 0; ; conflicts++) {
      const outcome = await this.#once(run)
      if ('result' in outcome) return outcome.result
      if (conflicts >= MAX_CONFLICTS || !this.#options.isConflict(outcome.error)) throw outcome.error
      await this.#patience.sleep(Math.random() * 2 ** conflicts)
    }
  }

  async mark(mark: SeenMark, tx?: Tx): Promise<void> {
    if (tx === undefined) await this.#batch.add(mark)
    else await this.#markIn(tx, mark)
    this.#maybeTidy(mark)
  }

  note(record: EpochRecord): void {
    const { start, floor, lastCreatedAtMs, skipped } = record
    const quietly = (asked: Promise<unknown>): void => void asked.catch(() => undefined) // whoever marks next is told
    quietly(this.#ask(NOTE_EPOCH, [...keyValues(record), start, floor, lastCreatedAtMs]))
    const createdAtMs = lastCreatedAtMs || this.#highestMs
    for (const seq of skipped)
      quietly(this.#batch.add({ ...keyOf(record), seq, mark: 'skipped', hash: '', createdAtMs }))
  }

  /** n.b. an epoch goes by its time alone: another worker may still be in it. */
  forget(key: EpochKey, closedBefore?: number): void {
    if (closedBefore !== undefined) this.#noteTime(closedName(key), closedBefore)
  }

  time(highestMs: number): void {
    this.#highestMs = Math.max(highestMs, this.#highestMs)
    this.#noteTime('time', highestMs)
  }

  join(address: string): void {
    this.#presence.join(address)
  }

  workers(): Promise<number | undefined> {
    return this.#presence.count()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #once<R>(run: (tx: Tx) => Promise<R>): Promise<{ result: R } | { error: Error }> {
    let failure: Error | undefined
    try {
      const result = await this.#options.transaction(async tx => {
        try {
          return await run(tx)
        } catch (thrown) {
          failure = asError(thrown)
          throw thrown
        }
      })
      this.#patience.answered()
      return { result }
    } catch (thrown) {
      const error = failure ?? asError(thrown)
      const isHandlers = failure !== undefined || error instanceof RolledBack
      if (this.#options.isConflict(error) || (isHandlers && !this.#options.isAway(error))) return { error }
      this.#patience.unanswered(error)
      return { error: new StoreUnavailable(error.message, { cause: error }) }
    }
  }

  /** @throws AlreadySeen */
  async #markIn(tx: Tx, { domain, address, epoch, seq, mark, hash, createdAtMs }: SeenMark): Promise<void> {
    const { query } = this.#options
    const key = [domain, address, epoch, seq]
    const taken = await query(CLAIM_NUMBER, [...key, mark, hash, createdAtMs], tx)
    if (taken.length > 0) return
    const [row] = await query(FIND_NUMBER, key, tx)
    throw new AlreadySeen(row ? knownOf(row) : { mark: 'handled', hash: '' })
  }

  async #read(key: EpochKey): Promise<EpochRecord | undefined> {
    const [epoch] = await this.#ask(READ_EPOCH, keyValues(key))
    const from = epoch ? Math.max(0, Number(epoch['run_to']) - HASHES) : 0
    const rows = await this.#ask(READ_NUMBERS, [...keyValues(key), from])
    const lowest = rows[0] && Number(rows[0]['seq'])
    if (!epoch && lowest === undefined) return undefined
    const start = Number(epoch?.['run_from'] ?? lowest)
    const memory = EpochMemory.first(key, start, Number(epoch?.['floor'] ?? 0))
    memory.become({ ...memory.record(), next: Number(epoch?.['run_to'] ?? start) })
    for (const row of rows) applyRow(memory, row)
    return memory.record()
  }

  #maybeTidy(key: EpochKey): void {
    const name = `${partyKey(key)}/${key.epoch}`
    const marks = (this.#marks.get(name) ?? 0) + 1
    this.#marks.set(name, marks % COVER_MARKS)
    if (marks === COVER_MARKS) this.#tidy(keyOf(key)).catch(() => undefined) // n.b. later will do as well
  }

  /** Writes as a run what is contiguous, and drops the rows of the run before; n.b. two at once: one of them writes. */
  async #tidy(key: EpochKey): Promise<void> {
    const { query } = this.#options
    const nowMs = Date.now()
    const [epoch] = await query(READ_EPOCH, keyValues(key))
    if (!epoch || nowMs - Number(epoch['run_at_ms']) < COVER_MS) return
    const record = await this.#read(key)
    if (!record) return
    await query(DROP_COVERED, [...keyValues(key), Number(epoch['run_from']), Number(epoch['run_to'])])
    await query(COVER, [...keyValues(key), record.start, record.next, nowMs, Number(epoch['run_at_ms'])])
    if (nowMs - this.#cleanedMs < COVER_MS) return
    this.#cleanedMs = nowMs
    const before = Math.min(nowMs, this.#highestMs) - this.#lifetimeMs - 2 * SKEW_MS
    for (const statement of DROP_OLD) await query(statement, [before])
    this.#marks.clear()
  }

  /** n.b. by the workers' own clocks: what they are apart must be less than what one counts after its death. */
  async #present(address: string, id: string, leaves: boolean): Promise<number> {
    const { query } = this.#options
    const [all, nowMs] = [`worker ${address} `, Date.now()]
    const counted = [all, all.length, nowMs]
    if (leaves) await query(DROP_WORKERS, [...counted, `${all}${id}`])
    else await query(NOTE_TIME, [`${all}${id}`, nowMs + PRESENT_MS])
    const [row] = await query(COUNT_WORKERS, counted)
    return Number(row?.['workers'])
  }

  #noteTime(name: string, ms: number): void {
    this.#ask(NOTE_TIME, [name, ms]).catch(() => undefined) // whoever marks next is told
  }

  #ask(sql: string, values: readonly SqlValue[]): Promise<readonly SqlRow[]> {
    return this.#patience.until(() => this.#options.query(sql, values))
  }

  async #close(): Promise<void> {
    const late = new Promise<void>(resolve => setTimeout(resolve, CLOSE_MS).unref())
    await Promise.race([Promise.all([this.#batch.settled(), this.#presence.end()]), late])
    this.#patience.stop()
  }
}

function applyRow(memory: EpochMemory, row: SqlRow): void {
  const seq = Number(row['seq'])
  const { mark, hash } = knownOf(row)
  if (mark === 'skipped') memory.skip(seq, seq + 1)
  else {
    const isTold = mark === 'handled' || mark === 'parked' // n.b. of others nothing may be said in a receipt
    memory.use(seq, isTold ? mark : 'rejected', hash, Number(row['created_at_ms']))
  }
}

function knownOf(row: SqlRow): Known {
  return { mark: row['mark'] as Mark, hash: String(row['hash']) }
}

function keyOf({ domain, address, epoch }: EpochKey): EpochKey {
  return { domain, address, epoch }
}

function keyValues({ domain, address, epoch }: EpochKey): [string, string, string] {
  return [domain, address, epoch]
}

function closedName(key: EpochKey): string {
  return `closed ${partyKey(key)}`
}
