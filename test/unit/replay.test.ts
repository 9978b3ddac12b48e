/** What an operator replays from parking is handled once; deduplication stays honest. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Opened } from '../../src/crypto/sealing.js'
import { createFileSeen } from '../../src/reliability/file-seen.js'
import { createMemorySeen } from '../../src/reliability/memory-seen.js'
import type { ReceiverOptions } from '../../src/reliability/receiver.js'
import type { SeenStore } from '../../src/reliability/seen.js'
import type { TransportDelivery } from '../../src/transport/transport.js'
import { envelope, type Rig, rig, ScriptedBroker, ScriptedOpener, turns, wire } from '../support/receiving.js'

interface ReplayRig extends Rig {
  /** Delivers a body on an operator's word; resolves true once it is acknowledged, false where it is not. */
  readonly replay: (body: Uint8Array, index?: number) => Promise<boolean>
  readonly outcomes: () => unknown[]
}

/** A receiver whose consumer also gets what is replayed. */
function replayRig(
  over: Partial<ReceiverOptions> = {},
  opener: ScriptedOpener = new ScriptedOpener(),
): ReplayRig {
  const broker = new ScriptedBroker()
  let onDelivery: (delivery: TransportDelivery) => void = () => undefined
  const transport: ReceiverOptions['transport'] = {
    consume: (listener, options) => {
      onDelivery = listener
      return broker.consume(listener, options)
    },
  }
  const made = rig({ transport, ...over }, { broker, opener })
  const replay = async (body: Uint8Array, index?: number): Promise<boolean> => {
    let isDone = false
    onDelivery({
      ...{ body, redelivered: true, claimedFrom: undefined, token: 'replay' },
      grant: index === undefined ? { id: 'r' } : { id: 'r', index },
      ack: () => {
        isDone = true
        return true
      },
      requeue: () => false,
    })
    await settled()
    return isDone
  }
  const outcomes = (): unknown[] =>
    made.events
      .filter(([name]) => name === 'replayed')
      .map(([, detail]) => (detail as { outcome: string }).outcome)
  return { ...made, replay, outcomes }
}

/** Real time: files are flushed meanwhile. */
async function settled(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 60))
  await turns()
}

/** A handler that refuses what is in `bad`, and writes down what it does not. */
function picky(bad: Set<string>): {
  texts: string[]
  handler: (delivery: { text(): string }) => void
} {
  const texts: string[] = []
  return {
    texts,
    handler: delivery => {
      if (bad.has(delivery.text())) throw new Error('no')
      texts.push(delivery.text())
    },
  }
}

const NO_RETRY = { retries: 0 }

