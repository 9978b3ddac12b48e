import { describe, expect, test } from 'vitest'
import { Backoff } from '../../src/transport/backoff.js'
import { Endpoints, parseBroker } from '../../src/transport/endpoints.js'

describe('the endpoint of the next attempt', () => {
  const urls = ['amqps://one', 'amqps://two:5000', 'amqps://[::1]']
  const dns: Record<string, string[]> = { one: ['10.0.0.1', '10.0.0.2'], two: ['10.0.0.3'] }
  const resolve = (host: string): Promise<string[]> =>
    dns[host] === undefined ? Promise.reject(new Error(`ENOTFOUND ${host}`)) : Promise.resolve(dns[host])
  const clock = { now: 0 }
  const make = (brokers: ConstructorParameters<typeof Endpoints>[0] = urls): Endpoints =>
    new Endpoints(brokers, false, resolve, () => clock.now)

  test('every address of every name has its turn', async () => {
    const endpoints = make()
    const seen = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const { host, address, port } = await endpoints.next()
      seen.add(`${host} ${address} ${port}`)
    }
    expect([...seen].sort()).toEqual([
      '::1 ::1 5671',
      'one 10.0.0.1 5671',
      'one 10.0.0.2 5671',
      'two 10.0.0.3 5000',
    ])
  })

  test('a bad one waits: 1 s, then 2 s, until it was good again', async () => {
    const endpoints = make(['amqps://one'])
    const bad = { host: 'one', address: '10.0.0.1', port: 5671, tls: true }
    const often = async (): Promise<boolean> => {
      const seen = []
      for (let i = 0; i < 50; i++) seen.push((await endpoints.next()).address)
      return seen.includes('10.0.0.1')
    }
    endpoints.bad(bad)
    expect(await often()).toBe(false)
    clock.now += 1_001
    expect(await often()).toBe(true)
    endpoints.bad(bad)
    clock.now += 1_001
    expect(await often()).toBe(false)
    endpoints.good(bad)
    expect(await often()).toBe(true)
  })

  test('when all are bad, the one whose penalty ends first is tried', async () => {
    const endpoints = make(['amqps://one'])
    for (const address of ['10.0.0.2', '10.0.0.1', '10.0.0.1']) {
      endpoints.bad({ host: 'one', address, port: 5671, tls: true })
    }
    expect((await endpoints.next()).address).toBe('10.0.0.2')
  })

  test('a name that does not resolve is left out, unless none does', async () => {
    expect((await make(['amqps://gone', 'amqps://two']).next()).host).toBe('two')
    await expect(make(['amqps://gone']).next()).rejects.toThrow('ENOTFOUND')
  })

  test('a provider is asked before each attempt', async () => {
    const lists = [['amqps://one'], ['amqps://two']]
    const endpoints = make(() => Promise.resolve(lists.shift() ?? []))
    expect((await endpoints.next()).host).toBe('one')
    expect((await endpoints.next()).host).toBe('two')
    await expect(endpoints.next()).rejects.toMatchObject({ code: 'configuration' })
  })

  test('plaintext has to be allowed', () => {
    expect(() => parseBroker('amqp://one', false)).toThrow('allowPlaintext')
    expect(parseBroker('amqp://one', true)).toEqual({ host: 'one', port: 5672, tls: false })
  })
})

describe('the pause before the next attempt', () => {
  test('full jitter: its ceiling doubles from 50 ms to 5 s with failures, and starts anew after a loss', () => {
    const backoff = new Backoff(() => 1)
    const failed = Array.from({ length: 9 }, () => backoff.failed())
    expect(failed).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
    expect([backoff.lost(1_000), backoff.lost(1_000), backoff.failed()]).toEqual([50, 50, 50])
    expect([backoff.lost(999), backoff.lost(0), backoff.lost(1_000)]).toEqual([100, 200, 50])
    expect(new Backoff(() => 0).failed()).toBe(0)
    const patient = new Backoff(() => 1, 60_000)
    expect(Array.from({ length: 13 }, () => patient.failed()).slice(-3)).toEqual([51_200, 60_000, 60_000])
    expect(Array.from({ length: 8 }, () => patient.refused()).at(-1)).toBe(60_000)
  })

  test('a refusal is asked again slowly: half fixed, half jitter, 1 s to 5 s', () => {
    const slowest = new Backoff(() => 1)
    expect(Array.from({ length: 4 }, () => slowest.refused())).toEqual([1_000, 2_000, 4_000, 5_000])
    expect(new Backoff(() => 0).refused()).toBe(500)
  })
})
