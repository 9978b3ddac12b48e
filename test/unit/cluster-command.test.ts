import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { main } from '../../cli/main.js'

const folder = mkdtempSync(join(tmpdir(), 'sealbus-command-'))
let out = ''
let err = ''

beforeEach(() => {
  out = ''
  err = ''
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    out += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    err += String(text)
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

test('without arguments the command says what it can do', async () => {
  expect(await main([])).toBe(0)
  for (const part of ['pki', 'cluster', 'demo', 'chaos', 'bench']) expect(out).toContain(`\n  ${part} `)
})

test('the version is the one of the package', async () => {
  expect(await main(['--version'])).toBe(0)
  expect(out).toMatch(/^sealbus \d+\.\d+\.\d+\n$/)
})

test('an unknown command is named, and exits with 2', async () => {
  expect(await main(['constructor'])).toBe(2)
  expect(err).toContain('no command "constructor"')
  expect(out).toBe('')
})

test('an unknown option exits with 2', async () => {
  expect(await main(['cluster', 'status', '--colour'])).toBe(2)
  expect(err).toContain("Unknown option '--colour'")
})

test('a subcommand that there is not, or a wrong number of names, exits with 2 and the usage', async () => {
  expect(await main(['cluster', 'conjure'])).toBe(2)
  expect(err).toMatch(/no command "conjure"[\s\S]*usage: sealbus cluster COMMAND/)
  expect(await main(['cluster', 'status', 'rmq1'])).toBe(2)
  expect(await main(['cluster', 'kill'])).toBe(2)
  expect(await main(['pki', 'conjure'])).toBe(2)
  expect(out).toBe('')
})

test('an error is one line with its code; the stack comes with SEALBUS_DEBUG=1', async () => {
  const dir = join(folder, 'nothing')
  expect(await main(['cluster', 'status', '--dir', dir])).toBe(1)
  expect(err.trim().split('\n')).toHaveLength(1)
  expect(err).toMatch(/^sealbus cluster: no cluster in .*\[configuration\]\n$/)
  vi.stubEnv('SEALBUS_DEBUG', '1')
  await main(['cluster', 'status', '--dir', dir])
  expect(err).toContain('    at ')
})

test('ending a cluster that is not there is no error', async () => {
  expect(await main(['cluster', 'down', '--dir', join(folder, 'nothing')])).toBe(0)
  expect(out).toContain('nothing to do')
})

test('a cluster of a state file that is no state file is a clear error', async () => {
  const dir = mkdtempSync(join(folder, 'broken-'))
  writeFileSync(join(dir, 'cluster.json'), '{')
  expect(await main(['cluster', 'status', '--dir', dir])).toBe(1)
  expect(err).toContain("is not a cluster's state of version 1")
})

test('where RabbitMQ is not installed, the way to get it is said', async () => {
  vi.stubEnv('SEALBUS_RABBITMQ_BIN', folder)
  expect(await main(['cluster', 'up', '--dir', join(folder, 'up')])).toBe(1)
  expect(err).toContain('apt-get install --no-install-recommends rabbitmq-server')
})

test('a cluster of no nodes, or of a name with a slash, is refused', async () => {
  expect(await main(['cluster', 'up', '--nodes', '0', '--dir', join(folder, 'up')])).toBe(2)
  expect(err).toContain('nodes must be an integer from 1 to 7, not 0')
  expect(await main(['cluster', 'up', '--name', '../x', '--dir', join(folder, 'up')])).toBe(1)
  expect(err).toContain('name is 1 to 40 letters')
})
