import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  findDevice,
  issueDevice,
  listDevices,
  numberedFleet,
  type Pki,
  provision,
  refresh,
  renew,
  revoke,
  verifyDevice,
} from '../../pki/index.js'
import { readList } from '../../pki/revocation-list.js'
import { loadIdentityFolder } from '../../src/identity-folder.js'
import { newDomain, snapshot, temporaryFolder } from '../support/pki.js'

const folder = temporaryFolder()
const DAY_MS = 86_400_000

async function domainWithHubs(name: string, now?: () => number): Promise<Pki> {
  const pki = await newDomain(folder, name, now)
  await provision(pki, [...numberedFleet('heh-', 3, 'heh'), { name: 'vpp-0001', role: 'vpp' }])
  return pki
}

/** What a device thinks of another one's certificate. */
async function opinion(pki: Pki, of: string, about: string): Promise<string> {
  const { trust } = await loadIdentityFolder(join(pki.layout.devices, of), { now: pki.now })
  const { certificate } = await loadIdentityFolder(join(pki.layout.devices, about), { now: pki.now }).then(
    each => each.identity,
  )
  return trust.revocation(certificate, pki.now())
}

describe('revoking', () => {
  it('puts a signed list into every folder, that the devices accept and that names the device', async () => {
    const pki = await domainWithHubs('one')
    expect(await opinion(pki, 'vpp-0001', 'heh-0002')).toBe('good')
    expect(await revoke(pki, ['heh-0002'])).toEqual(['heh-0002'])
    const list = readFileSync(pki.layout.revocationList)
    for (const { name } of listDevices(pki)) {
      expect(readFileSync(join(pki.layout.devices, name, 'revoked.cbor'))).toEqual(list)
    }
    expect(await opinion(pki, 'vpp-0001', 'heh-0002')).toBe('revoked')
    expect(await opinion(pki, 'vpp-0001', 'heh-0001')).toBe('good')
    expect(findDevice(pki, 'heh-0002').revoked).toBe(true)
  })

  it("takes the device's rights at the broker, and its card from the others", async () => {
    const pki = await domainWithHubs('rights')
    await revoke(pki, ['heh-0002'])
    const definitions = JSON.parse(readFileSync(pki.layout.definitions, 'utf8')) as Record<
      string,
      Record<string, string>[]
    >
    const rows = [...(definitions['permissions'] ?? []), ...(definitions['topic_permissions'] ?? [])].filter(
      row => row['user'] === 'heh-0002',
    )
    expect(rows).toHaveLength(3)
    for (const row of rows)
      expect([row['write'], row['read'], row['configure'] ?? '^$']).toEqual(['^$', '^$', '^$'])
    const { directory } = await loadIdentityFolder(join(pki.layout.devices, 'vpp-0001'))
    expect(directory.find({ domain: 'field', address: 'heh-0002' })).toBeUndefined()
    expect(directory.find({ domain: 'field', address: 'heh-0001' })).toBeDefined()
  })

  it('also shuts out certificates that the device had before', async () => {
    let nowMs = Date.now()
    const pki = await domainWithHubs('earlier', () => nowMs)
    const old = await loadIdentityFolder(join(pki.layout.devices, 'heh-0001'), { now: pki.now })
    nowMs += DAY_MS
    await renew(pki, ['heh-0001'])
    await revoke(pki, ['heh-0001'])
    const { trust } = await loadIdentityFolder(join(pki.layout.devices, 'vpp-0001'), { now: pki.now })
    expect(trust.revocation(trust.verify(old.identity.certificate.chain, nowMs), nowMs)).toBe('revoked')
  })

  it('twice changes nothing the second time', async () => {
    const pki = await domainWithHubs('again')
    await revoke(pki, ['heh-0001', 'heh-0002'])
    expect(readList(pki.layout.revocationList)).toMatchObject({ number: 2 })
    const before = snapshot(pki.layout.dir)
    expect(await revoke(pki, ['heh-0001'])).toEqual([])
    expect(snapshot(pki.layout.dir)).toEqual(before)
  })

  it('of an unknown name is an error, and revokes nobody', async () => {
    const pki = await domainWithHubs('unknown')
    await expect(revoke(pki, ['heh-0001', 'heh-9999'])).rejects.toThrow(
      /heh-9999: no device of field has this name/,
    )
    expect(findDevice(pki, 'heh-0001').revoked).toBe(false)
  })

  it('leaves a revoked name to provision and renew untouched, until a new identity is asked for', async () => {
    const pki = await domainWithHubs('reissue')
    const { folder: path = '' } = findDevice(pki, 'heh-0001')
    const key = readFileSync(join(path, 'identity.key'))
    await revoke(pki, ['heh-0001'])
    expect(await provision(pki, numberedFleet('heh-', 3, 'heh'))).toMatchObject({
      issued: [],
      revoked: ['heh-0001'],
    })
    await expect(renew(pki, ['heh-0001'])).rejects.toThrow(/heh-0001: was revoked/)
    expect(await renew(pki, 'all')).not.toContain('heh-0001')
    await expect(issueDevice(pki, { name: 'heh-0001', role: 'heh' })).rejects.toThrow(
      /was revoked; .*--again/,
    )
    const { device } = await issueDevice(pki, { name: 'heh-0001', role: 'heh' }, { again: true })
    expect(device.revoked).toBe(false)
    expect(readFileSync(join(path, 'identity.key'))).not.toEqual(key)
    await new Promise(resolve => setTimeout(resolve, 1_100)) // its certificate begins in the second after the revocation
    expect((await verifyDevice(device, Date.now())).problems).toEqual([])
    expect(await opinion(pki, 'vpp-0001', 'heh-0001')).toBe('good')
  })
})

describe('the list', () => {
  it('is renewed by refresh at half of its age, with its entries', async () => {
    let nowMs = Date.now()
    const pki = await domainWithHubs('ageing', () => nowMs)
    await revoke(pki, ['heh-0003'])
    nowMs += 14 * DAY_MS
    expect((await refresh(pki)).listRenewed).toBe(false)
    nowMs += 2 * DAY_MS
    expect((await refresh(pki)).listRenewed).toBe(true)
    expect(readList(pki.layout.revocationList)).toMatchObject({
      number: 3,
      issuedAtMs: Math.floor(nowMs / 1000) * 1000,
    })
    expect(await opinion(pki, 'vpp-0001', 'heh-0003')).toBe('revoked')
    expect((await refresh(pki)).filesChanged).toBe(0)
  })

  it('is reported when it is too old', async () => {
    let nowMs = Date.now()
    const pki = await domainWithHubs('stale', () => nowMs)
    nowMs += 31 * DAY_MS
    const { problems } = await verifyDevice(findDevice(pki, 'heh-0001'), nowMs)
    expect(problems).toContain('its revocation list is too old: run sealbus pki refresh')
    expect(problems).toContain('its card has expired: run sealbus pki renew')
  })
})
