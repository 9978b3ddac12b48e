/** An epoch as fields of a Redis hash (shared-seen-scripts.ts), and back. */
import type { EpochKey, EpochRecord } from './seen.js'

/** Fields and values by turns, with the rings that bound hashes and parked numbers. */
export function epochFields(record: EpochRecord): string[] {
  const fields: [string, number | string][] = [
    ['start', record.start],
    ['next', record.next],
    ['floor', record.floor],
    ['hashes', record.hashes.length],
    ['parkeds', record.parked.length],
    ...record.beyond.map((seq): [string, number] => [`u${seq}`, 1]),
    ...record.skipped.map((seq): [string, number] => [`s${seq}`, 1]),
    ...record.parked.flatMap((seq, i): [string, number][] => [
      [`p${seq}`, 1],
      [`q${(i + 1) % 1024}`, seq],
    ]),
    ...record.hashes.flatMap(([seq, hash], i): [string, number | string][] => [
      [`h${seq}`, hash],
      [`r${(i + 1) % 64}`, seq],
    ]),
  ]
  return fields.flatMap(([field, value]) => [field, String(value)])
}

/** The inverse; undefined where there is nothing. */
export function parseEpochFields(key: EpochKey, flat: readonly unknown[]): EpochRecord | undefined {
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]))
  const start = fields.get('start')
  if (start === undefined) return undefined
  const listed = (letter: string): [number, string][] =>
    [...fields]
      .filter(([name]) => name.startsWith(letter) && /^\d+$/.test(name.slice(1)))
      .map(([name, value]): [number, string] => [Number(name.slice(1)), value])
      .sort(([a], [b]) => a - b)
  const numbers = (letter: string): number[] => listed(letter).map(([seq]) => seq)
  const { domain, address, epoch } = key
  return {
    ...{ domain, address, epoch },
    ...{ start: Number(start), next: Number(fields.get('next')), floor: Number(fields.get('floor') ?? 0) },
    ...{ beyond: numbers('u'), skipped: numbers('s'), parked: numbers('p'), hashes: listed('h') },
    lastCreatedAtMs: 0,
  }
}
