import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Patience } from '../../src/reliability/patience.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function told(): { patience: Patience; words: string[] } {
  const patience = new Patience('the store')
  const words: string[] = []
  patience.tell({
    waiting: reason => words.push(`waiting: ${reason.message}`),
    resumed: () => words.push('resumed'),
  })
  return { patience, words }
}

test('a store that does not answer is asked again, and both is told once', async () => {
  const { patience, words } = told()
  const attempts: number[] = []
  const answer = patience.until(attempt => {
    attempts.push(attempt)
    return attempt < 3 ? Promise.reject(new Error('away')) : Promise.resolve('here')
  })
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await answer).toBe('here')
  expect(attempts).toEqual([0, 1, 2, 3])
  expect(words).toEqual(['waiting: away', 'resumed'])
})

test('an answer that takes its time is told after 2 s', async () => {
  const { patience, words } = told()
  const answer = patience.until(() => new Promise(resolve => setTimeout(resolve, 3_000, 'late')))
  await vi.advanceTimersByTimeAsync(2_500)
  expect(words).toEqual(['waiting: no answer for 2000 ms'])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await answer).toBe('late')
  expect(words).toHaveLength(2)
})

test('what asking again will not mend ends it', async () => {
  const { patience } = told()
  const asking = patience.until(
    () => Promise.reject(new Error('forbidden')),
    error => error.message === 'forbidden',
  )
  await expect(asking).rejects.toThrow('forbidden')
})

test('closing ends all waiting, an answer that never comes included', async () => {
  const { patience } = told()
  const failing = patience.until(() => Promise.reject(new Error('away')))
  const silent = patience.until(() => new Promise(() => undefined))
  const ends = Promise.allSettled([failing, silent, patience.sleep(1e9)])
  await vi.advanceTimersByTimeAsync(100)
  patience.stop()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(await ends).toMatchObject([
    { status: 'rejected', reason: { code: 'closed' } },
    { status: 'rejected', reason: { code: 'closed' } },
    { status: 'fulfilled' },
  ])
  await expect(patience.until(() => Promise.resolve('late'))).rejects.toMatchObject({ code: 'closed' })
})
