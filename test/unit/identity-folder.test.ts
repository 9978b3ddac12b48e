import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../src/bytes.js'
import { loadIdentityFolder } from '../../src/identity-folder.js'
import { DAY, type Holder, issue, makePki, NOW, newSealingKey, pem } from '../support/certificates.js'

const pki = makePki()
const TRUST = {
  version: 1,
  domain: 'field',
  suites: [1],
  roots: ['identity-root.crt'],
  issuers: [
    {
      spkiSha256: pki.issuing.spkiSha256,
      domain: 'field',
      roles: ['heh', 'vpp'],
      prefixes: ['heh-', 'vpp-'],
    },
  ],
  revocation: { file: 'revoked.cbor', signers: [pki.revocationSigner.spkiSha256] },
}
const CONFIG = {
  version: 1,
  address: 'heh-0001',
  brokers: ['amqps://localhost:5671'],
  vhost: 'sealbus',
  exchange: 'sealbus',
  serverCa: 'broker-root.crt',
  directory: ['cards'],
  state: 'state',
  seen: 'file',
  inbox: { kind: 'quorum', declare: false },
}
const POLICY = { version: 1, allow: [{ from: { role: 'vpp' }, to: { role: 'heh' }, types: ['activate'] }] }
const vpp = pki.leaf({ cn: ['vpp-1'], ou: ['vpp'] })

let dir = ''
let warnings: string[] = []
const write = (file: string, content: string | Uint8Array, mode = 0o600): void =>
  writeFileSync(join(dir, file), content, { mode })
const writeJson = (file: string, content: object): void => write(file, JSON.stringify(content))
const load = (nowMs = NOW) =>
  loadIdentityFolder(dir, { now: () => nowMs, onWarning: text => warnings.push(text) })