describe('a replay', () => {
  test('lets what was parked be handled once; a second one finds a duplicate', async () => {
    const { receiver, send, replay, outcomes, parked } = replayRig()
    const bad = new Set(['m'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const body = send(envelope(0, [wire('m')]))
    await settled()
    expect([texts, parked.length]).toEqual([[], 1])
    bad.clear()
    expect(await replay(body)).toBe(true)
    expect(await replay(body)).toBe(true)
    expect(texts).toEqual(['m'])
    expect(outcomes()).toEqual(['handled', 'duplicate'])
    expect(parked).toHaveLength(1)
  })

  test('is nothing that the broker can grant: a copy of it stays a duplicate', async () => {
    const { receiver, send, broker, opener } = replayRig()
    const bad = new Set(['m'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const opened = envelope(0, [wire('m')])
    send(opened)
    await settled()
    bad.clear()
    broker.deliver(opener.body(opened))
    await settled()
    expect(texts).toEqual([])
    expect(receiver.counts).toMatchObject({ duplicate: 1 })
  })

  test('of one message of a batch touches no other', async () => {
    const { receiver, send, replay, outcomes, parked } = replayRig()
    const bad = new Set(['b', 'd'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const body = send(
      envelope(
        0,
        ['a', 'b', 'c', 'd'].map(text => wire(text)),
      ),
    )
    await settled()
    expect([texts, parked.map(each => each.index)]).toEqual([
      ['a', 'c'],
      [1, 3],
    ])
    bad.clear()
    await replay(body, 3)
    expect(texts).toEqual(['a', 'c', 'd'])
    await replay(body, 1)
    expect(texts).toEqual(['a', 'c', 'd', 'b'])
    expect(outcomes()).toEqual(['handled', 'handled'])
  })

  test('of a whole envelope runs those of its messages that were not handled', async () => {
    const { receiver, send, replay, outcomes } = replayRig()
    const bad = new Set(['b'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const body = send(
      envelope(
        0,
        ['a', 'b'].map(text => wire(text)),
      ),
    )
    await settled()
    bad.clear()
    await replay(body)
    expect(texts).toEqual(['a', 'b'])
    expect(outcomes()).toEqual(['duplicate', 'handled'])
  })

  test('that fails again is parked again, and may be replayed again', async () => {
    const { receiver, send, replay, outcomes, parked } = replayRig()
    const bad = new Set(['b'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const body = send(
      envelope(
        0,
        ['a', 'b'].map(text => wire(text)),
      ),
    )
    await settled()
    expect(await replay(body, 1)).toBe(true)
    expect(parked.map(each => each.index)).toEqual([1, 1])
    bad.clear()
    await replay(body, 1)
    expect([texts, outcomes()]).toEqual([
      ['a', 'b'],
      ['failed', 'handled'],
    ])
  })

  test('of what came too late is handled, out of its order', async () => {
    const { receiver, opener, replay, outcomes, send } = replayRig()
    const { texts, handler } = picky(new Set())
    await receiver.start(handler)
    send(envelope(5, [wire('five')], { open: 0, floor: 5 })) // the floor passes 0 to 4
    await settled()
    const late = opener.body(envelope(2, [wire('two')], { open: 0, floor: 5 }))
    await replay(late)
    expect([texts, outcomes()]).toEqual([['five', 'two'], ['handled']])
  })

  test('of a number that is used up by nobody knows what is parked again', async () => {
    let isAllowed = false
    const policy = { permit: () => (isAllowed ? {} : undefined) }
    const { receiver, send, replay, outcomes, parked } = replayRig({ policy })
    const { texts, handler } = picky(new Set())
    await receiver.start(handler)
    const body = send(envelope(0, [wire('m')]))
    await settled()
    isAllowed = true
    expect(await replay(body)).toBe(true)
    expect([texts, outcomes(), parked.length]).toEqual([[], ['not-replayed'], 2])
  })

  test('where several workers share the memory is parked again', async () => {
    const seen: SeenStore = createMemorySeen(() => undefined)
    Object.defineProperty(seen, 'kind', { value: 'shared' })
    const { receiver, send, replay, outcomes, parked } = replayRig({ seen })
    const bad = new Set(['m'])
    const { texts, handler } = picky(bad)
    await receiver.start(handler, NO_RETRY)
    const body = send(envelope(0, [wire('m')]))
    await settled()
    bad.clear()
    await replay(body)
    expect([texts, outcomes(), parked.length]).toEqual([[], ['not-replayed'], 2])
  })

  test('of what has expired is not handled', async () => {
    const { receiver, opener, replay, outcomes } = replayRig()
    const { texts, handler } = picky(new Set())
    await receiver.start(handler)
    const old = wire('old', { createdAtMs: Date.now() - 3_700_000 })
    expect(await replay(opener.body(envelope(0, [old])))).toBe(true)
    expect([texts, outcomes()]).toEqual([[], ['expired']])
  })

  test('waits, unacknowledged, where parking it again does not succeed', async () => {
    const { receiver, send, replay } = replayRig({ park: () => Promise.reject(new Error('full')) })
    await receiver.start(() => Promise.reject(new Error('no')), NO_RETRY)
    const body = send(envelope(0, [wire('m')]))
    await settled()
    expect(await replay(body)).toBe(false)
  })
})

describe('a replay and restarts', () => {
  const root = mkdtempSync(join(tmpdir(), 'sealbus-replay-'))
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  async function life(
    directory: string,
    opener: ScriptedOpener,
    work: (made: ReplayRig, texts: string[], bad: Set<string>) => Promise<void>,
  ): Promise<void> {
    const made = replayRig({ seen: createFileSeen({ directory }) }, opener)
    const bad = new Set<string>()
    const { texts, handler } = picky(bad)
    await made.receiver.start(handler, NO_RETRY)
    await work(made, texts, bad)
    await made.receiver.stop()
  }

  test('what was parked in an earlier life is handled once, over all lives', async () => {
    const directory = join(root, 'lives')
    const opener = new ScriptedOpener()
    const opened: Opened = envelope(0, [wire('m')])
    const body = opener.body(opened)
    await life(directory, opener, async ({ broker, parked }, _, bad) => {
      bad.add('m')
      broker.deliver(body)
      await settled()
      expect(parked).toHaveLength(1)
    })
    await life(directory, opener, async ({ replay, outcomes }, texts) => {
      await replay(body)
      expect([texts, outcomes()]).toEqual([['m'], ['handled']])
    })
    await life(directory, opener, async ({ replay, outcomes }, texts) => {
      await replay(body)
      expect([texts, outcomes()]).toEqual([[], ['duplicate']])
    })
  })
})
