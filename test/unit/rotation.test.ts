/** Sealing keys live and are destroyed as docs/PROTOCOL.md says: with real folders and a clock that is moved. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { initPki, provision } from '../../pki/index.js'
import { type LoadedFolder, loadIdentityFolder } from '../../src/identity-folder.js'
import { rotate } from '../../src/rotation.js'

const DAY = 24 * 3_600_000
const root = mkdtempSync(join(tmpdir(), 'sealbus-rotation-'))
let runs = 0
let nowMs = 0
let dir = ''
let folder: LoadedFolder

beforeEach(async () => {
  runs += 1
  nowMs = Date.now()
  const { pki } = await initPki({
    dir: join(root, String(runs)),
    domain: 'field',
    passphrase: 'for tests only',
  })
  await provision(pki, [{ name: 'vpp-0001', role: 'vpp' }])
  dir = join(root, String(runs), 'devices', 'vpp-0001')
  folder = await loadIdentityFolder(dir, { now: () => nowMs })
}, 30_000)
afterAll(() => rmSync(root, { recursive: true, force: true }))

const sealing = (suffix: string): string[] =>
  readdirSync(join(dir, 'sealing')).filter(name => name.endsWith(suffix))

describe('rotation', () => {
  it('leaves a young card alone', async () => {
    nowMs += 14 * DAY
    expect(await rotate(folder, nowMs)).toEqual({ destroyed: [] })
    expect(sealing('.key')).toHaveLength(1)
  })

  it('renews the card with a new key when half of its life is over, and keeps the old key', async () => {
    const [before] = sealing('.key')
    const { counter } = folder.identity.card
    nowMs += 16 * DAY
    const { renewed = '' } = await rotate(folder, nowMs)
    expect(sealing('.key').sort()).toEqual([before, `${renewed}.key`].sort())
    expect(folder.identity.card.counter).toBeGreaterThan(counter)
    expect(folder.identity.card.notAfterMs).toBe(nowMs - (nowMs % 1000) + 30 * DAY)
    expect(folder.identity.sealingKey(renewed)).toBeDefined()
    expect(folder.identity.sealingKey(before?.slice(0, 16) ?? '')).toBeDefined()
    expect(statSync(join(dir, 'sealing', `${renewed}.key`)).mode & 0o777).toBe(0o600)
  })

  it('does not renew a card that could not live longer, since its certificate ends', async () => {
    nowMs += 16 * DAY
    await rotate(folder, nowMs)
    nowMs += 16 * DAY
    await rotate(folder, nowMs)
    nowMs += 16 * DAY
    await rotate(folder, nowMs)
    nowMs += 16 * DAY // 64 days: the card made at 48 ends at 78, the certificate at 90
    expect((await rotate(folder, nowMs)).renewed).toBeDefined()
    nowMs += 16 * DAY // 80 days: a new card would end with the certificate, like the present one
    expect((await rotate(folder, nowMs)).renewed).toBeUndefined()
  })

  it('destroys a replaced key once nothing sealed to it can be valid, and says that it was ours', async () => {
    const old = sealing('.key')[0]?.slice(0, 16) ?? ''
    nowMs += 16 * DAY
    await rotate(folder, nowMs)
    nowMs += 15 * DAY // the first card ended a day ago, its last messages just now
    expect((await rotate(folder, nowMs)).destroyed).toEqual([])
    nowMs += 300_000
    expect((await rotate(folder, nowMs)).destroyed).toEqual([old])
    expect(existsSync(join(dir, 'sealing', `${old}.key`))).toBe(false)
    expect(folder.identity.sealingKey(old)).toBeUndefined()
    expect(folder.identity.destroyed(old)).toBe(true)
  })
})
