import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Entry, nowMs, openLedger, readLedger } from '../../chaos/ledger.js'
import { seededRandom } from '../../chaos/random.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealbus-ledger-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const entry = (n: number): Entry => ({ kind: 'handled', t: nowMs(), lane: 'a>b', n, from: 'a' })

describe('a ledger', () => {
  it('gives back what was written, in order, also after being opened again', () => {
    const file = join(folder, 'a.jsonl')
    const written = [0, 1, 2].map(entry)
    for (const each of written) {
      const ledger = openLedger(file)
      ledger.write(each)
      ledger.close()
    }
    expect(readLedger(file)).toEqual(written)
  })

  it('has each line on disk when write returns', () => {
    const file = join(folder, 'a.jsonl')
    const ledger = openLedger(file)
    ledger.write(entry(0))
    expect(readLedger(file)).toHaveLength(1)
    ledger.close()
    ledger.close()
  })

  it('leaves out a torn last line, and refuses damage elsewhere', () => {
    const file = join(folder, 'a.jsonl')
    const ledger = openLedger(file)
    ledger.write(entry(0))
    appendFileSync(file, '{"kind":"hand')
    expect(readLedger(file)).toHaveLength(1)
    appendFileSync(file, '\n{}\n')
    expect(() => readLedger(file)).toThrow(/a.jsonl:2: expected one JSON object/)
    ledger.close()
  })

  it('is empty where nothing was written', () => {
    expect(readLedger(join(folder, 'none'))).toEqual([])
  })
})

describe('randomness from a seed', () => {
  it('draws the same again, another seed or label something else', () => {
    const draw = (seed: string): number[] => {
      const random = seededRandom(seed)
      return [random.next(), random.int(0, 1e9), ...random.shuffle([1, 2, 3, 4, 5, 6, 7, 8])]
    }
    expect(draw('s')).toEqual(draw('s'))
    expect(draw('s')).not.toEqual(draw('t'))
    const random = seededRandom('s')
    expect(random.fork('a').next()).not.toBe(random.fork('b').next())
    random.next()
    expect(random.fork('a').next()).toBe(seededRandom('s').fork('a').next())
  })

  it('stays in its range and reaches both ends of it', () => {
    const random = seededRandom('range')
    const drawn = Array.from({ length: 300 }, () => random.int(-1, 2))
    expect([...new Set(drawn)].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2])
    expect(() => random.int(2, 1)).toThrow(RangeError)
    expect(() => random.pick([])).toThrow(RangeError)
  })
})
