/** Which memory of what was handled a bus has: named in the options, in config.json, or made by the application. */
import { SealbusError } from './errors.js'
import type { Emit } from './events.js'
import { createFileSeen } from './reliability/file-seen.js'
import { createMemorySeen } from './reliability/memory-seen.js'
import type { SeenStore } from './reliability/seen.js'

export interface SeenOptions {
  /**
   * Memory of what was handled. `memory` forgets at exit and must be asked for; `sharedSeen()` and `postgresSeen()` make
   * stores for several workers of one inbox. Default: the config's.
   */
  readonly seen?: 'file' | 'memory' | SeenStore<unknown>
}

/** The store, to be made once events can be heard. @throws SealbusError `configuration` */
export function seenChoice(
  options: SeenOptions,
  config: { readonly seen: 'file' | 'memory'; readonly address: string; readonly name: string },
  state: string | undefined,
): (emit: Emit) => SeenStore<unknown> {
  const seen = options.seen ?? config.seen
  if (typeof seen === 'object') {
    seen.join?.(config.address)
    return () => seen
  }
  if (seen === 'memory') return emit => createMemorySeen(() => emit('replay-possible', { alarm: true }))
  if (state !== undefined) return () => createFileSeen({ directory: state })
  throw new SealbusError(
    'configuration',
    `seen: "file" needs a state folder: set "state" here or in ${config.name}, or ask for seen: 'memory'`,
  )
}
