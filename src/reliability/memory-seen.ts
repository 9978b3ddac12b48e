/** A seen store that forgets at exit: what is redelivered or replayed after a restart is handled again. To be asked for. */
import type { SeenMemory, SeenStore } from './seen.js'

/** @param replayPossible - called once at start, so that nobody has this store unawares */
export function createMemorySeen(replayPossible: () => void): SeenStore {
  return {
    kind: 'memory',
    start: () => {
      replayPossible()
      const memory: SeenMemory = { epochs: [], closedBefore: new Map(), highestTimeMs: 0, lost: false }
      return Promise.resolve(memory)
    },
    check: () => undefined,
    transaction: run => run(undefined),
    mark: () => DONE,
    note: () => undefined,
    forget: () => undefined,
    time: () => undefined,
    close: () => DONE,
  }
}

const DONE: Promise<void> = Promise.resolve()
