import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { QUICK } from '../../chaos/faults.js'
import { run } from '../../cli/chaos.js'
import { parseSettings } from '../../cli/chaos-options.js'

let out = ''
let err = ''
let folder = ''
beforeEach(() => {
  out = ''
  err = ''
  folder = mkdtempSync(join(tmpdir(), 'sealbus-command-'))
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
  rmSync(folder, { recursive: true, force: true })
})

const file = (text: string): string => {
  const path = join(folder, 'mine.yaml')
  writeFileSync(path, text)
  return path
}

describe('sealbus chaos', () => {
  it('checks files, and complains with file and line', async () => {
    const good = file('name: mine\nbound: 1 s\nsteps: [kill: chosen]\n')
    expect(await run(['check', good])).toBe(0)
    expect(out).toContain('mine mine: kill')
    expect(await run(['check', file('name: mine\nbound: soon\nsteps: [kill: chosen]\n')])).toBe(1)
    expect(err).toMatch(/mine\.yaml:2: bound: expected a duration/)
  })

  it("lists the rows, and the words for files of one's own", async () => {
    expect(await run(['list'])).toBe(0)
    expect(out).toMatch(/^4a {2}SIGTERM/m)
    expect(await run(['words'])).toBe(0)
    expect(out).toMatch(/^blackhole: chosen$/m)
  })

  it.each([
    [['run', '--faults', '99'], /no fault 99/],
    [['run', '--repeat', 'many'], /--repeat: expected a whole number/],
    [['run', '--colour'], /--colour/],
    [['run', 'nowhere.yaml'], /nowhere\.yaml: no such scenario file/],
    [['run', '--brokers', 'amqps://a:5671'], /--brokers and --identity belong together/],
    [['run', '--brokers', 'http://a', '--identity', '.'], /--brokers: expected amqps/],
    [['check'], /expected at least one FILE/],
    [['dance'], /expected run, .*list.*, got dance/],
  ])('is told when it is wrongly called: %j', async (args, expected) => {
    expect(await run(args)).toBe(2)
    expect(err).toMatch(expected)
  })
})

describe('what a run is asked for', () => {
  const ids = (...args: string[]): string[] => parseSettings(args).faults.map(({ id }) => id)

  it('are rows, sub-cases, the quick choice, files, or all there is', () => {
    expect(ids('--faults', '4,2')).toEqual(['4a', '4b', '2'])
    expect(ids('--quick')).toEqual([...QUICK])
    expect(ids(file('name: mine\nbound: 1 s\nsteps: [kill: chosen]\n'))).toEqual(['mine'])
    expect(ids().length).toBeGreaterThan(40)
    expect(ids('--all')).toEqual(ids())
  })

  it('is a cluster of its own, one of this machine, or one elsewhere with links before it', () => {
    expect(parseSettings([])).toMatchObject({ drivers: ['local'], brokers: [], identity: undefined })
    const args = ['--brokers', 'amqps://a:5671,amqps://b:5671', '--identity', 'D']
    expect(parseSettings(args)).toMatchObject({ drivers: ['proxy'], identity: 'D', brokers: { length: 2 } })
    expect(() => parseSettings([...args, '--cluster', 'C'])).toThrow(/give one of them/)
  })

  it('says how to have it again, without the seed that goes with it', () => {
    expect(parseSettings(['--faults', '2', '--seed', 'x', '--repeat', '3']).command).toBe(
      'sealbus chaos run --faults 2 --repeat 3',
    )
  })

  it('reads what a driver needs from a file', () => {
    const config = file('containers: [a, b]\n')
    expect(parseSettings(['--driver-config', config]).driverConfig).toEqual({
      file: config,
      content: { containers: ['a', 'b'] },
    })
  })
})
