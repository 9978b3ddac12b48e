/**
 * The outbox that forgets at exit: what `connect` uses without a state folder. It keeps the sealed bytes while they
 * are unconfirmed (or not yet handled, where that was asked), and bounds them.
 */
import { SealbusError } from '../errors.js'
import type { Outbox, OutboxRecord, OutboxUsage } from './outbox.js'

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
  const records = new Map<string, OutboxRecord>()
  let bytes = 0

  function keep(record: OutboxRecord): void {
    if (records.size >= maxRecords || bytes + record.body.length > maxBytes) throw full(records.size, bytes)
    records.set(record.id, record)
    bytes += record.body.length
  }

  return {
    durable: false,
    start: () => Promise.resolve([]),
    put: record =>
      new Promise(resolve => {
        keep(record)
        resolve()
      }),
    remove: id => {
      bytes -= records.get(id)?.body.length ?? 0
      records.delete(id)
    },
    predecessor: () => undefined,
    usage: (): OutboxUsage => ({ records: records.size, bytes }),
    close: () => {
      records.clear()
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
