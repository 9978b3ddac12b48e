/** How much an outbox on disk may keep, how long, and what happens when it is full. */

export interface OutboxBounds {
  /** Envelopes, 1..10 000 000. Default 250 000. n.b. each takes some 200 bytes of memory, whatever its size. */
  readonly records?: number
  /** Bytes of sealed bodies, 65 536..2^40. Default 1 GiB. n.b. the files may take twice as much, and 32 MiB. */
  readonly bytes?: number
  /** How long an envelope is kept, ms, 1 000..604 800 000. Default 604 800 000, a week: no message lives longer. */
  readonly ageMs?: number
  /**
   * What happens when it is full. Default `wait`.
   *
   * | policy | `send()` |
   * | --- | --- |
   * | `wait` | waits for room; where it is `droppable`, rejects with `buffer-full` |
   * | `reject` | rejects with `buffer-full` |
   * | `drop` | the oldest that were sent as `droppable` make way, each with an event; where there are none, it waits |
   */
  readonly whenFull?: 'wait' | 'reject' | 'drop'
}

const WEEK_MS: number = 7 * 24 * 3600 * 1000
const GIB: number = 2 ** 30

export const DEFAULT_BOUNDS: Required<OutboxBounds> = {
  records: 250_000,
  bytes: GIB,
  ageMs: WEEK_MS,
  whenFull: 'wait',
}

const RANGES: Readonly<Record<'records' | 'bytes' | 'ageMs', readonly [number, number]>> = {
  records: [1, 10_000_000],
  bytes: [65_536, 1024 * GIB],
  ageMs: [1_000, WEEK_MS],
}

/** @throws RangeError that names the bound, its range and what was given */
export function checkBounds(given: OutboxBounds): Required<OutboxBounds> {
  const bounds = { ...DEFAULT_BOUNDS, ...given }
  for (const name of ['records', 'bytes', 'ageMs'] as const) {
    const [least, most] = RANGES[name]
    if (Number.isInteger(bounds[name]) && bounds[name] >= least && bounds[name] <= most) continue
    throw new RangeError(`outbox ${name}: expected a whole number ${least}..${most}, got ${bounds[name]}`)
  }
  if (!['wait', 'reject', 'drop'].includes(bounds.whenFull))
    throw new RangeError(
      `outbox whenFull: expected wait, reject or drop, got ${JSON.stringify(bounds.whenFull)}`,
    )
  return bounds
}
