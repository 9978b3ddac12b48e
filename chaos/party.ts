/** One party of the load: numbers what it sends, writes down what becomes of it and what it handles. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus, ConsumeOptions, Delivery, Logger, Until } from '../src/bus.js'
import { isSealbusError } from '../src/errors.js'
import { type Ledger, nowMs } from './ledger.js'
import type { Mishaps } from './mishaps.js'
import { type Group, type LanePlan, SETTLE_GRACE_MS } from './plan.js'
import { NumberSet } from './report-numbers.js'

/** Events that say in which named place a message ended. */
const PLACES: ReadonlySet<string> = new Set(['parked', 'expired', 'returned'])

/** Numbers of one lane so far: progress for people, and for waiting. */
export interface LaneCount {
  sent: number
  resolved: number
  rejected: number
  handled: number
}

/** What a party needs. */
export interface PartySetting {
  readonly run: string
  readonly address: string
  readonly lanes: readonly LanePlan[]
  readonly lifetimeMs: number
  readonly ledger: Ledger
  /** Shared by all parties of a process, by lane. */
  readonly counts: Map<string, LaneCount>
  readonly mishaps: Mishaps
  /** Each run of the handler takes this long, ms. */
  readonly handlerMs: number
  /** `send()` resolves at this stage; absent: as the bus thinks fit. */
  readonly until?: Until
}

interface Payload {
  readonly run: string
  readonly lane: string
  readonly n: number
  readonly padding?: string
}

/** Drives one bus. */
export class LoadParty {
  readonly #setting: PartySetting
  readonly #bus: Bus
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #numbers = new Map<string, number>()
  readonly #handled = new Map<string, NumberSet>()

  constructor(setting: PartySetting, bus: Bus) {
    this.#setting = setting
    this.#bus = bus
  }

  /** Starts handling. */
  async consume(options: ConsumeOptions): Promise<void> {
    await this.#bus.consume(message => this.#handle(message), options)
  }

  /** Starts the lanes of a group. */
  begin(group: Group): void {
    for (const lane of this.#setting.lanes.filter(each => each.group === group)) {
      const first = setTimeout(() => {
        this.#timers.delete(first)
        this.#send(lane)
        this.#timers.add(setInterval(() => this.#send(lane), lane.everyMs))
      }, lane.delayMs)
      this.#timers.add(first)
    }
  }

  /** Sends nothing more; what is under way goes on. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers.clear()
  }

  /** Finishes and closes the bus. */
  async close(timeoutMs: number): Promise<void> {
    this.stop()
    await this.#bus.drain({ timeoutMs })
  }

  /** One message of this size in the first lane. */
  sendLarge(bytes: number): void {
    const [lane] = this.#setting.lanes
    if (lane !== undefined) this.#send(lane, 'x'.repeat(bytes))
  }

  #send({ lane, to, type }: LanePlan, padding?: string): void {
    const { run, ledger, lifetimeMs, counts, until } = this.#setting
    const n = this.#numbers.get(lane) ?? 0
    this.#numbers.set(lane, n + 1)
    const count = countOf(counts, lane)
    count.sent++
    ledger.write({ kind: 'sent', t: nowMs(), lane, n, deadline: nowMs() + lifetimeMs + SETTLE_GRACE_MS })
    const payload: Payload = { run, lane, n, ...(padding !== undefined && { padding }) }
    const message = { type, payload, expiresAt: new Date(Date.now() + lifetimeMs) }
    void this.#bus.send(to, message, until && { until }).then(
      ({ epoch, seq }) => {
        count.resolved++
        ledger.write({ kind: 'resolved', t: nowMs(), lane, n, epoch, seq })
      },
      (error: unknown) => {
        count.rejected++
        ledger.write({ kind: 'rejected', t: nowMs(), lane, n, code: codeOf(error) })
      },
    )
  }

  async #handle(message: Delivery): Promise<void> {
    const { ledger, mishaps, handlerMs, run, address } = this.#setting
    const payload = message.json() as Payload
    if (payload.run !== run) {
      ledger.write({ kind: 'event', t: nowMs(), party: address, name: 'other-run', detail: payload })
      return
    }
    if (handlerMs > 0) await sleep(handlerMs)
    await mishaps.run(payload.lane, payload.n, () => this.#effect(payload, message))
  }

  #effect({ lane, n }: Payload, { from }: Delivery): Promise<void> {
    const { ledger, counts } = this.#setting
    ledger.write({ kind: 'handled', t: nowMs(), lane, n, from: from?.address ?? '' })
    const numbers = this.#handled.get(lane) ?? new NumberSet()
    this.#handled.set(lane, numbers)
    if (numbers.add(n)) countOf(counts, lane).handled++
    return Promise.resolve()
  }
}

/**
 * A logger that puts what a bus says into the ledger: warnings and errors as events, and what names a place as such.
 * Information goes in too (connections come and go at that level); debugging does not.
 */
export function ledgerLogger(ledger: Ledger, party: string): Logger {
  const write = (fields: object, name: string): void => {
    const t = nowMs()
    ledger.write({ kind: 'event', t, party, name, detail: fields })
    const { epoch, seq, count = 1 } = fields as { epoch?: unknown; seq?: unknown; count?: number }
    if (!PLACES.has(name) || typeof epoch !== 'string' || typeof seq !== 'number') return
    for (let i = 0; i < count; i++) ledger.write({ kind: 'placed', t, place: name, epoch, seq: seq + i })
  }
  return { debug: () => undefined, info: write, warn: write, error: write }
}

function countOf(counts: Map<string, LaneCount>, lane: string): LaneCount {
  const known = counts.get(lane)
  if (known !== undefined) return known
  const fresh = { sent: 0, resolved: 0, rejected: 0, handled: 0 }
  counts.set(lane, fresh)
  return fresh
}

function codeOf(error: unknown): string {
  return isSealbusError(error) ? error.code : `not a SealbusError: ${String(error)}`
}
