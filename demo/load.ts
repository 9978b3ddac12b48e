/** A steady load: every hub reports, the power plant activates, all numbered by the ledger's lanes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HUBS, VPP } from './cast.js'
import { activation } from './conversations.js'
import type { Talk } from './talk.js'

const REPORT_EVERY_MS = 100 // eBADGE asks a hub for 10 messages a second
const ACTIVATE_EVERY_MS = 250

/** Starts the load. `stop` ends it and waits for every send to settle; it rejects with the first failure. */
export function startLoad(talk: Talk): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const sends: Promise<void>[] = []
  const every = async (ms: number, send: () => Promise<void>): Promise<void> => {
    while (!stopping.signal.aborted) {
      const sent = send()
      sent.catch(() => undefined) // n.b. seen when `stop` waits for all of them
      sends.push(sent)
      await sleep(ms)
    }
  }
  const loops = HUBS.flatMap(hub => [
    every(REPORT_EVERY_MS, () => talk.send(hub, VPP, 'report', report())),
    every(ACTIVATE_EVERY_MS, () => talk.send(VPP, hub, 'activate', activation(), 'command')),
  ])
  return {
    stop: async () => {
      stopping.abort()
      await Promise.all(loops)
      await Promise.all(sends)
    },
  }
}

function report(): object & Record<string, unknown> {
  const now = Date.now()
  return {
    msg: 'report',
    from: new Date(now - 60_000).toISOString(),
    to: new Date(now).toISOString(),
    resolution: 60,
    values: { load: [Math.round(1000 + Math.random() * 1000) / 1000] },
  }
}
