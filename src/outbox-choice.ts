/** Which outbox a secured bus has: in memory, or on disk in its state folder. */
import { join } from 'node:path'
import type { Clock } from './clock.js'
import { SealbusError } from './errors.js'
import type { Emit } from './events.js'
import { createFileOutbox } from './reliability/file-outbox.js'
import { createMemoryOutbox } from './reliability/memory-outbox.js'
import type { Outbox } from './reliability/outbox.js'
import { checkBounds, type OutboxBounds } from './reliability/outbox-bounds.js'

/** Its folder in the state folder. */
const FOLDER = 'outbox'

export interface OutboxOptions {
  /**
   * Where sealed messages wait for the broker: `memory` forgets at exit; `file` survives it, in the state folder's `outbox/`. With
   * `file`, `send()` resolves when the message is on disk, and `connect` resolves without a broker too. Default: the
   * config's, which is `memory` unless it says otherwise.
   */
  readonly outbox?: 'file' | 'memory'
  /** How much an outbox on disk may keep, and what happens when it is full. */
  readonly outboxLimits?: OutboxBounds
}

/**
 * What makes the outbox once its events can be heard.
 * @throws SealbusError `configuration` where a folder is missing, or limits are given that nothing obeys; RangeError
 */
export function outboxChoice(
  { outbox, outboxLimits }: OutboxOptions,
  config: { readonly outbox?: 'file' | 'memory'; readonly name: string },
  state: string | undefined,
  clock: Clock,
): (emit: Emit) => Outbox {
  const kind: string = outbox ?? config.outbox ?? 'memory' // n.b. from JavaScript anything may come
  if (kind !== 'file' && kind !== 'memory')
    throw new RangeError(`outbox: expected file or memory, got ${JSON.stringify(kind)}`)
  if (kind === 'memory' && outboxLimits !== undefined)
    throw configuration(
      'outboxLimits: expected an outbox on disk to limit; add outbox: "file", or leave them out',
    )
  if (kind === 'memory') return () => createMemoryOutbox()
  if (state === undefined)
    throw configuration(`outbox: "file" needs a state folder: set "state" here or in ${config.name}`)
  const bounds = checkBounds(outboxLimits ?? {})
  const directory = join(state, FOLDER)
  return emit => createFileOutbox({ ...bounds, directory, now: () => clock.now(), emit })
}

function configuration(message: string): SealbusError {
  return new SealbusError('configuration', message)
}
