import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { definitions } from '../../pki/definitions.js'
import { parseConfigFile } from '../../src/config-file.js'
import type { Generation } from '../../src/transport/generation.js'
import { keepPartitions } from '../../src/transport/partitions.js'
import { rabbitTransport } from '../../src/transport/rabbitmq.js'
import { names } from '../../src/transport/topology.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface Rig {
  readonly counts: Map<string, number>
  readonly steps: string[]
  /** The owner has come, and waits behind us. */
  waits: boolean
  readonly die: () => void
}

/** Looks after the queue `b` of another; `counts` is what the broker sees. */
function keeper(refuse = false): Rig {
  const counts = new Map([['b', 1]])
  const steps: string[] = []
  let die = (): void => undefined
  const dead = new Promise<Error | undefined>(resolve => {
    die = () => resolve(undefined)
  })
  const count = (by: number): void => void counts.set('b', (counts.get('b') ?? 0) + by)
  const rig: Rig = { counts, steps, die, waits: false }
  const generation = {
    dead,
    alive: true,
    consume: (queue: string, prefetch: number) => {
      steps.push(`consume ${queue} ${prefetch}`)
      count(1)
      return Promise.resolve()
    },
    cancel: (queue: string) => {
      steps.push(`cancel ${queue}`)
      if (!rig.waits) count(-1)
      return Promise.resolve()
    },
  } as unknown as Generation
  void keepPartitions({
    ...{ generation, others: ['b'], prefetch: 7 },
    consumers: queue => (refuse ? Promise.reject(new Error('403')) : Promise.resolve(counts.get(queue) ?? 0)),
    event: ({ name }) => steps.push(name),
  })
  return rig
}

describe('the queue of another worker', () => {
  test('is left alone while it has a consumer', async () => {
    const { steps } = keeper()
    await vi.advanceTimersByTimeAsync(20_000)
    expect(steps).toEqual([])
  })

  test('is taken within two seconds of losing its consumer, and given back when its owner has come', async () => {
    const rig = keeper()
    rig.counts.set('b', 0)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(rig.steps).toEqual(['consume b 7', 'partition-taken'])
    rig.waits = true
    await vi.advanceTimersByTimeAsync(8_000)
    expect(rig.steps.slice(2)).toEqual(['cancel b', 'partition-given-back'])
    expect(rig.counts.get('b')).toBe(1)
  })

  test('is ours again at once when we give way and nobody waits', async () => {
    const { counts, steps } = keeper()
    counts.set('b', 0)
    await vi.advanceTimersByTimeAsync(9_000)
    expect(steps).toEqual(['consume b 7', 'partition-taken', 'cancel b', 'consume b 7'])
  })

  test('is left alone, with one event, where the broker will not say who consumes', async () => {
    const { steps } = keeper(true)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(steps).toEqual(['partition-unseen'])
  })

  test('is not looked at any more once the channel is dead', async () => {
    const { counts, steps, die } = keeper()
    die()
    counts.set('b', 0)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(steps).toEqual([])
  })
})

describe('a divided inbox', () => {
  test('has a queue for each part', () => {
    expect(names('vpp', 'sealbus', 3)).toMatchObject({
      inbox: 'inbox.vpp',
      queues: ['inbox.vpp.1', 'inbox.vpp.2', 'inbox.vpp.3'],
    })
    expect(names('vpp', 'sealbus').queues).toEqual(['inbox.vpp'])
  })

  test('comes from the definitions with exchange, queues and bindings, and rights on them', () => {
    const user = { name: 'vpp', inbox: 'quorum' as const, declare: false, revoked: false, partitions: 2 }
    const { exchanges, queues, bindings, permissions } = JSON.parse(definitions([user])) as Record<
      string,
      {
        name: string
        type?: string
        source?: string
        destination?: string
        routing_key?: string
        read?: string
      }[]
    >
    expect(exchanges).toContainEqual(
      expect.objectContaining({ name: 'inbox.vpp', type: 'x-consistent-hash' }),
    )
    expect(queues?.map(({ name }) => name)).toEqual(['inbox.vpp.1', 'inbox.vpp.2', 'parked.vpp'])
    expect(
      bindings?.map(({ source, destination, routing_key }) => [source, destination, routing_key]),
    ).toEqual([
      ['inbox.vpp', 'inbox.vpp.1', '1'],
      ['inbox.vpp', 'inbox.vpp.2', '1'],
      ['sealbus', 'inbox.vpp', 'vpp.*'],
      ['sealbus.parked', 'parked.vpp', 'vpp.*'],
    ])
    const may = new RegExp(permissions?.[0]?.read ?? '')
    expect(
      ['inbox.vpp.1', 'inbox.vpp.12', 'inbox.vpp', 'inbox.vpp2', 'inbox.vpp.x'].map(name => may.test(name)),
    ).toEqual([true, true, true, false, false])
  })

  test('is a quorum inbox, in config.json and in the options', () => {
    const config = (inbox: object): string =>
      JSON.stringify({
        ...{ version: 1, address: 'vpp', brokers: [], vhost: 'sealbus', exchange: 'sealbus' },
        ...{ directory: [], seen: 'memory', inbox },
      })
    expect(parseConfigFile(config({ kind: 'quorum', declare: true, partitions: 4 })).inbox.partitions).toBe(4)
    expect(() => parseConfigFile(config({ kind: 'classic', declare: true, partitions: 4 }))).toThrow(
      'partitions',
    )
    expect(() => parseConfigFile(config({ kind: 'quorum', declare: true, partitions: 1 }))).toThrow(
      'partitions',
    )
    const options = { brokers: ['amqps://localhost'], address: 'vpp', tls: () => Promise.resolve({ ca: '' }) }
    const divided = { kind: 'quorum', declare: true, partitions: 2 } as const
    expect(() => rabbitTransport({ ...options, inbox: divided, partition: 3 })).toThrow(RangeError)
    expect(() => rabbitTransport({ ...options, inbox: { ...divided, kind: 'classic' } })).toThrow(RangeError)
  })
})
