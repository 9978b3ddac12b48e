/** The options of consuming: defaults and ranges, checked once. */
import type { ConsumeOptions } from '../bus.js'

/** @throws TypeError, RangeError */
export function checkConsumeOptions(options: ConsumeOptions): Required<ConsumeOptions> {
  return {
    concurrency: inRange('concurrency', options.concurrency ?? 16, 1, 1024),
    timeoutMs: inRange('timeoutMs', options.timeoutMs ?? 30_000, 1, 2 ** 31 - 1),
    retries: inRange('retries', options.retries ?? 2, 0, 10),
  }
}

/** The prefetch, bodies. Default 1 000. @throws TypeError, RangeError */
export function checkPrefetch(prefetch = 1_000): number {
  return inRange('prefetch', prefetch, 1, 65_535)
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value)) throw new TypeError(`${name}: expected an integer, got ${value}`)
  if (value < least || value > most) throw new RangeError(`${name}: expected ${least}..${most}, got ${value}`)
  return value
}
