import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SealbusError } from '../../src/errors.js'
import { backoff } from '../../src/reliability/backoff.js'
import { retry } from '../../src/reliability/retry.js'

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

function failing(error: () => Error, times: number): () => Promise<number> {
  let runs = 0
  return () => (++runs <= times ? Promise.reject(error()) : Promise.resolve(runs))
}

const lost = (): Error => new SealbusError('connection-lost', 'lost')

describe('retry', () => {
  it('runs again with full jitter while the error says that it may help', async () => {
    const delays: number[] = []
    const policy = {
      retries: 5,
      onRetry: (_error: Error, _attempt: number, delayMs: number) => delays.push(delayMs),
    }
    const result = retry(failing(lost, 3), policy)
    await vi.runAllTimersAsync()
    expect(await result).toBe(4)
    expect(delays).toEqual([25, 50, 100])
  })

  it('gives up after the retries with the last error', async () => {
    const result = retry(failing(lost, 9), { retries: 2 })
    const seen = expect(result).rejects.toMatchObject({ code: 'connection-lost' })
    await vi.runAllTimersAsync()
    await seen
  })

  it('runs once when the error is final', async () => {
    const operation = vi.fn(() => Promise.reject(new SealbusError('not-permitted', 'no')))
    await expect(retry(operation, { retries: 5 })).rejects.toMatchObject({ code: 'not-permitted' })
    expect(operation).toHaveBeenCalledOnce()
  })

  it('takes a TypeError for a mistake in the program: final', async () => {
    const operation = vi.fn(() => Promise.reject(new TypeError('x is not a function')))
    await expect(retry(operation, { retries: 5 })).rejects.toThrow(TypeError)
    expect(operation).toHaveBeenCalledOnce()
  })

  it('retries errors of others, which say nothing', async () => {
    const result = retry(
      failing(() => new Error('flaky'), 1),
      { retries: 1 },
    )
    await vi.runAllTimersAsync()
    expect(await result).toBe(2)
  })

  it('ends its wait when the signal fires, with its reason', async () => {
    const abort = new AbortController()
    const pause = backoff({ firstMs: 10_000, maxMs: 10_000, jitter: 'half' })
    const result = retry(failing(lost, 9), { retries: 5, signal: abort.signal, backoff: pause })
    const seen = expect(result).rejects.toThrow('enough')
    await vi.advanceTimersByTimeAsync(100)
    abort.abort(new Error('enough'))
    await seen
    expect(vi.getTimerCount()).toBe(0)
  })
})
