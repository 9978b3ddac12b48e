/** The four faults of the comparison: rows 2, 8, 9 and 13 of docs/DELIVERY.md. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PeersGround } from './peers-ground.js'

export interface PeersFault {
  readonly id: string
  readonly name: string
  /** How long it is looked at before it is healed, ms. */
  readonly observeMs: number
  /** All clients are connected to the chosen node. */
  readonly clientsOnIt: boolean
  /** The chosen node leads all queues, or none, or that does not matter. */
  readonly leads: boolean | undefined
  inject(ground: PeersGround, node: string): Promise<void>
}

const CLOSINGS = 5
const CLOSE_EVERY_MS = 2_000

export const PEERS_FAULTS: readonly PeersFault[] = [
  {
    id: '2',
    name: 'kill -9 the leader that clients are connected to',
    observeMs: 10_000,
    clientsOnIt: true,
    leads: true,
    inject: ({ driver }, node) => driver.kill(node),
  },
  {
    id: '8',
    name: 'SIGSTOP the leader that clients are connected to, 20 s',
    observeMs: 20_000,
    clientsOnIt: true,
    leads: true,
    inject: ({ driver }, node) => driver.actions.pause(node),
  },
  {
    id: '9',
    name: 'the link to the connected node carries nothing more, 20 s',
    observeMs: 20_000,
    clientsOnIt: true,
    leads: false,
    inject: ({ links }, node) => {
      links.blackhole(true, [node])
      return Promise.resolve()
    },
  },
  {
    id: '13',
    name: `an operator closes all connections, ${CLOSINGS} times, every ${CLOSE_EVERY_MS / 1000} s`,
    observeMs: CLOSINGS * CLOSE_EVERY_MS + 1_000,
    clientsOnIt: false,
    leads: undefined,
    inject: closeAgainAndAgain,
  },
]

/** n.b. the first closing counts as the injection; the others follow while the load is looked at. */
async function closeAgainAndAgain(ground: PeersGround): Promise<void> {
  const begin = performance.now()
  for (let i = 0; i < CLOSINGS; i++) {
    await sleep(Math.max(0, begin + i * CLOSE_EVERY_MS - performance.now()))
    const closed = await ground.closeConnections()
    if (closed === 0) throw new Error(`not injected: no connection to close at time ${i + 1}`)
  }
}
