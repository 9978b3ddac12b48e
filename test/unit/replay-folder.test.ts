/** Bodies that an operator took out of parking stay in the folder until they are final. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { putReplay, ReplayFolder, waitingReplays } from '../../src/replay-folder.js'
import { replayingTransport } from '../../src/replaying-transport.js'
import type { Transport, TransportDelivery } from '../../src/transport/transport.js'

const root = mkdtempSync(join(tmpdir(), 'sealbus-replay-folder-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const ID = '00112233445566aa'
const started: ReplayFolder[] = []
let state = ''
let told: string[] = []

beforeEach(() => {
  state = mkdtempSync(join(root, 'state-'))
  told = []
})
afterEach(async () => {
  for (const folder of started.splice(0)) await folder.stop()
})

/** Starts a folder; what it hands out is collected. */
function watched(): { folder: ReplayFolder; got: TransportDelivery[] } {
  const got: TransportDelivery[] = []
  const folder = new ReplayFolder(state, event => told.push(event))
  started.push(folder)
  folder.start(delivery => got.push(delivery))
  return { folder, got }
}

const until = (condition: () => boolean | Promise<boolean>): Promise<unknown> =>
  vi.waitUntil(condition, { timeout: 10_000, interval: 10 })

describe('the replay folder', () => {
  it('hands a body out with its grant, once, and forgets it when it is acknowledged', async () => {
    await putReplay(state, { id: `${ID}-3`, index: 3 }, Uint8Array.of(1, 2, 3))
    const { folder, got } = watched()
    await until(() => got.length === 1)
    expect(got[0]).toMatchObject({ body: Uint8Array.of(1, 2, 3), grant: { id: `${ID}-3`, index: 3 } })
    folder.look()
    await folder.stop()
    expect(got).toHaveLength(1)
    expect(await waitingReplays(state)).toEqual([`${ID}-3`])
    got[0]?.ack()
    await until(async () => (await waitingReplays(state)).length === 0)
  })

  it('hands out what comes while it watches', async () => {
    const { got } = watched()
    await putReplay(state, { id: ID }, Uint8Array.of(1))
    await until(() => got.length === 1)
    expect(got[0]?.grant).toEqual({ id: ID })
  })

  it('hands it out again where the receiver dropped it, and to the next process', async () => {
    await putReplay(state, { id: ID }, Uint8Array.of(1))
    const { folder, got } = watched()
    await until(() => got.length === 1)
    folder.lost()
    folder.look()
    await until(() => got.length === 2)
    const next = watched()
    await until(() => next.got.length === 1)
  })

  it('hands out no more than sixteen at once', async () => {
    for (let i = 0; i < 20; i++)
      await putReplay(state, { id: i.toString(16).padStart(16, '0') }, Uint8Array.of(i))
    const { folder, got } = watched()
    await until(() => got.length === 16)
    folder.look()
    await folder.stop()
    expect(got).toHaveLength(16)
  })

  it('takes nothing for a grant but its own files', async () => {
    await putReplay(state, { id: ID }, Uint8Array.of(1))
    for (const name of ['.draft', 'x.sealed', `${ID}.sealed.bak`, `${ID}-99999.sealed`])
      writeFileSync(join(state, 'replay', name), 'x')
    const { folder, got } = watched()
    await until(() => got.length > 0)
    folder.look()
    await folder.stop()
    expect(got.map(({ grant }) => grant?.id)).toEqual([ID])
    expect(readdirSync(join(state, 'replay'))).toHaveLength(5)
  })

  it('refuses clearly where the state folder cannot be written', async () => {
    const file = join(state, 'file')
    writeFileSync(file, '')
    await expect(putReplay(file, { id: ID }, Uint8Array.of(1))).rejects.toThrow(
      expect.objectContaining({
        code: 'store-failed',
        message: expect.stringContaining('nothing was taken out of parking') as string,
      }) as Error,
    )
  })

  it('is part of what a consumer gets, beside the broker, and starts anew what the channel lost', async () => {
    await putReplay(state, { id: ID }, Uint8Array.of(1))
    let lose: (() => void) | undefined
    const inner = {
      address: 'a',
      consume: (_: unknown, options: { onLost?: () => void }) => {
        lose = options.onLost
        return Promise.resolve({ addCredit: () => true, stop: () => Promise.resolve() })
      },
      close: () => Promise.resolve(),
    } as unknown as Transport
    const folder = new ReplayFolder(state, event => told.push(event))
    const transport = replayingTransport(inner, folder)
    const got: TransportDelivery[] = []
    const onLost = vi.fn()
    const consumer = await transport.consume(delivery => got.push(delivery), { prefetch: 1, onLost })
    await until(() => got.length === 1)
    lose?.()
    expect(onLost).toHaveBeenCalledOnce()
    await until(() => got.length === 2)
    await consumer.stop()
    await transport.close()
  })
})
