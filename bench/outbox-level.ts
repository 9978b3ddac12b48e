/**
 * The other way to keep envelopes: a well-kept embedded store (LevelDB by classic-level), behind the same seam and with the
 * same grouping of writes as the product's log. Kept here so that `npm run bench -- outbox` can compare again.
 */
import { ClassicLevel } from 'classic-level'
import { Grouping } from '../src/reliability/grouping.js'
import type {
  EnvelopeFacts,
  LaneOfLife,
  LeftLane,
  Outbox,
  OutboxRecord,
  Stored,
} from '../src/reliability/outbox.js'

const LINGER_MS = 2
const GROUP_BYTES: number = 64 * 1024
const ENDS_WITHIN_MS = 50
const HEAD_LENGTH_BYTES = 2

type Level = ClassicLevel<string, Uint8Array>

interface Item {
  readonly key: string
  /** Absent: it is deleted. */
  readonly value?: Uint8Array
  readonly done?: () => void
  readonly failed?: (error: unknown) => void
}

interface Kept extends Stored {
  readonly key: string
}

/** @param directory - of its own */
export function createLevelOutbox(directory: string): Outbox {
  const level: Level = new ClassicLevel(directory, { keyEncoding: 'utf8', valueEncoding: 'view' })
  let usage = { records: 0, bytes: 0 }
  const group = new Grouping<Item>({ groupBytes: GROUP_BYTES, write: items => write(level, items) })
  const count = (records: number, bytes: number): void => {
    usage = { records: usage.records + records, bytes: usage.bytes + bytes }
  }
  return {
    durable: true,
    whenFull: 'wait',
    ageMs: Number.POSITIVE_INFINITY,
    start: async () => {
      await level.open()
      const left = await lanes(level)
      for (const { stored } of left) for (const { bytes } of stored) count(1, bytes)
      return left
    },
    room: () => Number.POSITIVE_INFINITY,
    put: record =>
      new Promise((resolve, reject) => {
        const key = keyOf(record)
        const stored: Kept = { ...factsOf(record), bytes: record.body.length, key }
        count(1, stored.bytes)
        const item = { key, value: encode(record), done: () => resolve(stored), failed: reject }
        group.add(item, record.body.length, LINGER_MS)
      }),
    read: async stored => {
      const values = await level.getMany(stored.map(each => (each as Kept).key))
      return values.map(value => (value === undefined ? new Uint8Array() : decode(value).body))
    },
    remove: stored => {
      count(-1, -stored.bytes)
      group.add({ key: (stored as Kept).key }, 0, ENDS_WITHIN_MS)
    },
    droppable: () => [],
    announced: () => undefined,
    predecessor: () => undefined,
    usage: () => usage,
    close: async () => {
      await group.flush()
      await level.close()
    },
  }
}

/** n.b. `sync` costs the fsync; a group of deletions alone has none, as in the log. */
async function write(level: Level, items: readonly Item[]): Promise<void> {
  const sync = items.some(({ value }) => value !== undefined)
  const batch = items.map(({ key, value }) =>
    value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
  )
  try {
    await level.batch(batch, { sync })
    for (const { done } of items) done?.()
  } catch (error) {
    for (const { failed } of items) failed?.(error)
  }
}

async function lanes(level: Level): Promise<LeftLane[]> {
  const left = new Map<string, LaneOfLife & { next: number; stored: Stored[] }>()
  for await (const [key, value] of level.iterator()) {
    const { head, body } = decode(value)
    const lane = left.get(head.epoch) ?? { ...head, next: 0, stored: [] }
    left.set(head.epoch, lane)
    const stored: Kept = { ...factsOf(head), bytes: body.length, key }
    lane.stored.push(stored)
    lane.next = head.seq + head.count
  }
  return [...left.values()].map(({ to, priority, epoch, next, stored }) => {
    return { to, priority, epoch, next, stored, floor: 0, announcedFloor: 0, overEnds: [] }
  })
}

function keyOf({ epoch, seq }: OutboxRecord): string {
  return `${epoch}/${String(seq).padStart(16, '0')}`
}

function factsOf({
  id,
  seq,
  count,
  floor,
  expiresAtMs,
  untilHandled,
  droppable,
}: EnvelopeFacts): EnvelopeFacts {
  return { id, seq, count, floor, expiresAtMs, untilHandled, droppable }
}

function encode({ body, ...head }: OutboxRecord): Uint8Array {
  const json = Buffer.from(JSON.stringify(head))
  const value = Buffer.alloc(HEAD_LENGTH_BYTES + json.length + body.length)
  value.writeUInt16BE(json.length, 0)
  value.set(json, HEAD_LENGTH_BYTES)
  value.set(body, HEAD_LENGTH_BYTES + json.length)
  return value
}

function decode(value: Uint8Array): { head: Omit<OutboxRecord, 'body'>; body: Uint8Array } {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  const end = HEAD_LENGTH_BYTES + bytes.readUInt16BE(0)
  const head = JSON.parse(bytes.subarray(HEAD_LENGTH_BYTES, end).toString('utf8')) as Omit<
    OutboxRecord,
    'body'
  >
  return { head, body: bytes.subarray(end) }
}
