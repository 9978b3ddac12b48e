import { execFileSync, spawn } from 'node:child_process'
import { afterEach, describe, expect, it } from 'vitest'
import type { Driver } from '../../chaos/drivers/driver.js'
import { kubernetesDriver } from '../../chaos/drivers/kubernetes.js'
import {
  evaluated,
  type Recorded,
  type RecordedProgram,
  recordedProgram,
} from '../support/recorded-program.js'

const NODES = ['rabbit@rabbit-0', 'rabbit@rabbit-1']
const WHERE = '--context staging --namespace messaging'

/** As kubectl 1.29 answers. */
const ANSWERS: readonly Recorded[] = [
  ...NODES.map((node, i) => ({ call: `*exec rabbit-${i} *atom_to_binary*`, stdout: evaluated(node) })),
  { call: '*exec * *rabbit:is_running()*', stdout: evaluated(true) },
  { call: '*exec * *amqqueue*', stdout: evaluated([]) },
  { call: '*exec * *all_running*', stdout: evaluated(NODES) },
  { call: '*exec * -- sh -c *' },
  { call: '*get pod rabbit-0 *', stdout: '9f0c1a52-0000-4000-8000-000000000001' },
  { call: '*delete pod *', stdout: 'pod "rabbit-0" force deleted\n' },
]

let kubectl: RecordedProgram | undefined

afterEach(() => {
  kubectl?.close()
  kubectl = undefined
})

async function driver(config: object = {}): Promise<Driver> {
  kubectl ??= recordedProgram('kubectl', ANSWERS)
  return await kubernetesDriver({
    brokers: ['amqps://a', 'amqps://b'],
    config: {
      pods: ['rabbit-0', 'rabbit-1'],
      namespace: 'messaging',
      context: 'staging',
      container: 'rmq',
      ...config,
    },
    configFile: 'kubernetes.yaml',
    cluster: undefined,
    note: () => undefined,
  })
}

describe('the kubernetes driver', () => {
  it('asks each pod for the name of its node, in the namespace and container that are named', async () => {
    const { nodes } = await driver()
    expect(nodes).toEqual(NODES)
    expect(kubectl?.calls().sort()[0]).toContain(
      `${WHERE} exec rabbit-0 --container rmq -- rabbitmqctl --quiet eval`,
    )
  })

  it('kills a pod without grace, and takes it for killed only when it is another one', async () => {
    const { actions } = await driver()
    await expect(actions.kill?.(NODES[0] ?? '')).rejects.toThrow(
      'not injected: the pod rabbit-0 is still the same',
    )
    expect(kubectl?.calls()).toContain(`${WHERE} delete pod rabbit-0 --wait=true --grace-period=0 --force`)
    kubectl?.answer([{ call: '*get pod*' }])
    await expect(actions.kill?.(NODES[0] ?? '')).rejects.toThrow('not injected: there is no pod rabbit-0')
  })

  it('waits for the controller to start a pod again when it heals', async () => {
    const made = await driver()
    await made.actions.terminate?.(NODES[0] ?? '').catch(() => undefined)
    await made.heal()
    expect(kubectl?.calls().filter(call => call.includes('delete'))).toEqual([
      `${WHERE} delete pod rabbit-0 --wait=true`,
    ])
    expect(kubectl?.calls().some(call => call.includes('exec rabbit-0') && call.includes('is_running'))).toBe(
      true,
    )
  })

  it('freezes the Erlang machine by a script that any small shell runs, and thaws it', async () => {
    const made = await driver()
    await made.actions.pause?.(NODES[1] ?? '')
    await made.heal()
    const scripts = (kubectl?.calls() ?? []).flatMap(call => / -- sh -c (.*)/s.exec(call)?.[1] ?? [])
    expect(scripts).toHaveLength(2)
    const machine = spawn('sleep', ['30'])
    try {
      const comm = `/proc/${machine.pid}/comm`
      await expect.poll(() => execFileSync('cat', [comm], { encoding: 'utf8' }).trim()).toBe('sleep')
      const own = scripts.map(script =>
        script.replace('/proc/[0-9]*', `/proc/${machine.pid}`).replace('beam.smp ]', 'sleep ]'),
      )
      const state = (): string | undefined =>
        /^State:\s+(\w)/m.exec(
          execFileSync('cat', [`/proc/${machine.pid}/status`], { encoding: 'utf8' }),
        )?.[1]
      execFileSync('sh', ['-c', own[0] ?? ''])
      expect(state()).toBe('T') // the script has waited for it
      execFileSync('sh', ['-c', own[1] ?? ''])
      expect(state()).not.toBe('T')
      expect(() =>
        execFileSync('sh', ['-c', (own[0] ?? '').replace('sleep ]', 'other ]')], { stdio: 'pipe' }),
      ).toThrow('no beam.smp runs here')
    } finally {
      machine.kill('SIGKILL')
    }
  })

  it('offers no partition: the network plug-in has its own means', async () => {
    expect((await driver()).actions.partition).toBeUndefined()
  })
})
