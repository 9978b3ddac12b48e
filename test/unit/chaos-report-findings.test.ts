import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inOrder, nothingBroke, nothingLost, onceEach } from '../../chaos/invariants.js'
import type { Entry } from '../../chaos/ledger.js'
import { FindingsMaker } from '../../chaos/report-findings.js'
import type { NamedMessages } from '../../chaos/report-model.js'
import { NumberSet } from '../../chaos/report-numbers.js'
import { EPOCH, flow, LANE, TERMS } from '../support/chaos-entries.js'

function find(entries: readonly Entry[], allowedRejections = TERMS.allowedRejections): NamedMessages[] {
  const maker = new FindingsMaker()
  for (const entry of entries.toSorted((a, b) => a.t - b.t)) maker.take(entry)
  return maker.finish(0, { ...TERMS, allowedRejections })
}

const without = (kind: Entry['kind'], ...numbers: number[]): Entry[] =>
  flow(20).filter(entry => !(entry.kind === kind && 'n' in entry && numbers.includes(entry.n)))

describe('each message that broke a promise', () => {
  it('is named with its lane, its numbers and where send() told it', () => {
    expect(find(without('handled', 3, 4, 5, 9))).toEqual([
      { what: 'lost', lane: LANE, fromN: 3, toN: 5, epoch: EPOCH, fromSeq: 8, toSeq: 10, atMs: 310 },
      { what: 'lost', lane: LANE, fromN: 9, toN: 9, epoch: EPOCH, fromSeq: 14, toSeq: 14, atMs: 910 },
    ])
  })

  it('is nobody where all went well', () => {
    expect(find(flow(50))).toEqual([])
  })

  it('is not lost when it ended in a place with a name', () => {
    const placed: Entry = { kind: 'placed', t: 5_000, place: 'parked', epoch: EPOCH, seq: 8 }
    expect(find([...without('handled', 3), placed])).toEqual([])
  })

  it('is not lost when its handling was written down before its confirm', () => {
    const entries = flow(5).map(entry => (entry.kind === 'resolved' ? { ...entry, t: entry.t + 50 } : entry))
    expect(find(entries)).toEqual([])
  })

  it('is duplicated at its second effect, however late', () => {
    const again: Entry = { kind: 'handled', t: 90_000, lane: LANE, n: 2, from: 'heh-1' }
    expect(find([...flow(800), again])).toEqual([
      { what: 'duplicated', lane: LANE, fromN: 2, toN: 2, epoch: EPOCH, fromSeq: 7, toSeq: 7, atMs: 90_000 },
    ])
  })

  it('is reordered when a later one was handled before it', () => {
    const entries = flow(20).map(entry =>
      entry.kind === 'handled' && entry.n === 4 ? { ...entry, t: entry.t + 250 } : entry,
    )
    expect(find(entries)).toMatchObject([{ what: 'reordered', fromN: 4, toN: 4, atMs: 670 }])
  })

  it('is pending past its deadline, or rejected with a code that is not allowed', () => {
    const rejected: Entry = { kind: 'rejected', t: 750, lane: LANE, n: 7, code: 'buffer-full' }
    const entries = [...without('resolved', 3, 7), rejected]
    expect(find(entries)).toMatchObject([
      { what: 'pending', fromN: 3 },
      { what: 'rejected', fromN: 7, code: 'buffer-full' },
    ])
    expect(find(entries, new Set(['buffer-full']))).toMatchObject([{ what: 'pending' }])
  })

  it('is no promise any more once its sender was ended on purpose', () => {
    const ended: Entry = { kind: 'ended', t: 9_000, process: 'hubs', lanes: [LANE] }
    expect(find([...without('resolved', 3), ended])).toEqual([])
    expect(find([...without('handled', 3), ended])).toMatchObject([{ what: 'lost', fromN: 3 }])
  })

  it('keeps its epoch when a lane went on in another one', () => {
    const entries = without('handled', 4, 15).map(entry =>
      entry.kind === 'resolved' && entry.n >= 10
        ? { ...entry, epoch: 'ffffffffffffffff', seq: entry.n - 10 }
        : entry,
    )
    expect(find(entries)).toMatchObject([
      { fromN: 4, epoch: EPOCH, fromSeq: 9 },
      { fromN: 15, epoch: 'ffffffffffffffff', fromSeq: 5 },
    ])
  })

  it('is found exactly where the judge finds a violation', () => {
    const kinds = fc.constantFrom('sent', 'resolved', 'rejected', 'handled', 'placed', 'ended')
    const entry = fc
      .record({ kind: kinds, n: fc.nat(6), lane: fc.constantFrom('a>b#report', 'b>a#report') })
      .map(({ kind, n, lane }): Omit<Entry, 't'> => {
        if (kind === 'sent') return { kind, lane, n, deadline: 10 } as Omit<Entry, 't'>
        if (kind === 'resolved') return { kind, lane, n, epoch: lane, seq: n } as Omit<Entry, 't'>
        if (kind === 'rejected') return { kind, lane, n, code: 'closed' } as Omit<Entry, 't'>
        if (kind === 'placed') return { kind, place: 'parked', epoch: lane, seq: n } as Omit<Entry, 't'>
        if (kind === 'ended') return { kind, process: 'p', lanes: [lane] } as Omit<Entry, 't'>
        return { kind, lane, n, from: 'a' } as Omit<Entry, 't'>
      })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), drawn => {
        const entries = drawn.map((each, t) => ({ ...each, t }) as Entry)
        const judged = [
          ...nothingLost(entries),
          ...onceEach(entries),
          ...inOrder(entries),
          ...nothingBroke(entries, TERMS),
        ]
        const found = find(entries)
        const key = (invariant: string, lane: string): string => `${invariant} ${lane}`
        const invariants = { lost: 'I1', duplicated: 'I2', reordered: 'I3', pending: 'I4', rejected: 'I4' }
        expect(new Set(found.map(({ what, lane }) => key(invariants[what], lane)))).toEqual(
          new Set(judged.map(({ invariant, message }) => key(invariant, message.split(':')[0] ?? ''))),
        )
      }),
    )
  })
})

describe('a set of numbers', () => {
  it('says of each number whether it was there, in any order of coming', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30)), numbers => {
        const set = new NumberSet()
        const plain = new Set<number>()
        for (const n of numbers) {
          expect(set.has(n)).toBe(plain.has(n))
          expect(set.add(n)).toBe(!plain.has(n))
          plain.add(n)
        }
      }),
    )
  })
})
