/**
 * The main file of a process of a peer's load: the crew of chaos/worker.ts, with another library in the place of sealbus.
 * So parties, lanes, payloads, ledgers and orders are the same for all.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Crew } from '../chaos/crew.js'
import { nowMs } from '../chaos/ledger.js'
import type { PartyPlan } from '../chaos/plan.js'
import type { Assignment, Order, Report } from '../chaos/protocol.js'
import type { Bus, Delivery, Handler, Leftover, Logger } from '../src/bus.js'
import { SealbusError } from '../src/errors.js'
import { loadIdentityFolder } from '../src/identity-folder.js'
import { type ConnectPeer, type Peer, type PeerSetting, peerQueue } from './peer.js'

/** As much as sealbus asks for by default under a single active consumer. */
const PREFETCH = 1_000
/** Some never come back from closing a link that is dead. */
const CLOSE_LIMIT_MS = 5_000
const NOTHING_LEFT: Leftover = { unsent: 0, unhandled: 0 }

const setting = JSON.parse(process.argv[2] ?? '') as PeerSetting
const { connect } = (await import(pathToFileURL(join(setting.folder, `${setting.library}.mjs`)).href)) as {
  connect: ConnectPeer
}

async function connected(
  { address, identity }: PartyPlan,
  { brokers, plan }: Assignment,
  logger: Logger,
): Promise<Bus> {
  const folder = await loadIdentityFolder(identity)
  const { library, balancer, user, password, vhost } = setting
  const receivers = new Set(plan.lanes.filter(({ from }) => from === address).map(({ to }) => to))
  const peer = await connect({
    ...{ brokers, balancer, user, password, vhost },
    tls: await folder.tls(),
    inbox: peerQueue(library, address),
    others: [...receivers].map(to => peerQueue(library, to)),
    prefetch: PREFETCH,
    log: (event, detail) => logger.info({ detail }, event),
  })
  return busOf(peer)
}

/** As much of a bus as the load uses. */
function busOf(peer: Peer): Bus {
  let seq = 0
  const close = async (): Promise<Leftover> => {
    await Promise.race([peer.close().catch(() => undefined), sleep(CLOSE_LIMIT_MS)])
    return NOTHING_LEFT
  }
  return {
    async send(to, { payload }) {
      const queue = peerQueue(setting.library, typeof to === 'string' ? to : to.address)
      await peer.send(queue, Buffer.from(JSON.stringify(payload)))
      return { state: 'confirmed', epoch: '', seq: seq++ }
    },
    async consume(handler) {
      await peer.consume(async body => {
        await (handler as Handler)(deliveryOf(body), undefined)
      })
      return { stop: () => Promise.resolve() }
    },
    request: notMeasured,
    status: () => ({ state: 'ready' }),
    on: () => () => undefined,
    drain: close,
    close,
    closed: new Promise<never>(() => undefined),
  }
}

function deliveryOf(body: Buffer): Delivery {
  const text = body.toString()
  return {
    type: 'peer',
    payload: body,
    text: () => text,
    json: (): unknown => JSON.parse(text),
    createdAt: new Date(),
    expiresAt: new Date(),
    signal: new AbortController().signal,
    reply: notMeasured,
  }
}

function notMeasured(): Promise<never> {
  return Promise.reject(new SealbusError('request-refused', 'peers answer no requests'))
}

const report = (message: Report): void => void process.send?.(message)
const crew = new Crew(connected, report)

const fatal = (what: 'unhandled-rejection' | 'uncaught-exception', error: unknown): void => {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  crew.ledger?.write({ kind: 'fatal', t: nowMs(), what, message: message.slice(0, 2_000) })
}
process.on('unhandledRejection', error => fatal('unhandled-rejection', error))
process.on('uncaughtExceptionMonitor', error => fatal('uncaught-exception', error))
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => undefined)

let work: Promise<void> = Promise.resolve()
process.on('message', (order: Order) => {
  work = work
    .then(() => crew.obey(order))
    .catch((error: unknown) => report({ is: 'failed', message: String(error) }))
  if (order.do === 'close') void work.then(() => process.disconnect())
})
