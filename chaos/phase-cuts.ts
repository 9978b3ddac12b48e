/** Cuts new connections inside a step of setting up: the records of TLS tell the steps apart (phases.ts). */
import { setTimeout as pause } from 'node:timers/promises'
import { type Phase, PhaseTracker } from './phases.js'
import type { Play } from './play.js'
import type { Tap } from './proxy.js'
import type { Random } from './random.js'
import { RecordReader, type TlsRecord } from './records.js'

const FIRST_LIMIT_MS = 6_000
const SETTLED_MS = 2_000 // by then everybody has tried again

/** What to cut. */
export interface PhaseCut {
  readonly phases: readonly Phase[]
  /** Each cut falls into one of the first so many records of its phase. */
  readonly records: number
  /** Only so many new connections; absent: what is open is reset, and as many new ones are cut. */
  readonly connections: number | undefined
}

/** Does it. @throws Error `not injected: …` when no new connection came to the phase */
export async function cutInPhases(play: Play, { phases, records, connections }: PhaseCut): Promise<void> {
  const { links, stage } = play
  const open = links.connections().length
  if (open === 0) throw new Error('not injected: no connection goes through the links')
  const cuts = new Cuts({ phases, records, connections: connections ?? open, random: stage.random })
  links.watch(() => cuts.tap())
  stage.injected()
  if (connections === undefined) links.reset()
  await cuts.first()
  if (connections === undefined) await pause(SETTLED_MS)
  stage.note(`cut ${cuts.made} new connections in ${phases.join(' or ')}`)
}

interface Setting {
  readonly phases: readonly Phase[]
  readonly records: number
  /** Only the first so many connections are cut: their next attempts get through. */
  readonly connections: number
  readonly random: Random
}

/** Cuts new connections inside phases, each at most once. */
class Cuts {
  readonly #setting: Setting
  #connections = 0
  /** Cuts so far. */
  made = 0

  constructor(setting: Setting) {
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
    const deadline = performance.now() + FIRST_LIMIT_MS
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
