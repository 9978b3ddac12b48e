/**
 * Fault 10: the network resets connections at a random byte, while they work and in each step of setting up.
 * Proxies stand before all nodes. For the steps, what lives is reset, and the next attempts are cut inside the step.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Phase, PhaseTracker } from '../phases.js'
import type { Direction, ProxyConnection, Tap } from '../proxy.js'
import type { Random } from '../random.js'
import { RecordReader, type TlsRecord } from '../records.js'
import type { Scenario, Stage } from '../scenario.js'

const BOUND_MS = 2_000
const OBSERVE_MS = 6_000
const SETTLED_MS = 2_000 // by then everybody has tried again
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
  inPhases('10b', 'reset in the TLS or AMQP handshake', ['tls', 'amqp'], 4),
  inPhases('10c', 'reset in opening a channel', ['channel-open'], 2),
  declaring('10d', 'reset in declaring'),
  inPhases('10e', 'reset in starting to consume', ['consume'], 2),
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

/** All connections are reset; as many new ones as there were are each cut in one of the phases, if they come to it. */
function inPhases(id: string, name: string, phases: readonly Phase[], records: number): Scenario {
  return {
    ...behindProxies(id, name),
    async inject(stage) {
      const old = live(stage)
      if (old.length === 0) throw new Error('not injected: no connection goes through the proxies')
      const cuts = new Cuts({ phases, records, connections: old.length, random: stage.random })
      for (const proxy of stage.proxies.all) proxy.onConnection = () => cuts.tap()
      stage.injected()
      for (const connection of old) connection.reset()
      await cuts.first()
      await pause(SETTLED_MS)
      stage.note(`reset ${old.length} connections, cut ${cuts.made} new ones in ${phases.join(' or ')}`)
    },
  }
}

/** Who declares does so when its process starts: one joins, and its first connection is cut in it. */
function declaring(id: string, name: string): Scenario {
  return {
    ...behindProxies(id, name),
    groups: ['steady', 'declaring'],
    async inject(stage) {
      // two queues and two bindings, each asked and answered
      const cuts = new Cuts({ phases: ['declare'], records: 8, connections: 1, random: stage.random })
      for (const proxy of stage.proxies.all) proxy.onConnection = () => cuts.tap()
      stage.injected()
      await cuts.first()
      stage.note('cut the connection of one that declares')
    },
  }
}

interface CutsSetting {
  readonly phases: readonly Phase[]
  /** Each cut falls into one of the first so many records of its phase. */
  readonly records: number
  /** Only the first so many connections are cut: their next attempts get through. */
  readonly connections: number
  readonly random: Random
}

/** Cuts new connections inside phases, each at most once. */
class Cuts {
  readonly #setting: CutsSetting
  #connections = 0
  /** Cuts so far. */
  made = 0

  constructor(setting: CutsSetting) {
    this.#setting = setting
  }

  /** Watches one connection, or none any more. */
  tap(): Tap | undefined {
    const { phases, records, connections, random } = this.#setting
    if (this.#connections++ >= connections) return undefined
    const phase = random.pick(phases)
    const readers = { up: new RecordReader(), down: new RecordReader() }
    const tracker = new PhaseTracker()
    let skip = random.int(0, records - 1)
    return (direction, chunk) => {
      const hits = readers[direction]
        .read(chunk)
        .filter(record => tracker.record(direction, record) === phase)
      const hit = skip >= 0 ? hits[skip] : undefined
      skip -= hits.length
      if (hit === undefined) return undefined
      this.made++
      return this.#byteOf(hit)
    }
  }

  /** Waits for the first cut. @throws Error when none came */
  async first(): Promise<void> {
    const deadline = performance.now() + OBSERVE_MS
    while (this.made === 0) {
      const { phases } = this.#setting
      if (performance.now() > deadline)
        throw new Error(`not injected: no new connection came to ${phases.join(' or ')}`)
      await pause(20)
    }
  }

  #byteOf(record: TlsRecord): number {
    return record.start + this.#setting.random.int(0, record.length + 4)
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
