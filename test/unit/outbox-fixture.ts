/** Records for the outbox on disk, and folders to put them into. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileOutbox, type FileOutboxOptions } from '../../src/reliability/file-outbox.js'
import type { LeftLane, Outbox, OutboxRecord } from '../../src/reliability/outbox.js'

export const EPOCH = '00112233445566aa'
export const to = { domain: 'field', address: 'heh-0001' }

let ids = 0

/** One envelope; its body says its number. */
export function record(seq: number, more: Partial<OutboxRecord> & { bytes?: number } = {}): OutboxRecord {
  const { bytes = 100, ...rest } = more
  const body = Buffer.alloc(bytes, String(seq % 10))
  body.write(`body ${seq};`)
  return {
    ...{ id: (ids++).toString(16).padStart(32, '0'), to, priority: 'report', epoch: EPOCH, seq, count: 1 },
    ...{ floor: 0, expiresAtMs: 2e12, untilHandled: false, droppable: false, body: new Uint8Array(body) },
    ...rest,
  }
}

export interface Folder {
  readonly directory: string
  readonly events: { event: string; detail: object }[]
  open(more?: Partial<FileOutboxOptions>): Outbox
  /** Opens, tells what is left, closes. */
  left(): Promise<readonly LeftLane[]>
  files(): string[]
  bytes(name: string): Buffer
  remove(): void
}

export function makeFolder(): Folder {
  const directory = mkdtempSync(join(tmpdir(), 'sealbus-outbox-'))
  const events: { event: string; detail: object }[] = []
  const emit = (event: string, detail: object): void => void events.push({ event, detail })
  const open = (more: Partial<FileOutboxOptions> = {}): Outbox =>
    createFileOutbox({ directory, now: () => 1.8e12, emit, ...more })
  return {
    directory,
    events,
    open,
    left: async () => {
      const outbox = open()
      const left = await outbox.start()
      await outbox.close()
      return left
    },
    files: () => readdirSync(directory).filter(name => name.endsWith('.log')),
    bytes: name => readFileSync(join(directory, name)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** Numbers of what is left of each lane. */
export function numbers(left: readonly LeftLane[]): number[][] {
  return left.map(({ stored }) => stored.map(({ seq }) => seq))
}
