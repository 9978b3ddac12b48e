import { describe, expect, test } from 'vitest'
import { AwaitingReceipts } from '../../src/reliability/awaiting-receipts.js'
import { type Entry, entryOf } from '../../src/reliability/entry.js'
import type { SendingLane } from '../../src/reliability/sending-lane.js'

const lane = JSON.parse('{ "to": { "domain": "field", "address": "heh-0001" } }') as SendingLane
const DAY_MS = 24 * 3600_000

function entry(seq: number): Entry {
  const record = { epoch: '00112233445566aa', seq, count: 1, expiresAtMs: DAY_MS, untilHandled: true }
  return entryOf({ record: record as Entry['record'], body: undefined, awaiting: [seq] })
}

describe('envelopes that wait for receipts', () => {
  test('are put off one by one in no time, however many they are', () => {
    const awaiting = new AwaitingReceipts()
    const entries = Array.from({ length: 20_000 }, (_, seq) => entry(seq))
    for (const one of entries) {
      awaiting.expect(lane, one)
      awaiting.keep(one, 0)
    }
    const startedAt = performance.now()
    for (const one of entries) awaiting.putOff(one, 90_000)
    expect(performance.now() - startedAt).toBeLessThan(500)
    expect(awaiting.due(89_999)).toHaveLength(0)
    expect(awaiting.due(90_000)).toHaveLength(20_000)
  })
})
