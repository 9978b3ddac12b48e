import { afterEach, describe, expect, it } from 'vitest'
import { dockerDriver } from '../../chaos/drivers/docker.js'
import type { Driver } from '../../chaos/drivers/driver.js'
import {
  evaluated,
  type Recorded,
  type RecordedProgram,
  recordedProgram,
} from '../support/recorded-program.js'

const BROKERS = ['amqps://localhost:5671', 'amqps://localhost:5681', 'amqps://localhost:5691']
const NODES = ['rabbit@rmq1', 'rabbit@rmq2', 'rabbit@rmq3']

/** As Docker 24 answers; each container's node tells its own name. */
const ANSWERS: readonly Recorded[] = [
  ...NODES.map((node, i) => ({ call: `exec c${i + 1} *atom_to_binary(node())*`, stdout: evaluated(node) })),
  { call: 'exec c* *rabbit:is_running()*', stdout: evaluated(true) },
  { call: 'exec c* *amqqueue*', stdout: evaluated([]) },
  { call: 'exec c* *all_running*', stdout: evaluated(NODES) },
  { call: 'exec c*', stdout: evaluated('done') },
  { call: 'inspect --format {{.State.Running}} *', stdout: 'false\n' },
  { call: 'inspect --format {{.State.Paused}} *', stdout: 'true\n' },
  {
    call: 'inspect --format {{json .NetworkSettings.Networks}} c1',
    stdout:
      '{"clients":{"Aliases":["rmq1"]},"nodes":{"Aliases":["rmq1","5f1c"],"IPAMConfig":{"IPv4Address":"172.20.0.2"}}}\n',
  },
  { call: 'inspect --format {{json *', stdout: '{"nodes":{"Aliases":null,"IPAMConfig":null}}\n' },
  ...['kill', 'stop', 'start', 'pause', 'unpause', 'network'].map(word => ({ call: `${word} *` })),
]

let docker: RecordedProgram | undefined

afterEach(() => {
  docker?.close()
  docker = undefined
})

async function driver(config: object = {}): Promise<Driver> {
  docker ??= recordedProgram('docker', ANSWERS)
  return await dockerDriver({
    brokers: BROKERS,
    config: { containers: ['c1', 'c2', 'c3'], ...config },
    configFile: 'docker.yaml',
    cluster: undefined,
    note: () => undefined,
  })
}

/** The calls but those that ask or wait. */
function done(): string[] {
  return (docker?.calls() ?? []).filter(call => /^(kill|stop|start|pause|unpause|network)/.test(call))
}

describe('the docker driver', () => {
  it('knows its nodes by what the brokers call themselves', async () => {
    const made = await driver()
    expect(made.nodes).toEqual(NODES)
    expect(made.url('rabbit@rmq2')).toBe(BROKERS[1])
  })

  it('kills, stops, freezes and starts containers, and heals what is left', async () => {
    const made = await driver()
    await made.actions.kill?.('rabbit@rmq1')
    await made.actions.start?.('rabbit@rmq1')
    await made.actions.terminate?.('rabbit@rmq2')
    await made.actions.pause?.('rabbit@rmq1')
    expect(done()).toEqual(['kill --signal KILL c1', 'start c1', 'stop --time 55 c2', 'pause c1'])
    await made.heal()
    expect(done().slice(4)).toEqual(['unpause c1', 'start c2'])
  })

  it('does within the broker what an operator can', async () => {
    const { actions } = await driver()
    await actions.deleteUser?.('heh-0001')
    expect(docker?.calls().at(-1)).toMatch(/^exec c1 rabbitmqctl --quiet eval .*delete_user/s)
  })

  it('isolates a node by its inter-node network, and gives it back its names and address', async () => {
    const made = await driver({ network: 'nodes' })
    await made.actions.partition?.([['rabbit@rmq1'], ['rabbit@rmq2', 'rabbit@rmq3']])
    expect(done()).toEqual(['network disconnect nodes c1'])
    await made.heal()
    expect(done().at(-1)).toBe('network connect --alias rmq1 --alias 5f1c --ip 172.20.0.2 nodes c1')
  })

  it('cannot cut one pair of three, nor take the only network away', async () => {
    const { actions } = await driver({ network: 'nodes' })
    const partial = [
      ['rabbit@rmq1', 'rabbit@rmq3'],
      ['rabbit@rmq2', 'rabbit@rmq3'],
    ]
    await expect(actions.partition?.(partial)).rejects.toThrow('not injected: driver docker isolates nodes')
    const second = [['rabbit@rmq2'], ['rabbit@rmq1', 'rabbit@rmq3']]
    await expect(actions.partition?.(second)).rejects.toThrow('c2 is in no other network than nodes')
    expect(done()).toEqual([])
  })

  it('says what docker said when something could not be done', async () => {
    const { actions } = await driver()
    docker?.answer([
      { call: 'kill *', stderr: 'Error response from daemon: No such container: c1\n', code: 1 },
    ])
    await expect(actions.kill?.('rabbit@rmq1')).rejects.toThrow(
      'not injected: docker kill --signal KILL c1: ended with code 1: Error response from daemon: No such container: c1',
    )
  })

  it('does not believe a success that a restart policy has undone', async () => {
    const { actions } = await driver()
    docker?.answer([{ call: 'kill *' }, { call: 'inspect *', stdout: 'true\n' }])
    await expect(actions.kill?.('rabbit@rmq1')).rejects.toThrow(
      'not injected: c1: expected State.Running false',
    )
  })

  it('says that the command is missing', async () => {
    await expect(driver({ program: 'no-such-docker' })).rejects.toThrow('no-such-docker was not found')
  })

  it.each([
    { config: { containers: ['c1'] }, says: 'expected one for each of the 3 brokers' },
    { config: { containers: 'c1' }, says: 'docker.yaml: containers: expected a list of texts, got "c1"' },
    { config: { contaners: [] }, says: 'docker.yaml: contaners means nothing here' },
  ])('refuses a configuration that it cannot use: $says', async ({ config, says }) => {
    await expect(driver(config)).rejects.toThrow(says)
  })
})
