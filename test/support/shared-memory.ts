/** A shared seen store without a network: what several receivers in one test remember together. */
import { EpochMemory } from '../../src/reliability/epoch.js'
import { mergeRecords } from '../../src/reliability/epoch-merge.js'
import type { EpochKey, Known, SeenHooks, SeenStore } from '../../src/reliability/seen.js'

interface Epoch {
  memory: EpochMemory
  readonly marks: Map<number, Known>
}

export class SharedMemory {
  readonly #epochs: Map<string, Epoch> = new Map()
  readonly #claims: Map<string, { worker: number; ended: Promise<void>; end: () => void }> = new Map()
  readonly hooks: SeenHooks[] = []
  /** How often a worker has said where an epoch stands. */
  noted = 0
  #workers = 0

  /** The store of one worker. */
  worker(): SeenStore {
    this.#workers += 1
    const worker = this.#workers
    return {
      kind: 'shared',
      start: hooks => {
        if (hooks) this.hooks.push(hooks)
        return Promise.resolve({ epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: false })
      },
      recall: key =>
        Promise.resolve({ record: this.#epochs.get(nameOf(key))?.memory.record(), closedBefore: undefined }),
      check: (key, seq) => this.#claim(key, seq, worker),
      release: (key, seq) => this.#end(key, seq, worker),
      transaction: run => run(undefined),
      mark: mark => {
        const { seq, hash, createdAtMs } = mark
        const epoch = this.#epoch(mark, seq)
        epoch.memory.use(seq, mark.mark, hash, createdAtMs)
        epoch.marks.set(seq, { mark: mark.mark, hash })
        this.#end(mark, seq, worker)
        return Promise.resolve()
      },
      note: record => {
        this.noted += 1
        const epoch = this.#epoch(record, record.start)
        epoch.memory = new EpochMemory(mergeRecords(epoch.memory.record(), record))
      },
      forget: () => undefined,
      time: () => undefined,
      close: () => Promise.resolve(),
    }
  }

  /** A worker is dead: its claims end. */
  bury(worker: number): void {
    for (const [name, claim] of this.#claims) {
      if (claim.worker !== worker) continue
      this.#claims.delete(name)
      claim.end()
    }
  }

  async #claim(key: EpochKey, seq: number, worker: number): Promise<Known | undefined> {
    const name = `${nameOf(key)}:${seq}`
    for (;;) {
      const epoch = this.#epochs.get(nameOf(key))
      const known = epoch?.marks.get(seq)
      if (known) return known
      if (epoch?.memory.state(seq) === 'skipped') return { mark: 'skipped', hash: '' }
      const holder = this.#claims.get(name)
      if (!holder || holder.worker === worker) break
      await holder.ended
    }
    let end = (): void => undefined
    const ended = new Promise<void>(resolve => {
      end = resolve
    })
    this.#claims.set(name, { worker, ended, end })
    return undefined
  }

  #end(key: EpochKey, seq: number, worker: number): void {
    const name = `${nameOf(key)}:${seq}`
    const claim = this.#claims.get(name)
    if (claim?.worker !== worker) return
    this.#claims.delete(name)
    claim.end()
  }

  #epoch(key: EpochKey, start: number): Epoch {
    const name = nameOf(key)
    const epoch = this.#epochs.get(name) ?? { memory: EpochMemory.first(key, start, 0), marks: new Map() }
    this.#epochs.set(name, epoch)
    return epoch
  }
}

function nameOf({ domain, address, epoch }: EpochKey): string {
  return `${domain}/${address}/${epoch}`
}
