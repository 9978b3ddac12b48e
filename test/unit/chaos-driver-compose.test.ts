import { afterEach, describe, expect, it } from 'vitest'
import { makeDriver } from '../../chaos/driver-kinds.js'
import { actionOf, capabilities, composed } from '../../chaos/drivers/compose.js'
import type { Driver, DriverSettings } from '../../chaos/drivers/driver.js'
import { evaluated, recordedProgram } from '../support/recorded-program.js'

const undo: (() => void)[] = []

afterEach(() => {
  for (const each of undo.splice(0)) each()
})

function driver(kind: string, done: string[], more: Partial<Driver> = {}): Driver {
  return {
    ...{ kind, nodes: ['a', 'b'], url: node => `amqps://${node}` },
    actions: { kill: node => Promise.resolve(void done.push(`${kind} kills ${node}`)) },
    heal: () => Promise.resolve(void done.push(`${kind} heals`)),
    close: () => Promise.resolve(void done.push(`${kind} closes`)),
    ...more,
  }
}

function settings(config: unknown): DriverSettings {
  const note = (): void => undefined
  return { brokers: ['amqps://a', 'amqps://b'], config, configFile: 'both.yaml', cluster: undefined, note }
}

describe('several drivers as one', () => {
  it('let the last do what several can, and all heal and close, the last first', async () => {
    const done: string[] = []
    const both = composed(driver('first', done), driver('second', done))
    await actionOf(both, 'kill')('a')
    await both.heal()
    await both.close?.()
    expect(done).toEqual(['second kills a', 'second heals', 'first heals', 'second closes', 'first closes'])
    expect([...capabilities(both)]).toEqual(['kill'])
    expect(() => actionOf(both, 'drain')).toThrow(
      'not injected: driver first+second cannot drain; it can kill',
    )
  })

  it('heal what they can when one of them fails, and say which', async () => {
    const done: string[] = []
    const broken = driver('second', done, { heal: () => Promise.reject(new Error('no way')) })
    await expect(composed(driver('first', done), broken).heal()).rejects.toThrow('second: no way')
    expect(done).toEqual(['first heals'])
  })

  it('must mean the same nodes', () => {
    expect(() => composed(driver('x', []), driver('y', [], { nodes: ['a', 'c'] }))).toThrow(
      'driver y: expected the nodes of x, a, b, got a, c',
    )
  })

  it('have each a part of the configuration', async () => {
    const docker = recordedProgram('docker', [
      { call: 'exec c1 *', stdout: evaluated('rabbit@1') },
      { call: 'exec c2 *', stdout: evaluated('rabbit@2') },
    ])
    undo.push(() => docker.close())
    const made = await makeDriver(
      ['docker', 'command'],
      settings({
        docker: { containers: ['c1', 'c2'] },
        command: {
          nodes: ['rabbit@1', 'rabbit@2'],
          actions: { partition: ['true'], healPartition: ['true'] },
        },
      }),
    )
    expect(made.kind).toBe('docker+command')
    expect(capabilities(made)).toContain('partition')
    expect(capabilities(made)).toContain('pause')
  })

  it('are refused by name when there is no such kind', async () => {
    await expect(makeDriver(['ansible'], settings(undefined))).rejects.toThrow('got ansible')
    await expect(makeDriver(['command', 'docker'], settings({ docker: {} }))).rejects.toThrow(
      'driver command: expected --driver-config FILE',
    )
  })
})
