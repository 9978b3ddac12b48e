/** Ledgers as one stream in the order of time, however long they are: what is in memory at once is a chunk of each file. */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Entry } from './ledger.js'

const CHUNK_BYTES = 256 * 1024
const LINE_FEED = 0x0a

/** All entries of these files by their time; each file must be in order, as ledgers are. */
export function* mergedEntries(files: readonly string[]): Generator<Entry, void> {
  const sources = files.map(file => entriesOf(file))
  const heads = sources.map(source => source.next().value)
  try {
    for (;;) {
      const first = earliest(heads)
      const entry = heads[first]
      if (entry === undefined) return
      yield entry
      heads[first] = sources[first]?.next().value
    }
  } finally {
    for (const source of sources) source.return(undefined) // closes its file
  }
}

/**
 * Reads a ledger in the order of writing. A torn last line (its writer was killed) is left out.
 * @throws Error for damage anywhere else
 */
export function* entriesOf(file: string): Generator<Entry, undefined> {
  let number = 0
  for (const line of linesOf(file)) {
    number++
    try {
      yield JSON.parse(line) as Entry
    } catch (cause) {
      throw new Error(`${file}:${number}: expected one JSON object, got ${line.slice(0, 80)}`, { cause })
    }
  }
  return undefined
}

/** What ends with a line feed. */
function* linesOf(file: string): Generator<string, void> {
  const fd = openSync(file, 'r')
  try {
    let rest = Buffer.alloc(0)
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      const length = readSync(fd, chunk)
      if (length === 0) return
      let text = Buffer.concat([rest, chunk.subarray(0, length)])
      for (let end = text.indexOf(LINE_FEED); end >= 0; end = text.indexOf(LINE_FEED)) {
        yield text.toString('utf8', 0, end)
        text = text.subarray(end + 1)
      }
      rest = text
    }
  } finally {
    closeSync(fd)
  }
}

/** The place of the earliest; of one that is over when all are. */
function earliest(heads: readonly (Entry | undefined)[]): number {
  let best = 0
  for (const [i, head] of heads.entries()) {
    const before = heads[best]
    if (head !== undefined && (before === undefined || head.t < before.t)) best = i
  }
  return best
}
