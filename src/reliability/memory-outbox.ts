/**
 * The outbox that forgets at exit: what `connect` uses unless one on disk is asked for. It keeps the sealed bytes while
 * they are unconfirmed (or not yet handled, where that was asked), and bounds them.
 */
import { SealbusError } from '../errors.js'
import type { Outbox, OutboxRecord, OutboxUsage, Stored } from './outbox.js'

export interface MemoryOutboxOptions {
  /** Envelopes at most. Default 100 000. */
  readonly records?: number
  /** Bytes of sealed bodies at most. Default 128 MiB. */
  readonly bytes?: number
}

const DEFAULT_RECORDS = 100_000
const DEFAULT_BYTES: number = 128 * 1024 * 1024

/** @throws RangeError for bounds that are not positive */
export function createMemoryOutbox(options: MemoryOutboxOptions = {}): Outbox {
  const { records: maxRecords = DEFAULT_RECORDS, bytes: maxBytes = DEFAULT_BYTES } = options
  if (!(maxRecords > 0 && maxBytes > 0)) {
    throw new RangeError(
      `memory outbox: expected positive bounds, got records ${maxRecords}, bytes ${maxBytes}`,
    )
  }
  const bodies = new Map<Stored, Uint8Array>()
  let bytes = 0

  function room(): number {
    if (bodies.size === 0) return Number.POSITIVE_INFINITY
    return bodies.size >= maxRecords ? 0 : Math.max(0, maxBytes - bytes)
  }

  function keep({ body, ...facts }: OutboxRecord): Stored {
    if (body.length > room()) throw full(bodies.size, bytes)
    const stored = { ...facts, bytes: body.length }
    bodies.set(stored, body)
    bytes += body.length
    return stored
  }

  return {
    durable: false,
    whenFull: 'wait',
    ageMs: Number.POSITIVE_INFINITY,
    start: () => Promise.resolve([]),
    room,
    put: record => new Promise(resolve => resolve(keep(record))),
    read: stored => Promise.resolve(stored.map(each => bodies.get(each) ?? new Uint8Array())),
    remove: stored => {
      if (bodies.delete(stored)) bytes -= stored.bytes
    },
    droppable: () => [],
    announced: () => undefined,
    predecessor: () => undefined,
    usage: (): OutboxUsage => ({ records: bodies.size, bytes }),
    close: () => {
      bodies.clear()
      bytes = 0
      return Promise.resolve()
    },
  }
}

function full(records: number, bytes: number): SealbusError {
  return new SealbusError(
    'buffer-full',
    `memory outbox: ${records} envelopes of ${bytes} bytes wait for the broker; send less, or configure a larger bound`,
  )
}
