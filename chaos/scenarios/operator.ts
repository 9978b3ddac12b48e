/** Fault 13: an operator closes all connections again and again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { nowMs } from '../ledger.js'
import type { Scenario } from '../scenario.js'

const TIMES = 5
const EVERY_MS = 2_000

export const operatorFaults: readonly Scenario[] = [
  {
    id: '13',
    name: `an operator closes all connections, ${TIMES} times, every ${EVERY_MS / 1000} s`,
    boundMs: 1_000,
    groups: ['steady', 'late'],
    observeMs: TIMES * EVERY_MS + 1_000,
    healingCounts: true,
    place: ({ driver }) => Promise.resolve(driver.nodes.map(node => driver.url(node))),
    armed: () => Promise.resolve(),
    async inject(stage) {
      const begin = nowMs()
      for (let i = 0; i < TIMES; i++) {
        await sleep(Math.max(0, begin + i * EVERY_MS - nowMs()))
        stage.injected()
        const closed = await stage.driver.closeConnections('closed by the operator')
        if (closed === 0) throw new Error(`not injected: no connection to close at time ${i + 1}`)
        stage.note(`closed ${closed} connections`)
      }
    },
    heal: () => Promise.resolve(),
  },
]
