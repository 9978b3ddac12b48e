/**
 * Fault 10: the network resets connections at a random byte, while they work and in each step of setting up.
 * Proxies stand before all nodes. For the steps, what lives is reset, and the next attempts are cut inside the step.
 */
import { type Phase, PhaseTracker } from '../phases.js'
import type { Direction, ProxyConnection, Tap } from '../proxy.js'
import type { Random } from '../random.js'
import { RecordReader, type TlsRecord } from '../records.js'
import type { Scenario, Stage } from '../scenario.js'

const BOUND_MS = 2_000
const OBSERVE_MS = 6_000
const ANY_BYTE_WITHIN = 3_000 // of one direction, about a second of load
const STEADY_DIRECTIONS: readonly Direction[] = ['up', 'down']

export const resetFaults: readonly Scenario[] = [
  {
    ...behindProxies('10a', 'reset at a random byte'),
    inject(stage) {
      const connections = live(stage)
      if (connections.length === 0)
        return Promise.reject(new Error('not injected: no connection goes through the proxies'))
      stage.injected()
      for (const connection of connections) {
        connection.cutAfter(stage.random.pick(STEADY_DIRECTIONS), stage.random.int(0, ANY_BYTE_WITHIN))
      }
      return allCut(stage, connections)
    },
  },
  inPhases('10b', 'reset in the TLS or AMQP handshake', ['tls', 'amqp']),
  inPhases('10c', 'reset in opening a channel', ['channel-open']),
  {
    ...inPhases('10d', 'reset in declaring', ['declare']),
    groups: ['steady', 'declaring'], // who declares does so when its process starts
  },
  inPhases('10e', 'reset in starting to consume', ['consume']),
]

/** What all of them have in common. */
function behindProxies(id: string, name: string): Omit<Scenario, 'inject'> {
  return {
    id,
    name,
    boundMs: BOUND_MS,
    groups: ['steady'],
    observeMs: OBSERVE_MS,
    healingCounts: false,
    place: ({ proxies }) => proxies.everywhere(),
    armed: () => Promise.resolve(),
    heal(stage) {
      for (const proxy of stage.proxies.all) proxy.onConnection = undefined
      return Promise.resolve()
    },
  }
}

/** Every client's next connection that comes to one of the phases is cut in it, once. */
function inPhases(id: string, name: string, phases: readonly Phase[]): Scenario {
  return {
    ...behindProxies(id, name),
    async inject(stage) {
      const old = live(stage)
      if (old.length === 0) throw new Error('not injected: no connection goes through the proxies')
      const cuts = new Cuts(phases, old.length, stage.random)
      for (const proxy of stage.proxies.all) proxy.onConnection = () => cuts.tap()
      stage.injected()
      for (const connection of old) connection.reset()
      await cuts.first(BOUND_MS)
      stage.note(`reset ${old.length} connections; cutting new ones in ${phases.join(' or ')}`)
    },
  }
}

/** Cuts connections inside phases, as many as there were before. */
class Cuts {
  readonly #phases: readonly Phase[]
  readonly #random: Random
  #left: number
  #made = 0

  constructor(phases: readonly Phase[], count: number, random: Random) {
    this.#phases = phases
    this.#left = count
    this.#random = random
  }

  /** Watches one connection. */
  tap(): Tap {
    const phase = this.#random.pick(this.#phases)
    const readers = { up: new RecordReader(), down: new RecordReader() }
    const tracker = new PhaseTracker()
    // the record of the phase to cut in: a request and its answer have a few each
    let skip = this.#random.int(0, phase === 'tls' || phase === 'amqp' ? 3 : 1)
    let done = false
    return (direction, chunk) => {
      const records = readers[direction].read(chunk)
      const hits = records.filter(record => tracker.record(direction, record) === phase)
      const hit = hits[skip]
      skip -= hits.length
      if (hit === undefined || done || this.#left === 0) return undefined
      done = true
      this.#left--
      this.#made++
      return this.#byteOf(hit)
    }
  }

  /** Waits for the first cut. @throws Error when none came */
  async first(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs
    while (this.#made === 0) {
      if (performance.now() > deadline)
        throw new Error(`not injected: no new connection came to ${this.#phases.join(' or ')}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  #byteOf(record: TlsRecord): number {
    return record.start + this.#random.int(0, record.length + 4)
  }
}

function live(stage: Stage): ProxyConnection[] {
  return stage.proxies.all.flatMap(proxy => [...proxy.connections])
}

/** @throws Error when a connection never came to its byte */
async function allCut(stage: Stage, connections: readonly ProxyConnection[]): Promise<void> {
  const limit = new Promise<boolean>(resolve => setTimeout(() => resolve(false), OBSERVE_MS).unref())
  const cut = await Promise.all(connections.map(({ closed }) => Promise.race([closed, limit])))
  const made = cut.filter(Boolean).length
  stage.note(`cut ${made} of ${connections.length} connections at a random byte`)
  if (made === 0) throw new Error('not injected: no connection came to its byte')
}
