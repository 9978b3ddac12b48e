import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Claim, Claims } from '../../src/reliability/claims.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const KEY = { domain: 'field', address: 'heh-0001', epoch: '00112233445566aa' }
const claim = (seq: number): Claim => ({
  key: KEY,
  seq,
  name: `c:${seq}`,
  token: `t${seq}`,
  overtaken: false,
})

function held(taken: readonly number[] = []): { claims: Claims; renewed: number[][]; overtaken: number[] } {
  const renewed: number[][] = []
  const overtaken: number[] = []
  const claims = new Claims('worker', {
    leaseMs: 1_000,
    renew: some => {
      renewed.push(some.map(({ seq }) => seq))
      return Promise.resolve(some.flatMap(({ seq }, i) => (taken.includes(seq) ? [i] : [])))
    },
    overtaken: ({ seq }) => overtaken.push(seq),
  })
  return { claims, renewed, overtaken }
}

test('claims are renewed four times within a lease, until they are dropped', async () => {
  const { claims, renewed } = held()
  claims.add(claim(1))
  const second = claim(2)
  claims.add(second)
  await vi.advanceTimersByTimeAsync(500)
  claims.drop(second)
  await vi.advanceTimersByTimeAsync(500)
  expect(renewed).toEqual([[1, 2], [1, 2], [1], [1]])
  claims.stop()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(renewed).toHaveLength(4)
})

test('a claim that another has is told once', async () => {
  const { claims, overtaken } = held([2])
  claims.add(claim(1))
  claims.add(claim(2))
  await vi.advanceTimersByTimeAsync(2_000)
  expect(overtaken).toEqual([2])
  claims.stop()
})

test('many claims are renewed in several requests', async () => {
  const { claims, renewed } = held()
  for (let seq = 0; seq < 300; seq++) claims.add(claim(seq))
  await vi.advanceTimersByTimeAsync(250)
  expect(renewed.map(({ length }) => length)).toEqual([256, 44])
  claims.stop()
})

test('no two claims have one token', () => {
  const { claims } = held()
  expect(claims.token()).not.toBe(claims.token())
})
