import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../../cli/pki.js'
import { COMMANDS } from '../../cli/pki-commands.js'
import { progress } from '../../cli/pki-progress.js'
import { decryptPrivateKey, encryptPrivateKey } from '../../pki/pkcs8.js'
import { newDomain, PASSPHRASE, snapshot, temporaryFolder } from '../support/pki.js'

const folder = temporaryFolder()
let dir: string

interface Ran {
  code: number
  out: string
  err: string
}

/** Runs `sealbus pki …` and catches what it writes. */
async function pki(...argv: string[]): Promise<Ran> {
  const ran = { code: 0, out: '', err: '' }
  const catchInto = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
    ran[stream] += String(text)
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(catchInto('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(catchInto('err')),
  ]
  try {
    ran.code = await run(argv)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return ran
}

beforeAll(async () => {
  dir = (await newDomain(folder, 'command')).layout.dir
  vi.stubEnv('SEALBUS_CA_PASSPHRASE', PASSPHRASE)
})

describe('sealbus pki', () => {
  it('provisions a fleet, and the second time changes nothing and says so', async () => {
    const fleet = ['provision', '--dir', dir, '--count', '3', '--prefix', 'heh-', '--role', 'heh']
    expect(await pki(...fleet)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^issued 3 devices in [\d.]+ s, 0 were there/) as string,
    })
    const before = snapshot(dir)
    expect(await pki(...fleet)).toEqual({
      code: 0,
      out: 'all 3 devices were there already; nothing changed\n',
      err: '',
    })
    expect(snapshot(dir)).toEqual(before)
  })

  it('issues, lists, shows, verifies, renews, revokes', async () => {
    expect((await pki('issue', 'vpp-0001', '--dir', dir, '--role', 'vpp')).out).toMatch(
      /^issued vpp-0001, vpp: /,
    )
    expect((await pki('issue', 'vpp-0001', '--dir', dir, '--role', 'vpp')).out).toMatch(
      /is issued already.*nothing changed/,
    )
    const file = join(folder, 'fleet.csv')
    writeFileSync(file, 'name,role\nheh-0001,heh\nmeter-7,heh\n')
    expect((await pki('provision', '--dir', dir, '--csv', file)).out).toMatch(
      /^issued 1 device in .* 1 were there/,
    )
    expect((await pki('list', '--dir', dir)).out).toMatch(/^heh-0001 {2}heh {2}\d{4}-\d\d-\d\d {2}valid$/m)
    expect(JSON.parse((await pki('list', '--dir', dir, '--json')).out)).toHaveLength(5)
    expect((await pki('show', 'meter-7', '--dir', dir)).out).toMatch(/^role +heh$/m)
    const shown = JSON.parse((await pki('show', 'meter-7', '--dir', dir, '--json')).out) as object
    expect(shown).toMatchObject({ name: 'meter-7', certificateBytes: expect.any(Number) as number })
    expect(await pki('verify', '--dir', dir)).toMatchObject({
      code: 0,
      out: '5 devices checked, 0 with problems\n',
    })
    expect((await pki('renew', 'meter-7', '--dir', dir)).out).toBe('renewed 1 certificate\n')
    expect((await pki('renew', '--all', '--within', '10', '--dir', dir)).out).toBe(
      'renewed 0 certificates; nothing changed\n',
    )
    expect((await pki('revoke', 'meter-7', '--dir', dir)).out).toMatch(
      /^revoked meter-7; [\s\S]*handed out or copied [\s\S]*\/revoked\.cbor\n[\s\S]*delete_user/,
    )
    expect((await pki('revoke', 'meter-7', '--dir', dir)).out).toBe('revoked already; nothing changed\n')
    expect(await pki('verify', 'meter-7', '--dir', dir)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^meter-7: revoked$/m) as string,
    })
    expect((await pki('refresh', '--dir', dir)).out).toBe('5 devices: nothing changed\n')
    expect((await pki('broker-cert', 'rmq1', '--dir', dir, '--host', 'a.example')).out).toMatch(
      /issued a server certificate/,
    )
    expect(existsSync(join(dir, 'broker', 'nodes', 'rmq1', 'server.key'))).toBe(true)
  })

  it('reads the passphrase from a file, and tells a wrong one', async () => {
    const file = join(folder, 'passphrase')
    writeFileSync(file, `${PASSPHRASE}\n`)
    vi.stubEnv('SEALBUS_CA_PASSPHRASE', 'wrong')
    const issue = ['issue', 'x', '--dir', dir, '--role', 'heh']
    expect(await pki(...issue)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^sealbus pki issue: .*wrong passphrase/) as string,
    })
    expect((await pki(...issue, '--passphrase-file', file)).code).toBe(0)
    vi.stubEnv('SEALBUS_CA_PASSPHRASE', '')
    const { code, err } = await pki(
      'issue',
      'y',
      '--dir',
      dir,
      '--role',
      'heh',
      '--passphrase-file',
      join(folder, 'none'),
    )
    expect([code, err]).toEqual([1, expect.stringContaining('no such file')])
    vi.stubEnv('SEALBUS_CA_PASSPHRASE', PASSPHRASE)
  })

  it.each([
    [['issue', 'a b', '--role', 'heh'], /name: expected 1 to 64/],
    [['issue', 'vpp-0001', '--role', 'heh'], /is issued already, with the role vpp/],
    [['issue', 'x1', '--role', 'king'], /role: expected one of/],
    [['issue', 'x1'], /--role R: expected, but not given/],
    [['provision', '--count', 'many', '--prefix', 'p', '--role', 'heh'], /--count: expected a whole number/],
    [
      ['provision', '--csv', '/nowhere.csv'],
      /--csv \/nowhere\.csv: there is no such file; name an existing file$/m,
    ],
    [['provision', '--csv', 'x', '--count', '1'], /--csv: expected alone/],
    [['show', 'nobody'], /nobody: no device of field/],
    [['renew'], /either names or --all/],
    [['issue', 'x1', '--role', 'heh', '--inbox', 'tin'], /--inbox: expected quorum, classic, transient/],
  ])('%j ends with exit code 1 and one clear sentence', async (argv, sentence) => {
    const devices = readdirSync(join(dir, 'devices'))
    const { code, err } = await pki(...argv, '--dir', dir)
    expect(code).toBe(1)
    expect(err).toMatch(sentence)
    expect(readdirSync(join(dir, 'devices'))).toEqual(devices)
  })

  it('tells a folder that is no domain, and an unknown command', async () => {
    expect((await pki('list', '--dir', join(folder, 'nothing'))).err).toMatch(
      /expected a domain's folder.*sealbus pki init/,
    )
    expect(await pki('conjure')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/unknown command "conjure"[\s\S]*usage: sealbus pki COMMAND/) as string,
    })
  })

  it.each([
    [['issue', '--role', 'heh'], /expected 1 name, got 0/],
    [['list', '--passphrase', 'secret'], /Unknown option '--passphrase'/],
  ])('%j is called wrongly: exit code 2 with the usage', async (argv, sentence) => {
    const { code, err } = await pki(...argv, '--dir', dir)
    expect(code).toBe(2)
    expect(err).toMatch(sentence)
    expect(err).toMatch(new RegExp(`^usage: sealbus pki ${argv[0]} `, 'm'))
  })

  it('makes no domain under a passphrase of less than 12 characters', async () => {
    const short = join(folder, 'short')
    const init = ['init', '--dir', short, '--domain', 'field', '--passphrase-file', join(folder, 'eleven')]
    writeFileSync(join(folder, 'eleven'), 'ääääääääääx\n')
    expect(await pki(...init)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/expected at least 12 characters, got 11/) as string,
    })
    expect(existsSync(short)).toBe(false)
  })

  it('opens an older domain whose passphrase is shorter', async () => {
    const old = (await newDomain(folder, 'old')).layout
    const path = join(old.ca, 'issuing.key')
    writeFileSync(
      path,
      encryptPrivateKey(decryptPrivateKey(readFileSync(path, 'utf8'), PASSPHRASE, path), 'short'),
    )
    vi.stubEnv('SEALBUS_CA_PASSPHRASE', 'short')
    expect(await pki('init', '--dir', old.dir, '--domain', 'field')).toMatchObject({
      code: 0,
      out: expect.stringContaining('nothing changed') as string,
    })
    vi.stubEnv('SEALBUS_CA_PASSPHRASE', PASSPHRASE)
  })

  it.each(COMMANDS.map(({ name }) => name))('%s --help shows usage and every option', async name => {
    const { code, out } = await pki(name, '--help')
    expect(code).toBe(0)
    expect(out).toMatch(new RegExp(`^usage: sealbus pki ${name} `))
    for (const option of COMMANDS.find(each => each.name === name)?.options ?? [])
      expect(out).toContain(`--${option}`)
  })
})

