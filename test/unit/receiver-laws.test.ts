import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Handler } from '../../src/bus.js'
import type { Opened } from '../../src/crypto/sealing.js'
import { createFileSeen } from '../../src/reliability/file-seen.js'
import type { Predecessor } from '../../src/wire.js'
import { envelope, HEH, type Rig, rig, ScriptedBroker, ScriptedOpener, wire } from '../support/receiving.js'

/** What befalls the receiver between two deliveries. */
type Fault = 'none' | 'duplicate' | 'lose' | 'restart' | 'wait'

interface Life {
  /** Per lane: sizes of its envelopes, and how far each is displaced. */
  readonly lanes: readonly (readonly { size: number; shift: number }[])[]
  /** The last lane follows the first. */
  readonly chained: boolean
  readonly faults: readonly { fault: Fault; pick: number }[]
  readonly concurrency: number
  readonly prefetch: number
  readonly slow: boolean
}

const lanesOf = fc.array(
  fc.array(fc.record({ size: fc.integer({ min: 1, max: 5 }), shift: fc.integer({ min: 0, max: 3 }) }), {
    minLength: 1,
    maxLength: 12,
  }),
  { minLength: 1, maxLength: 4 },
)
const faultOf = fc.record({
  fault: fc.constantFrom<Fault>('none', 'none', 'duplicate', 'duplicate', 'lose', 'restart', 'wait'),
  pick: fc.nat(1_000),
})
const lives: fc.Arbitrary<Life> = fc.record({
  lanes: lanesOf,
  chained: fc.boolean(),
  faults: fc.array(faultOf, { minLength: 1, maxLength: 30 }),
  concurrency: fc.constantFrom(1, 2, 16),
  prefetch: fc.constantFrom(20, 1_000),
  slow: fc.boolean(),
})

const epochOf = (lane: number): string => (lane + 1).toString(16).padStart(16, '0')

/** The envelopes of one lane in the order of sending; at most 4 unconfirmed when each was sealed. */
function sealLane(life: Life, lane: number): Opened[] {
  const sizes = life.lanes[lane] ?? []
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, { size }) => sum + size, 0))
  const first = life.lanes[0] ?? []
  const lastSeq = first.reduce((sum, { size }) => sum + size, 0) - 1
  const follows = life.chained && lane > 0 && lane === life.lanes.length - 1
  const predecessor: Predecessor = { epoch: epochOf(0), lastSeq }
  return sizes.map(({ size }, i) => {
    const seq = starts[i] ?? 0
    const messages = Array.from({ length: size }, (_, k) => wire(`${lane}:${seq + k}`))
    const open = starts[Math.max(0, i - 3)] ?? 0
    return envelope(seq, messages, { from: HEH, epoch: epochOf(lane), open, ...(follows && { predecessor }) })
  })
}

/** Within a lane an envelope is overtaken by at most 3. */
function displaced<T>(items: readonly T[], shift: (index: number) => number): T[] {
  return items
    .map((item, i) => ({ item, at: i + shift(i) + i / 1e6 }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

class World {
  readonly handled: string[] = []
  readonly broker: ScriptedBroker = new ScriptedBroker()
  readonly opener: ScriptedOpener = new ScriptedOpener()
  readonly directory: string = mkdtempSync(join(tmpdir(), 'sealbus-laws-'))
  readonly life: Life
  readonly events: string[] = []
  #rig: Rig | undefined

  constructor(life: Life) {
    this.life = life
  }

  async start(): Promise<void> {
    const { concurrency, prefetch, slow } = this.life
    const seen = createFileSeen({ directory: this.directory, lingerMs: 0 })
    this.#rig = rig({ seen, prefetch }, { broker: this.broker, opener: this.opener })
    const handler: Handler = async delivery => {
      if (slow && this.handled.length % 3 === 0) await sleep(1)
      this.handled.push(delivery.text())
    }
    await this.#rig.receiver.start(handler, { concurrency })
  }

  async stop(): Promise<void> {
    await this.#rig?.receiver.stop({ graceMs: 5_000, timeoutMs: 5_000 })
    this.events.push(...(this.#rig?.names() ?? []).filter(name => name !== 'duplicate'))
  }

  async meet({ fault, pick }: { fault: Fault; pick: number }, sent: readonly Uint8Array[]): Promise<void> {
    const again = sent[pick % Math.max(1, sent.length)]
    if (fault === 'duplicate' && again) this.broker.deliver(again)
    if (fault === 'lose') this.broker.lose(this.life.prefetch)
    if (fault === 'wait') await sleep(pick % 4)
    if (fault === 'restart') {
      await this.stop()
      await this.start()
    }
  }

  async drained(): Promise<void> {
    const until = Date.now() + 8_000
    while (this.broker.unacked.size + this.broker.queue.length > 0 && Date.now() < until) await sleep(2)
    await this.stop()
    rmSync(this.directory, { recursive: true })
  }
}

async function live(life: Life): Promise<World> {
  const world = new World(life)
  const lanes = life.lanes.map((sizes, lane) => displaced(sealLane(life, lane), i => sizes[i]?.shift ?? 0))
  await world.start()
  const sent: Uint8Array[] = []
  let step = 0
  while (lanes.some(lane => lane.length > 0)) {
    const { fault = 'none', pick = 0 } = life.faults[step % life.faults.length] ?? {}
    const filled = lanes.filter(lane => lane.length > 0)
    const next = filled[(pick + step) % filled.length]?.shift()
    if (next) {
      const body = world.opener.body(next)
      sent.push(body)
      world.broker.deliver(body)
    }
    await world.meet({ fault, pick }, sent)
    step += 1
  }
  await world.drained()
  return world
}

describe('the receiver', () => {
  test('handles every message of each lane exactly once and in order, whatever the broker does and however often it restarts', async () => {
    await fc.assert(
      fc.asyncProperty(lives, async life => {
        const world = await live(life)
        for (const [lane, sizes] of life.lanes.entries()) {
          const count = sizes.reduce((sum, { size }) => sum + size, 0)
          const expected = Array.from({ length: count }, (_, seq) => `${lane}:${seq}`)
          expect(world.handled.filter(text => text.startsWith(`${lane}:`))).toEqual(expected)
        }
        expect(world.events).toEqual([])
        expect(world.broker.unacked.size + world.broker.queue.length).toBe(0)
        if (life.chained && life.lanes.length > 1) {
          const first = world.handled.findLastIndex(text => text.startsWith('0:'))
          expect(
            world.handled.findIndex(text => text.startsWith(`${life.lanes.length - 1}:`)),
          ).toBeGreaterThan(first)
        }
      }),
      { numRuns: 100, endOnFailure: false },
    )
  }, 120_000)
})
