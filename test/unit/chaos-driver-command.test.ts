import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandDriver } from '../../chaos/drivers/command.js'
import type { Driver } from '../../chaos/drivers/driver.js'
import { evaluated } from '../support/recorded-program.js'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealbus-command-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function driver(config: unknown): Promise<Driver> {
  return await commandDriver({
    brokers: ['amqps://a', 'amqps://b', 'amqps://c'],
    config,
    configFile: 'my.yaml',
    cluster: undefined,
    note: () => undefined,
  })
}

/** A command that writes its arguments down, one a line. */
function noting(...words: string[]): string[] {
  return [
    'sh',
    '-c',
    `for a; do printf '%s\\n' "$a"; done >> ${folder}/log; echo . >> ${folder}/log`,
    'sh',
    ...words,
  ]
}

function noted(): string[] {
  const file = join(folder, 'log')
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n.\n')
        .filter(line => line !== '')
    : []
}

describe('the command driver', () => {
  it('puts nodes, their words and groups into commands, without a shell', async () => {
    const { actions, nodes } = await driver({
      nodes: ['rabbit@a', 'rabbit@b', 'rabbit@c'],
      words: { 'rabbit@a': { host: '$(touch x); a.example' } },
      actions: {
        kill: noting('kill', '{node}', 'root@{host}'),
        start: noting('start', '{node}'),
        partition: noting('cut', '{groups}'),
        healPartition: noting('mend'),
      },
    })
    expect(nodes).toEqual(['rabbit@a', 'rabbit@b', 'rabbit@c'])
    await actions.kill?.('rabbit@a')
    await actions.partition?.([['rabbit@a'], ['rabbit@b', 'rabbit@c']])
    expect(noted()).toEqual(['kill\nrabbit@a\nroot@$(touch x); a.example', 'cut\nrabbit@a|rabbit@b,rabbit@c'])
  })

  it('quotes what it puts into a line for a shell', async () => {
    const { actions } = await driver({
      actions: { deleteUser: { shell: true, run: `printf '%s' {user} > ${folder}/user` } },
      heal: ['true'],
    })
    await actions.deleteUser?.(`o'brien $(echo no) "`)
    expect(readFileSync(join(folder, 'user'), 'utf8')).toBe(`o'brien $(echo no) "`)
  })

  it('ends what was broken, the last first, and only that', async () => {
    const made = await driver({
      actions: {
        kill: noting('kill', '{node}'),
        start: noting('start', '{node}'),
        pause: noting('pause', '{node}'),
        resume: noting('resume', '{node}'),
        memoryAlarm: noting('memory', '{node}', '{on}'),
      },
    })
    await made.actions.kill?.('node1')
    await made.actions.pause?.('node2')
    await made.actions.memoryAlarm?.('node3', true)
    await made.actions.start?.('node1', { wait: false })
    await made.heal()
    expect(noted().slice(4)).toEqual(['memory\nnode3\noff', 'resume\nnode2'])
    await made.heal()
    expect(noted()).toHaveLength(6)
  })

  it('goes on healing when one command fails, says which, and tries it again', async () => {
    const made = await driver({
      actions: {
        kill: ['true'],
        start: { shell: true, run: `test -e ${folder}/allowed || { echo locked >&2; exit 4; }` },
        pause: ['true'],
        resume: noting('resume', '{node}'),
      },
    })
    await made.actions.pause?.('node2')
    await made.actions.kill?.('node1')
    await expect(made.heal()).rejects.toThrow(/not healed: start node1: .*ended with code 4: locked/)
    expect(noted()).toEqual(['resume\nnode2'])
    const { writeFileSync } = await import('node:fs')
    writeFileSync(join(folder, 'allowed'), '')
    await made.heal()
  })

  it('runs the command for healing whatever has happened', async () => {
    const made = await driver({ actions: { kill: ['false'] }, heal: noting('mended') })
    await expect(made.actions.kill?.('node1')).rejects.toThrow('not injected: false: ended with code 1')
    await made.heal()
    expect(noted()).toEqual(['mended'])
  })

  it('ends in the middle of a fault: waits for it, undoes it, and begins nothing more', async () => {
    const made = await driver({
      actions: {
        kill: { shell: true, run: `sleep 0.3; echo killed > ${folder}/killed` },
        start: noting('start', '{node}'),
      },
    })
    const killing = made.actions.kill?.('node1')
    await made.close?.()
    expect(existsSync(join(folder, 'killed'))).toBe(true)
    expect(noted()).toEqual(['start\nnode1'])
    await killing
    await expect(made.actions.kill?.('node2')).rejects.toThrow(
      'not injected: kill: the driver has been closed',
    )
    await made.close?.()
    expect(noted()).toHaveLength(1)
  })

  it('kills a command that takes too long, with all that it started', async () => {
    const { actions } = await driver({
      timeout: 0.3,
      actions: { kill: { shell: true, run: `(sleep 1; touch ${folder}/late) & wait` } },
      heal: ['true'],
    })
    await expect(actions.kill?.('node1')).rejects.toThrow('did not end within 0.3 s')
    await new Promise(resolve => setTimeout(resolve, 1_200))
    expect(existsSync(join(folder, 'late'))).toBe(false)
  })

  it('reads queues and counts from what commands print', async () => {
    const { actions } = await driver({
      actions: {
        queues: ['echo', '[{"name":"inbox.a","leader":"node1","members":[],"online":[]}]'],
        connections: ['echo', '["node1","node1"]'],
        closeConnections: ['echo', 'many'],
      },
    })
    expect((await actions.queues?.())?.[0]?.leader).toBe('node1')
    expect(await actions.connections?.()).toEqual(['node1', 'node1'])
    await expect(actions.closeConnections?.('why')).rejects.toThrow(
      'expected a whole number on standard output, got many',
    )
  })

  it('has all that an operator can do when it can evaluate', async () => {
    const { actions } = await driver({ eval: ['printf', '%s', evaluated(true)] })
    expect(actions.deleteVhost).toBeDefined()
    expect(actions.kill).toBeUndefined()
    await actions.deleteVhost?.()
  })

  it.each([
    {
      config: { actions: { kill: ['x'] } },
      says: 'actions: kill would never be ended: give start too, or heal',
    },
    { config: { actions: { crash: ['x'] } }, says: 'crash is no action; there are kill' },
    { config: { actions: { kill: 'x' } }, says: 'my.yaml: actions: kill: expected a map, got "x"' },
    {
      config: { actions: { revive: { run: 'x' } } },
      says: 'my.yaml: actions: revive: run: expected a list of texts',
    },
    { config: { nodes: ['a'] }, says: 'expected one for each of the 3 brokers' },
    { config: { words: { elsewhere: { a: 'b' } } }, says: 'words: elsewhere is no node' },
    { config: undefined, says: 'driver command: expected --driver-config FILE' },
  ])('refuses a configuration that it cannot use: $says', async ({ config, says }) => {
    await expect(Promise.resolve().then(() => driver(config))).rejects.toThrow(says)
  })

  it('names the place that nothing fills', async () => {
    const { actions } = await driver({ actions: { kill: ['x', '{pid}'] }, heal: ['true'] })
    await expect(actions.kill?.('node1')).rejects.toThrow(
      'actions: kill: nothing stands for {pid}; there are node',
    )
  })
})