describe('progress', () => {
  function watch(isTTY: boolean): string[] {
    const written: string[] = []
    let nowMs = 0
    const show = progress('issued', { isTTY, write: text => written.push(text) }, () => nowMs)
    for (let done = 1; done <= 100; done++) {
      nowMs += 120
      show(done, 100)
    }
    return written
  }

  it('is a bar that is redrawn on a terminal', () => {
    expect(watch(true)).toHaveLength(100)
    expect(watch(true).at(49)).toMatch(/^\r\[#{15}-{15}\] issued 50\/100, 6\.0 s$/)
  })

  it('is a few lines elsewhere, the last one always', () => {
    expect(watch(false)).toHaveLength(3)
    expect(watch(false).at(-1)).toBe('issued 100/100, 12.0 s\n')
  })
})

describe('pki/provision.sh', () => {
  const script = join(import.meta.dirname, '../../pki/provision.sh')
  const shell = (...args: string[]): Ran => {
    try {
      return {
        code: 0,
        out: execFileSync('sh', [script, ...args], { encoding: 'utf8', stdio: 'pipe' }),
        err: '',
      }
    } catch (error) {
      const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string }
      return { code: status, out: stdout, err: stderr }
    }
  }

  it('explains itself', () => {
    expect(shell('--help')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^usage: pki\/provision\.sh DIR DOMAIN/) as string,
    })
    expect(shell('D')).toMatchObject({ code: 1, err: expect.stringMatching(/^usage: /) as string })
  })

  it('holds nothing that only one shell knows', () => {
    expect(readFileSync(script, 'utf8')).toMatch(/^#!\/bin\/sh\n/)
    expect(() => execFileSync('sh', ['-n', script])).not.toThrow()
  })
})
