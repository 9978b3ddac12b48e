/**
 * What happened, written down at once and never changed: one file of JSON lines for each process of the load.
 * A line that was written survives the death of its process (the kernel has it), so a ledger is evidence, not memory.
 * Times are ms since the epoch with fractions, from each process's monotonic clock: comparable on one machine.
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'

/** One lane of the load: `sender>recipient#priority`, in one life of the sender's process. */
export type LaneName = string

/** The caller gave message `n` to `send()`; by `deadline` its promise must have settled. */
export interface Sent {
  readonly kind: 'sent'
  readonly t: number
  readonly lane: LaneName
  readonly n: number
  readonly deadline: number
}

/** `send()` resolved: from here on the message must not be lost. `epoch` and `seq` tie it to events about it. */
export interface Resolved {
  readonly kind: 'resolved'
  readonly t: number
  readonly lane: LaneName
  readonly n: number
  readonly epoch: string
  readonly seq: number
}

/** `send()` rejected. Outcome unknown is not failure: the message may still be handled. */
export interface Rejected {
  readonly kind: 'rejected'
  readonly t: number
  readonly lane: LaneName
  readonly n: number
  readonly code: string
}

/** A handler ran to its end: this line is its effect. */
export interface Handled {
  readonly kind: 'handled'
  readonly t: number
  readonly lane: LaneName
  readonly n: number
  /** Address that the bus authenticated. */
  readonly from: string
}

/** A message ended in a place with a name. */
export interface Placed {
  readonly kind: 'placed'
  readonly t: number
  readonly place: string
  readonly epoch: string
  readonly seq: number
}

/** Anything that a bus told. */
export interface Told {
  readonly kind: 'event'
  readonly t: number
  readonly party: string
  readonly name: string
  readonly detail?: unknown
}

/** A process of the load was ended on purpose: what its lanes had not settled is nobody's promise any more. */
export interface Ended {
  readonly kind: 'ended'
  readonly t: number
  readonly process: string
  /** Those that it sent in this life. */
  readonly lanes: readonly LaneName[]
}

/**
 * What happens to a handler.
 *
 * | mishap | |
 * | --- | --- |
 * | `die-in-handler` | the process is killed before the effect |
 * | `die-after-handler` | the process is killed after the effect, before the bus knows that the handler has ended |
 * | `poison` | the message kills the process before the effect, each time it comes, in later lives too |
 * | `hang` | the handler never ends, and has no effect |
 * | `fail` | the handler throws, each time that this message comes |
 */
export type Mishap = 'die-in-handler' | 'die-after-handler' | 'poison' | 'hang' | 'fail'

/** Something was made to happen to the handler of this message. */
export interface MishapTaken {
  readonly kind: 'mishap'
  readonly t: number
  readonly lane: LaneName
  readonly n: number
  readonly is: Mishap
}

/** What must never happen in a process of the load. */
export interface Fatal {
  readonly kind: 'fatal'
  readonly t: number
  readonly what: 'unhandled-rejection' | 'uncaught-exception' | 'exit' | 'hung' | 'order-failed'
  readonly message: string
}

/** A sample of a process's memory. */
export interface MemorySample {
  readonly kind: 'memory'
  readonly t: number
  readonly process: string
  readonly rssBytes: number
  readonly heapBytes: number
  /** Open resources by kind: `Timeout`, `TCPSocketWrap`. */
  readonly resources?: Readonly<Record<string, number>>
  /** Of everything open that emits events. */
  readonly listeners?: number
}

export type Entry =
  | Sent
  | Resolved
  | Rejected
  | Handled
  | Placed
  | Told
  | Fatal
  | MemorySample
  | Ended
  | MishapTaken

/** Ms since the epoch, with fractions; does not jump when the clock is set. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** A ledger that is being written. */
export interface Ledger {
  /** Returns when the kernel has the line. */
  write(entry: Entry): void
  close(): void
}

/** Opens a ledger for appending. */
export function openLedger(file: string): Ledger {
  let fd: number | undefined = openSync(file, 'a')
  return {
    write(entry) {
      if (fd !== undefined) writeSync(fd, `${JSON.stringify(entry)}\n`)
    },
    close() {
      if (fd !== undefined) closeSync(fd)
      fd = undefined
    },
  }
}

/**
 * Reads a ledger, in the order of writing. A torn last line (its writer was killed) is left out.
 * @throws Error for damage anywhere else: evidence that cannot be read must not count as a pass
 */
export function readLedger(file: string): Entry[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  lines.pop() // what follows the last line feed: nothing, or the torn line
  return lines.map((line, i) => parseLine(line, `${file}:${i + 1}`))
}

function parseLine(line: string, where: string): Entry {
  try {
    return JSON.parse(line) as Entry
  } catch (cause) {
    throw new Error(`${where}: expected one JSON object, got ${line.slice(0, 80)}`, { cause })
  }
}