/** Writes what belongs to one leaf: key, certificate, sealing key and card. */
function writeDevice(leaf: Holder = pki.leaf(), counter = NOW): string {
  const sealing = newSealingKey()
  const keyId = toHex(sealing.key.keyId)
  write('identity.key', leaf.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
  write('identity.crt', pem(leaf.der))
  write(`sealing/${keyId}.key`, sealing.pem)
  write('card.cbor', pki.card(leaf, { counter, keys: [[1, sealing.key.publicKey]] }))
  return keyId
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sealbus-folder-'))
  warnings = []
  for (const folder of ['sealing', 'cards']) mkdirSync(join(dir, folder))
  writeDevice()
  write('chain.crt', pem(pki.issuing.der))
  write('identity-root.crt', pem(pki.root.der))
  write('broker-root.crt', pem(makePki('broker').root.der))
  write('revoked.cbor', pki.revocationList())
  write('cards/vpp-1.cbor', pki.card(vpp))
  writeJson('trust.json', TRUST)
  writeJson('config.json', CONFIG)
  writeJson('policy.json', POLICY)
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('identity folder', () => {
  it('gives identity, trust, directory, policy and config', async () => {
    write(`sealing/${'ab'.repeat(8)}.destroyed`, '')
    const folder = await load()
    expect(folder.identity.certificate).toMatchObject({ domain: 'field', address: 'heh-0001', role: 'heh' })
    expect(folder.identity.destroyed('ab'.repeat(8))).toBe(true)
    expect(folder.identity.card.keys).toHaveLength(1)
    expect(folder.directory.find({ domain: 'field', address: 'vpp-1' })?.role).toBe('vpp')
    expect(folder.policy.permit(vppParty, hehParty, 'activate')).toEqual({})
    expect(folder.policy.permit(vppParty, hehParty, 'other')).toBeUndefined()
    expect(folder.trust.revocation(folder.identity.certificate, NOW)).toBe('good')
    expect(folder.config.brokers).toEqual(['amqps://localhost:5671'])
    expect(folder.statePath).toBe(join(dir, 'state'))
    expect(warnings).toEqual([])
  })

  it('gives the files of a TLS client, read anew each time', async () => {
    const folder = await load()
    const tls = await folder.tls()
    expect(() => createSecureContext(tls)).not.toThrow()
    expect(tls.cert).toBe(
      `${readFileSync(join(dir, 'identity.crt'), 'utf8')}${readFileSync(join(dir, 'chain.crt'), 'utf8')}`,
    )
    rmSync(join(dir, 'identity.key'))
    await expect(folder.tls()).rejects.toThrow(/identity\.key: it is missing/)
  })

  it.each([
    'identity.key',
    'identity.crt',
    'chain.crt',
    'card.cbor',
    'trust.json',
    'policy.json',
    'config.json',
    'revoked.cbor',
    'identity-root.crt',
    'cards',
    'sealing',
  ])('without %s is refused by its name, and says what to do', async file => {
    rmSync(join(dir, file), { recursive: true })
    await expect(load()).rejects.toMatchObject({ code: 'identity' })
    await expect(load()).rejects.toThrow(`${join(dir, file)}: it is missing, provision the device again`)
  })

  it.each<[string, () => void, string, RegExp]>([
    [
      'a broken key',
      () => write('identity.key', 'x'),
      'identity',
      /identity\.key: identity: expected a private key/,
    ],
    [
      'a broken certificate',
      () => write('identity.crt', 'x'),
      'identity',
      /identity\.crt: expected a certificate as PEM/,
    ],
    ['a broken card', () => write('card.cbor', 'x'), 'identity', /card\.cbor: card /],
    ['a broken list', () => write('revoked.cbor', 'x'), 'identity', /revoked\.cbor: revocation list: /],
    ['a broken trust file', () => write('trust.json', '{'), 'configuration', /trust\.json: expected JSON/],
    [
      'a trust file of no use',
      () => write('identity-root.crt', pem(pki.issuing.der)),
      'configuration',
      /trust\.json: .*signed by themselves/,
    ],
    [
      'a broken policy',
      () => writeJson('policy.json', { version: 1 }),
      'configuration',
      /policy\.json: "allow"/,
    ],
    [
      'a broken sealing key',
      () => write(`sealing/${'0'.repeat(16)}.key`, 'x'),
      'identity',
      /0{16}\.key: identity: expected a private/,
    ],
    [
      'a sealing key under a wrong name',
      () => write(`sealing/${'0'.repeat(16)}.key`, newSealingKey().pem),
      'identity',
      /its key id is/,
    ],
    [
      "another's certificate",
      () => write('identity.crt', pem(pki.leaf().der)),
      'identity',
      /card\.cbor: identity: /,
    ],
    ["another's card", () => write('card.cbor', pki.card(vpp)), 'identity', /another certificate/],
    [
      'another address in its config',
      () => writeJson('config.json', { ...CONFIG, address: 'heh-2' }),
      'identity',
      /config\.json: expected address heh-0001/,
    ],
    [
      'a certificate of strangers',
      () => write('identity-root.crt', pem(makePki().root.der)),
      'identity',
      /root of the trust file/,
    ],
  ])('with %s is refused by the name of the file', async (_, damage, code, message) => {
    damage()
    await expect(load()).rejects.toThrow(message)
    await expect(load()).rejects.toMatchObject({ code })
  })

  it('with an expired certificate says since when', async () => {
    await expect(load(NOW + 91 * DAY)).rejects.toThrow(/identity\.crt: "heh-0001": expired on 2030-08-30/)
  })

  it('with an old revocation list starts: it is stale, no error', async () => {
    const folder = await load(NOW + 2 * DAY)
    expect(folder.trust.revocation(folder.identity.certificate, NOW + 2 * DAY)).toBe('stale')
  })

  it('warns of private files that others can read', async () => {
    chmodSync(join(dir, 'identity.key'), 0o644)
    await load()
    expect(warnings).toEqual([
      expect.stringMatching(/identity\.key: others may read this private file, .*chmod 600/),
    ])
  })

  it('warns of a card that does not hold and goes on with the others', async () => {
    const stranger = makePki()
    write('cards/aaa.cbor', stranger.card(stranger.leaf()))
    write('cards/vpp-1-copy.cbor', pki.card(vpp, { counter: NOW }))
    write('cards/readme.txt', 'not a card')
    const folder = await load()
    expect(folder.directory.cards()).toHaveLength(1)
    expect(warnings).toEqual([
      expect.stringMatching(/aaa\.cbor: .*left out/),
      expect.stringMatching(/vpp-1\.cbor: another card with the same counter is known/),
    ])
  })

  it('takes a renewed certificate, card, policy, list and cards at reload', async () => {
    const folder = await load()
    const before = folder.identity.certificate.fingerprint
    const keyId = writeDevice(pki.leaf({ notAfterMs: NOW + 180 * DAY }), NOW + 1)
    const serials = [{ issuerSpkiSha256: new Uint8Array(32), serial: Uint8Array.of(1) }]
    write('revoked.cbor', pki.revocationList({ number: 2, serials }))
    writeJson('policy.json', { version: 1, allow: [] })
    write('cards/vpp-2.cbor', pki.card(pki.leaf({ cn: ['vpp-2'], ou: ['vpp'] })))
    await folder.reload()
    expect(folder.identity.certificate.fingerprint).not.toBe(before)
    expect(folder.identity.card.counter).toBe(NOW + 1)
    expect(folder.identity.sealingKey(keyId)?.suite).toBe(1)
    expect(folder.policy.permit(vppParty, hehParty, 'activate')).toBeUndefined()
    expect(folder.directory.find({ domain: 'field', address: 'vpp-2' })?.address).toBe('vpp-2')
    expect(folder.trust.revocationList()).toEqual(new Uint8Array(readFileSync(join(dir, 'revoked.cbor'))))
  })

  it('keeps the policy that it had where a reload finds it broken, and takes the rest', async () => {
    const folder = await load()
    const before = folder.identity.certificate
    writeDevice(pki.leaf(), NOW + 1)
    writeJson('policy.json', { version: 1, allow: 1 })
    await expect(folder.reload()).rejects.toMatchObject({ code: 'configuration' })
    expect(folder.identity.certificate).not.toBe(before)
    expect(folder.policy.permit(vppParty, hehParty, 'activate')).toEqual({})
  })

  it('takes a revocation list, a policy and cards where its own certificate is broken', async () => {
    const folder = await load()
    const before = folder.identity.certificate
    writeDevice(pki.leaf(), NOW + 1)
    write('identity.crt', 'half a fi')
    write('revoked.cbor', pki.revocationList({ number: 2 }))
    writeJson('policy.json', { version: 1, allow: [] })
    write('cards/vpp-2.cbor', pki.card(pki.leaf({ cn: ['vpp-2'], ou: ['vpp'] })))
    await expect(folder.reload()).rejects.toThrow(/identity\.crt: expected a certificate/)
    expect(folder.identity.certificate).toBe(before)
    expect(folder.trust.revocationList()).toEqual(new Uint8Array(readFileSync(join(dir, 'revoked.cbor'))))
    expect(folder.policy.permit(vppParty, hehParty, 'activate')).toBeUndefined()
    expect(folder.directory.find({ domain: 'field', address: 'vpp-2' })?.address).toBe('vpp-2')
  })

  it('names everything that a reload finds broken', async () => {
    const folder = await load()
    write('revoked.cbor', 'x')
    write('identity.crt', 'x')
    writeJson('policy.json', { version: 1, allow: 1 })
    await expect(folder.reload()).rejects.toThrow(/revoked\.cbor.*identity\.crt.*policy\.json/)
  })

  it('reads the same revocation list again after the certificate of its signer has ended', async () => {
    const signer = issue({ cn: ['revocation'], extendedKeyUsage: null, notAfterMs: NOW + DAY }, pki.root)
    writeJson('trust.json', { ...TRUST, revocation: { ...TRUST.revocation, signers: [signer.spkiSha256] } })
    write('revoked.cbor', pki.revocationList({ maxAgeSeconds: 7 * 86_400 }, signer))
    let nowMs = NOW
    const folder = await loadIdentityFolder(dir, { now: () => nowMs })
    nowMs = NOW + 2 * DAY
    await folder.reload()
    expect(folder.trust.revocation(folder.identity.certificate, nowMs)).toBe('good')
  })

  it('keeps a newer revocation list than the file has', async () => {
    const folder = await load()
    const newer = pki.revocationList({ number: 9 })
    folder.trust.acceptRevocationList(newer, NOW)
    await folder.reload()
    expect(folder.trust.revocationList()).toEqual(newer)
    expect(warnings).toEqual([expect.stringMatching(/newer revocation list is known/)])
  })

  it('reads a password from a file of its own', async () => {
    expect(await (await load()).password()).toBeUndefined()
    write('password', 'hunter2\n')
    writeJson('config.json', { ...CONFIG, user: 'meter', passwordFile: 'password' })
    const folder = await load()
    expect(folder.config.user).toBe('meter')
    expect(await folder.password()).toBe('hunter2')
  })
})

describe('config.json', () => {
  it.each<[object, string]>([
    [{ version: 2 }, '"version": expected 1'],
    [{ address: 'a.b' }, '"address": expected text'],
    [{ brokers: 'amqps://x' }, '"brokers": expected a list'],
    [{ brokers: ['http://x'] }, '"brokers": expected a list of texts'],
    [{ brokers: ['amqps://user:hunter2@x'] }, '"brokers": expected a list of texts'],
    [{ vhost: '' }, '"vhost": expected text'],
    [{ exchange: undefined }, '"exchange": expected text like /^[^\\s]{1,255}$/, it is missing'],
    [{ directory: [1] }, '"directory": expected a list of texts'],
    [{ seen: 'shared' }, '"seen": expected one of file, memory'],
    [{ state: undefined }, '"seen" is file, which needs a folder: add "state"'],
    [{ inbox: { kind: 'lazy', declare: true } }, 'inbox: "kind": expected one of quorum, classic, transient'],
    [{ inbox: { kind: 'quorum' } }, 'inbox: "declare": expected true or false, it is missing'],
    [{ inbox: { kind: 'quorum', declare: true, x: 1 } }, 'inbox: unknown field "x"'],
    [{ user: 'meter' }, '"user" and "passwordFile" together'],
    [{ brokerz: [] }, 'unknown field "brokerz"'],
  ])('with %j is refused by name', async (change, message) => {
    writeJson('config.json', { ...CONFIG, ...change })
    await expect(load()).rejects.toThrow(message)
    await expect(load()).rejects.toThrow(/^(?!.*hunter2).*config\.json: /)
  })

  it('may name no broker, no CA and memory only', async () => {
    writeJson('config.json', {
      ...CONFIG,
      state: undefined,
      serverCa: undefined,
      brokers: [],
      seen: 'memory',
    })
    const folder = await load()
    expect(folder.statePath).toBeUndefined()
    expect((await folder.tls()).ca).toBeUndefined()
  })
})

const vppParty = { domain: 'field', address: 'vpp-1', role: 'vpp' }
const hehParty = { domain: 'field', address: 'heh-0001', role: 'heh' }
