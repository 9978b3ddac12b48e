import fs, { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  initPki,
  issueDevice,
  listDevices,
  numberedFleet,
  openPki,
  type Pki,
  provision,
  refresh,
  renew,
  setBrokers,
  verifyDevice,
} from '../../pki/index.js'
import { loadIdentityFolder } from '../../src/identity-folder.js'
import { newDomain, openssl, PASSPHRASE, snapshot, temporaryFolder } from '../support/pki.js'

const folder = temporaryFolder()
const hubs = (count: number) => numberedFleet('heh-', count, 'heh')
const deviceOf = (pki: Pki, name: string): string => join(pki.layout.devices, name)

describe('init', () => {
  it('makes CA keys that OpenSSL opens with the passphrase, and only with it', async () => {
    const pki = await newDomain(folder, 'keys')
    for (const name of readdirSync(pki.layout.ca).filter(each => each.endsWith('.key'))) {
      expect(statSync(join(pki.layout.ca, name)).mode & 0o777).toBe(0o600)
      expect(readFileSync(join(pki.layout.ca, name), 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY')
    }
    const path = join(pki.layout.ca, 'issuing.key')
    const text = openssl('pkey', '-noout', '-text', '-in', path, '-passin', `pass:${PASSPHRASE}`)
    expect(text).toContain('prime256v1')
    expect(() => openssl('pkey', '-noout', '-in', path, '-passin', 'pass:wrong')).toThrow()
    expect(openssl('asn1parse', '-in', join(pki.layout.ca, 'issuing.key'))).toMatch(
      /scrypt|1\.3\.6\.1\.4\.1\.11591\.4\.11/,
    )
  })

  it('run again changes nothing and says so', async () => {
    const pki = await newDomain(folder, 'again')
    const before = snapshot(pki.layout.dir)
    const { created } = await initPki({ dir: pki.layout.dir, domain: 'field', passphrase: PASSPHRASE })
    expect(created).toBe(false)
    expect(snapshot(pki.layout.dir)).toEqual(before)
  })

  it('refuses another domain, a wrong passphrase, and a folder with something else in it', async () => {
    const { dir } = (await newDomain(folder, 'refusals')).layout
    await expect(initPki({ dir, domain: 'other', passphrase: PASSPHRASE })).rejects.toThrow(
      /is the domain field, not other/,
    )
    await expect(initPki({ dir, domain: 'field', passphrase: 'wrong' })).rejects.toThrow(/wrong passphrase/)
    const foreign = join(folder, 'foreign')
    fs.mkdirSync(foreign)
    writeFileSync(join(foreign, 'letter.txt'), 'dear')
    await expect(initPki({ dir: foreign, domain: 'field', passphrase: PASSPHRASE })).rejects.toThrow(
      /expected an empty folder/,
    )
    expect(readdirSync(foreign)).toEqual(['letter.txt'])
  })

  it('goes on where an earlier run was killed', async () => {
    const whole = (await newDomain(folder, 'whole')).layout.dir
    const dir = join(folder, 'killed')
    fs.cpSync(join(whole, 'ca'), join(dir, 'ca'), { recursive: true })
    fs.mkdirSync(join(dir, '.tmp', 'init'), { recursive: true })
    const { created } = await initPki({ dir, domain: 'field', passphrase: PASSPHRASE })
    expect(created).toBe(true)
    expect(existsSync(join(dir, '.tmp'))).toBe(false)
  })
})

describe('provision', () => {
  it('gives every device a folder that the library loads, with private keys for its owner only', async () => {
    const pki = await newDomain(folder, 'complete')
    await provision(pki, [...hubs(3), { name: 'vpp-0001', role: 'vpp' }])
    for (const name of ['heh-0001', 'vpp-0001']) {
      const warnings: string[] = []
      const loaded = await loadIdentityFolder(deviceOf(pki, name), { onWarning: text => warnings.push(text) })
      expect(warnings).toEqual([])
      expect(loaded.identity.certificate.address).toBe(name)
      expect(loaded.trust.revocation(loaded.identity.certificate, Date.now())).toBe('good')
      expect(statSync(deviceOf(pki, name)).mode & 0o777).toBe(0o700)
      for (const file of readdirSync(deviceOf(pki, name), { recursive: true, encoding: 'utf8' })) {
        if (file.endsWith('.key')) expect(statSync(join(deviceOf(pki, name), file)).mode & 0o777).toBe(0o600)
      }
    }
  })

  it('gives a hub the cards of its controlling entities, and these the cards of all hubs', async () => {
    const pki = await newDomain(folder, 'cards')
    await provision(pki, hubs(3))
    await issueDevice(pki, { name: 'vpp-0001', role: 'vpp' })
    await provision(pki, hubs(4))
    expect(readdirSync(join(deviceOf(pki, 'heh-0001'), 'cards'))).toEqual(['vpp-0001.cbor'])
    expect(readdirSync(join(deviceOf(pki, 'vpp-0001'), 'cards'))).toEqual(
      hubs(4).map(({ name }) => `${name}.cbor`),
    )
    expect(readdirSync(pki.layout.cards)).toHaveLength(5)
  })

  it('run again changes nothing, and adding one touches no device that has nothing to do with it', async () => {
    const pki = await newDomain(folder, 'idempotent')
    await provision(pki, hubs(5))
    const before = snapshot(pki.layout.dir)
    expect(await provision(pki, hubs(5))).toMatchObject({ issued: [], filesChanged: 0 })
    expect(snapshot(pki.layout.dir)).toEqual(before)
    await provision(pki, hubs(6))
    expect(snapshot(deviceOf(pki, 'heh-0005'))).toEqual(
      before.filter(line => line.startsWith('devices/heh-0005/')).map(line => line.slice(17)),
    )
  })

  it('goes on after an interruption: what is there stays, what is missing comes', async () => {
    const pki = await newDomain(folder, 'interrupted')
    const stop = new Error('pulled the plug')
    const pull = (done: number): void => {
      if (done === 3) throw stop
    }
    await expect(provision(pki, hubs(6), { onProgress: pull })).rejects.toBe(stop)
    const key = readFileSync(join(deviceOf(pki, 'heh-0002'), 'identity.key'))
    expect(await provision(pki, hubs(6))).toMatchObject({ issued: ['heh-0004', 'heh-0005', 'heh-0006'] })
    expect(readFileSync(join(deviceOf(pki, 'heh-0002'), 'identity.key'))).toEqual(key)
    expect(readFileSync(pki.layout.definitions, 'utf8')).toContain('"heh-0001"')
  })

  it('refuses a name issued with another role, an unknown role and a wrong passphrase, and makes nothing', async () => {
    const pki = await newDomain(folder, 'refused')
    await issueDevice(pki, { name: 'heh-0002', role: 'heh' })
    const before = snapshot(pki.layout.dir)
    await expect(provision(pki, numberedFleet('heh-', 3, 'vpp'))).rejects.toThrow(
      /heh-0002: is issued already, with the role heh/,
    )
    await expect(issueDevice(pki, { name: 'x', role: 'king' })).rejects.toThrow(
      /role: expected one of vpp, .*got king/,
    )
    await expect(issueDevice(pki, { name: 'a/b', role: 'heh' })).rejects.toThrow(/name: expected/)
    const wrong = openPki({ dir: pki.layout.dir, passphrase: 'wrong' })
    await expect(issueDevice(wrong, { name: 'x', role: 'heh' })).rejects.toThrow(/wrong passphrase/)
    expect(snapshot(pki.layout.dir)).toEqual(before)
  })

  it('lets two runs at once make each device once', async () => {
    const { dir } = (await newDomain(folder, 'twice')).layout
    const runs = await Promise.all(
      [1, 2].map(() => provision(openPki({ dir, passphrase: PASSPHRASE }), hubs(10))),
    )
    expect(runs.map(run => run.issued.length).sort()).toEqual([0, 10])
  })

  it('takes over the lock of a process that has died, and waits for one that lives', async () => {
    const pki = await newDomain(folder, 'locks')
    const { hostname } = await import('node:os')
    writeFileSync(pki.layout.lock, `999999999 ${hostname()}\n`)
    await expect(issueDevice(pki, { name: 'a', role: 'heh' })).resolves.toMatchObject({ issued: true })
    writeFileSync(pki.layout.lock, `${process.pid} ${hostname()}\n`)
    setTimeout(() => rmSync(pki.layout.lock), 300)
    const startMs = performance.now()
    await issueDevice(pki, { name: 'b', role: 'heh' })
    expect(performance.now() - startMs).toBeGreaterThan(250)
  })
})

describe('a full disk', () => {
  const { writeFileSync: write } = fs

  /** From the n-th file on, nothing fits. */
  function fillDiskAfter(files: number): void {
    let left = files
    fs.writeFileSync = (...args: Parameters<typeof write>) => {
      if (left-- > 0) {
        write(...args)
        return
      }
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
    syncBuiltinESMExports()
  }

  afterEach(() => {
    fs.writeFileSync = write
    syncBuiltinESMExports()
  })

  it('while a device is made leaves no half of it, and room again makes the rest', async () => {
    const pki = await newDomain(folder, 'full')
    fillDiskAfter(20)
    await expect(provision(pki, hubs(4))).rejects.toThrow(/the disk is full: free some space/)
    fillDiskAfter(Number.POSITIVE_INFINITY)
    expect(existsSync(pki.layout.workshop)).toBe(false)
    expect(existsSync(pki.layout.lock)).toBe(false)
    const made = readdirSync(pki.layout.devices)
    expect(made).toEqual(['heh-0001'])
    for (const device of listDevices(pki))
      expect((await verifyDevice(device, Date.now())).problems).toEqual([])
    expect((await provision(pki, hubs(4))).issued).toHaveLength(3)
  })

  it('while a domain is made leaves nothing', async () => {
    const dir = join(folder, 'full-init')
    fillDiskAfter(4)
    await expect(initPki({ dir, domain: 'field', passphrase: PASSPHRASE })).rejects.toThrow(
      /the disk is full/,
    )
    expect(existsSync(dir)).toBe(false)
  })
})

describe('upkeep', () => {
  it('renew gives a new certificate for the same key, a card to match, and tells the others', async () => {
    let nowMs = Date.now()
    const pki = await newDomain(folder, 'renew', () => nowMs)
    await provision(pki, [...hubs(2), { name: 'vpp-0001', role: 'vpp' }])
    const [before] = listDevices(pki)
    nowMs += 10 * 86_400_000
    expect(await renew(pki, ['heh-0001'])).toEqual(['heh-0001'])
    const [after] = listDevices(pki)
    expect(
      after?.certificate.publicKey.equals(before?.certificate.publicKey ?? after.certificate.publicKey),
    ).toBe(true)
    expect((after?.notAfterMs ?? 0) - (before?.notAfterMs ?? 0)).toBe(10 * 86_400_000)
    expect(after?.cardCounter).toBeGreaterThan(before?.cardCounter ?? 0)
    expect(readFileSync(join(deviceOf(pki, 'vpp-0001'), 'cards', 'heh-0001.cbor'))).toEqual(
      Buffer.from(after?.card ?? []),
    )
    for (const device of listDevices(pki)) expect((await verifyDevice(device, nowMs)).problems).toEqual([])
    expect(await renew(pki, 'all', { withinDays: 82 })).toEqual(['heh-0002', 'vpp-0001'])
    expect(await renew(pki, 'all', { withinDays: 30 })).toEqual([])
  })

  it('refresh follows an edited policy, and changes nothing when run again', async () => {
    const pki = await newDomain(folder, 'refresh')
    await provision(pki, [...hubs(1), { name: 'tso-0001', role: 'tso' }])
    expect(await refresh(pki)).toMatchObject({ filesChanged: 0, listRenewed: false })
    const policy = JSON.parse(readFileSync(pki.layout.policy, 'utf8')) as { allow: unknown[] }
    policy.allow.push({ from: { role: 'tso' }, to: { address: 'heh-0001' }, types: ['ext_*'] })
    writeFileSync(pki.layout.policy, JSON.stringify(policy))
    expect((await refresh(pki)).filesChanged).toBe(4) // a policy and a card each
    expect(readdirSync(join(deviceOf(pki, 'tso-0001'), 'cards'))).toEqual(['heh-0001.cbor'])
    expect((await refresh(pki)).filesChanged).toBe(0)
    policy.allow.pop()
    writeFileSync(pki.layout.policy, JSON.stringify(policy))
    await refresh(pki)
    expect(readdirSync(join(deviceOf(pki, 'tso-0001'), 'cards'))).toEqual([])
  })

  it('refresh names what is wrong in an edited policy', async () => {
    const pki = await newDomain(folder, 'bad-policy')
    writeFileSync(
      pki.layout.policy,
      '{"version":1,"roles":{"heh":{"inbox":"tin","declare":false}},"allow":[]}',
    )
    await expect(refresh(pki)).rejects.toThrow(
      /policy\.json: roles\.heh\.inbox: expected quorum, classic, transient, got "tin"/,
    )
    writeFileSync(
      pki.layout.policy,
      '{"version":1,"roles":{},"allow":[{"from":{},"to":{"role":"x"},"types":["y"]}]}',
    )
    await expect(refresh(pki)).rejects.toThrow(/allow\[0\]\.from/)
  })

  it('setBrokers rewrites the brokers of every config.json and nothing else in it', async () => {
    const pki = await newDomain(folder, 'brokers')
    await provision(pki, hubs(2))
    const path = join(deviceOf(pki, 'heh-0001'), 'config.json')
    const own = { ...(JSON.parse(readFileSync(path, 'utf8')) as object), seen: 'memory' }
    writeFileSync(path, JSON.stringify(own))
    const brokers = ['amqps://127.0.0.1:5001', 'amqps://127.0.0.1:5002']
    expect(await setBrokers(pki, brokers)).toBe(3)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ ...own, brokers })
    expect(await setBrokers(openPki({ dir: pki.layout.dir }), brokers)).toBe(0)
    await expect(setBrokers(pki, ['http://x'])).rejects.toThrow(/brokers: expected amqps/)
    await issueDevice(openPki({ dir: pki.layout.dir, passphrase: PASSPHRASE }), { name: 'late', role: 'heh' })
    expect(readFileSync(join(deviceOf(pki, 'late'), 'config.json'), 'utf8')).toContain(':5002')
  })

  it('goes on for devices whose folders were handed out', async () => {
    const pki = await newDomain(folder, 'handed-out')
    await provision(pki, [...hubs(2), { name: 'vpp-0001', role: 'vpp' }])
    rmSync(deviceOf(pki, 'heh-0001'), { recursive: true })
    expect(await provision(pki, hubs(3))).toMatchObject({
      issued: ['heh-0003'],
      present: ['heh-0001', 'heh-0002'],
    })
    expect(existsSync(deviceOf(pki, 'heh-0001'))).toBe(false)
    expect(readFileSync(pki.layout.definitions, 'utf8')).toContain('"heh-0001"')
  })
})
