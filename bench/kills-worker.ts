/**
 * A process of the bench `kills`: the receiver, or one life of the publisher. `node kills-worker.js ORDER-AS-JSON`.
 * n.b. a real process: what SIGKILL leaves of it is what it would leave of a user's program.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { nowMs, openLedger, readLedger } from '../chaos/ledger.js'
import { type Bus, connect, isSealbusError } from '../src/index.js'

export interface KillsOrder {
  readonly role: 'publish' | 'receive'
  /** For ledgers and state. */
  readonly folder: string
  readonly identity: string
  readonly brokers: readonly string[]
  readonly run: string
  readonly to: string
  /** Which life of the publisher. */
  readonly life?: number
  /** The last life: sends a little, then drains. */
  readonly finish?: boolean
}

const PRIORITIES = ['command', 'report'] as const
const BURST = 8
const PAUSE_MS = 5
const LAST_BURSTS = 5
const LIFETIME_MS = 3_600_000
const DRAIN_MS = 120_000

const order = JSON.parse(process.argv[2] ?? '{}') as KillsOrder
if (order.role === 'receive') await receive()
else await publish()

async function receive(): Promise<void> {
  const ledger = openLedger(join(order.folder, 'receiver.jsonl'))
  const bus = await connect({
    ...{ identity: order.identity, brokers: [...order.brokers] },
    state: join(order.folder, 'receiver-state'),
  })
  await bus.consume(message => {
    const { run, lane, n } = message.json() as { run: string; lane: string; n: number }
    if (run !== order.run) return
    ledger.write({ kind: 'handled', t: nowMs(), lane, n, from: message.from?.address ?? '' })
  })
  process.once('message', () => void bus.close().then(() => process.disconnect()))
  process.send?.('ready')
}

async function publish(): Promise<void> {
  const bus = await connect({
    ...{ identity: order.identity, brokers: [...order.brokers], outbox: 'file', startTimeoutMs: 0 },
    state: join(order.folder, 'publisher-state'),
  })
  const ledger = openLedger(join(order.folder, `publisher-${order.life ?? 0}.jsonl`))
  const next = nextNumbers()
  for (let burst = 0; order.finish !== true || burst < LAST_BURSTS; burst++) {
    for (const priority of PRIORITIES)
      for (let i = 0; i < BURST; i++) void sendOne(bus, priority, next[priority]++)
    if (burst === 0) process.send?.('sending')
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
  await bus.drain({ timeoutMs: DRAIN_MS })
  ledger.close()
  process.disconnect()

  async function sendOne(by: Bus, priority: (typeof PRIORITIES)[number], n: number): Promise<void> {
    const lane = laneOf(priority)
    ledger.write({ kind: 'sent', t: nowMs(), lane, n, deadline: nowMs() + LIFETIME_MS })
    const message = {
      type: 'report',
      payload: { run: order.run, lane, n },
      expiresAt: new Date(Date.now() + LIFETIME_MS),
    }
    try {
      const { epoch, seq } = await by.send(order.to, message, { priority })
      ledger.write({ kind: 'resolved', t: nowMs(), lane, n, epoch, seq })
    } catch (error) {
      const code = isSealbusError(error) ? error.code : String(error)
      ledger.write({ kind: 'rejected', t: nowMs(), lane, n, code })
    }
  }
}

/** n.b. numbers go on over all lives, so that their order is judged over all lives too. */
function nextNumbers(): Record<(typeof PRIORITIES)[number], number> {
  const next = { command: 0, report: 0 }
  for (let life = 0; life < (order.life ?? 0); life++) {
    const file = join(order.folder, `publisher-${life}.jsonl`)
    for (const entry of existsSync(file) ? readLedger(file) : []) {
      if (entry.kind !== 'sent') continue
      for (const priority of PRIORITIES)
        if (entry.lane === laneOf(priority)) next[priority] = Math.max(next[priority], entry.n + 1)
    }
  }
  return next
}

function laneOf(priority: string): string {
  return `publisher>${order.to}#${priority}`
}
