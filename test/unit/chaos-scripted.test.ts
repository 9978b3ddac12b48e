import { describe, expect, it } from 'vitest'
import type { Actions } from '../../chaos/drivers/actions.js'
import type { Driver, LinkDriver } from '../../chaos/drivers/driver.js'
import { asExpected } from '../../chaos/expected.js'
import type { Entry } from '../../chaos/ledger.js'
import type { Cast } from '../../chaos/plan.js'
import { seededRandom } from '../../chaos/random.js'
import { readScript } from '../../chaos/read-script.js'
import { runOnce } from '../../chaos/run.js'
import { scenarioOf } from '../../chaos/scripted.js'
import type { LoadControl, Stage } from '../../chaos/stage.js'

const nobody = (address: string): Cast['centre'] => ({ address, identity: '' })
const CAST: Cast = {
  centre: nobody('vpp-1'),
  ...{ steady: [nobody('heh-1'), nobody('heh-2')], quiet: [], late: [], declaring: [] },
}

/** A cluster of three that writes down what is done to it. */
function recording(clientsOn: string[] = []): { driver: Driver; done: string[] } {
  const done: string[] = []
  let leader = ''
  const say =
    (name: string) =>
    (...args: unknown[]): Promise<void> => {
      done.push(
        `${name} ${args.map(arg => (Array.isArray(arg) ? arg.join('+') : String(arg))).join(' ')}`.trim(),
      )
      return Promise.resolve()
    }
  const actions: Partial<Actions> = {
    ...{ kill: say('kill'), pause: say('pause'), resume: say('resume'), terminate: say('terminate') },
    ...{ deleteQueue: say('deleteQueue'), listenOnly: say('listenOnly') },
    start: node => say('start')(node),
    async moveLeaders(node) {
      leader = node
      await say('moveLeaders')(node)
    },
    queues: () => Promise.resolve([{ name: 'inbox.vpp-1', leader, members: [], online: [] }]),
    connections: () => Promise.resolve(clientsOn),
    closeConnections: () => Promise.resolve(clientsOn.length),
  }
  const nodes = ['n1', 'n2', 'n3']
  const heal = async (): Promise<void> => await say('heal')()
  return { driver: { kind: 'recording', nodes, url: node => `amqps://${node}`, actions, heal }, done }
}

function stageOf(
  driver: Driver,
  changes: Partial<Stage> = {},
): Stage & { notes: string[]; injections: number } {
  const notes: string[] = []
  const stage = {
    ...{ driver, links: undefined, random: seededRandom('x'), cast: CAST, notes, injections: 0 },
    note: (line: string) => void notes.push(line),
    signal: new AbortController().signal,
    load: {} as LoadControl,
    linksOf: () => {
      throw new Error('no links')
    },
    injected() {
      stage.injections++
    },
    ...changes,
  }
  return stage
}

const scenario = (rest: string) => scenarioOf(readScript(`name: x\nbound: 1 s\n${rest}`, 'x.yaml'))

describe('a scenario of a file', () => {
  it('puts leaders and clients where the file wants them, and opens the gates before the fault', async () => {
    const { driver, done } = recording(['n2', 'n2'])
    const made = scenario('place: {leaders: chosen, clients: chosen}\nsteps: [kill: chosen]\n')
    const stage = stageOf(driver, {
      random: { ...seededRandom('x'), pick: <T>(items: readonly T[]): T => items[1] as T },
    })
    expect(await made.place(stage)).toEqual(['amqps://n1', 'amqps://n2', 'amqps://n3'])
    await made.armed(stage)
    await made.inject(stage)
    expect(done).toEqual([
      'moveLeaders n2',
      'listenOnly n2',
      'listenOnly n1+n2+n3',
      'moveLeaders n2',
      'kill n2',
    ])
    expect(stage.injections).toBe(1)
    expect(made.needs).toEqual(['kill', 'moveLeaders', 'queues', 'connections', 'listenOnly'])
  })

  it('is not injected while a client sits where it must not', async () => {
    const { driver } = recording(['n1', 'n2', 'n3'])
    const made = scenario('place: {clients: elsewhere}\nsteps: [kill: chosen]\n')
    const stage = stageOf(driver)
    expect(await made.place(stage)).toHaveLength(2)
    await expect(made.armed(stage)).rejects.toThrow(/^not injected: 1 of 3 connections are on n/)
  }, 15_000)

  it('gates clients at the links where there are some, so that any cluster will do', async () => {
    const refused: string[] = []
    const links = {
      everywhere: () =>
        Promise.resolve(['amqps://localhost:1', 'amqps://localhost:2', 'amqps://localhost:3']),
      refuse: (on: boolean, nodes: readonly string[] = ['all']) =>
        void refused.push(`${on} ${nodes.join('+')}`),
      connections: () => [{}],
    } as unknown as LinkDriver
    const made = scenario('place: {clients: chosen, links: true}\nsteps: [blackhole: chosen]\n')
    const stage = stageOf({ ...recording().driver, actions: {} }, { links })
    expect(await made.place(stage)).toHaveLength(3)
    expect(refused).toEqual(['false all', expect.stringMatching(/^true n\d\+n\d$/)])
    await made.armed(stage)
    expect(refused.at(-1)).toBe('false all')
    expect(made.needs).toEqual([])
  })

  it('does every node in turn, and starts those that need each other before it waits for one', async () => {
    const { driver, done } = recording()
    await scenario('steps: [for-each-node: [terminate: chosen, start: chosen]]\n').inject(stageOf(driver))
    expect(done.map(line => line.split(' ')[0])).toEqual([
      'terminate',
      'start',
      'terminate',
      'start',
      'terminate',
      'start',
    ])
    expect(new Set(done.map(line => line.split(' ')[1]))).toEqual(new Set(['n1', 'n2', 'n3']))
  })

  it('calls the end of its own healing the end of the fault, and lets the drivers mend the rest', async () => {
    const { driver, done } = recording()
    const made = scenario('steps: [pause: leader]\nheal: [resume: leader]\n')
    const stage = stageOf(driver)
    await made.place(stage)
    await made.heal(stage)
    expect(done.map(line => line.split(' ')[0])).toEqual(['resume', 'heal'])
    const harmless = recording(['n1'])
    await scenario('steps: [close-connections: bye]\n').heal(stageOf(harmless.driver))
    expect(harmless.done).toEqual([])
  })

  it('knows queues by the party that they belong to', async () => {
    const { driver, done } = recording()
    await scenario(
      'steps: [delete-queue: steady-2, delete-queue: parked centre, delete-queue: other]\n'
        .replaceAll(', delete', '\n  - delete')
        .replace('[', '\n  - ')
        .replace(']', ''),
    ).inject(stageOf(driver))
    expect(done).toEqual(['deleteQueue inbox.heh-2', 'deleteQueue parked.vpp-1', 'deleteQueue other'])
  })

  it.each([
    [
      'steps: [partition: [[chosen], [others]]]\n',
      /^not injected: driver recording cannot partition; it can kill/,
    ],
    ['steps: [reset: all]\n', /^not injected: nothing between clients and nodes can reset/],
  ])('that asks for what nobody can do has no result: %s', async (steps, expected) => {
    const setting = {
      ...{ driver: recording().driver, links: undefined, cast: CAST, folder: '', everyMs: 40 },
      ...{ note: () => undefined, signal: new AbortController().signal },
    }
    const { error, violations } = await runOnce(scenario(steps), setting, 'r', seededRandom('x'))
    expect(error).toMatch(expected)
    expect(violations).toEqual([])
  })
})

describe('what a scenario expects', () => {
  const told = (name: string, t: number): Entry => ({ kind: 'event', t, party: 'heh-1', name })
  const window = { from: 100, until: 200 }

  it('are events that somebody tells after the fault', () => {
    const wanted = { events: ['parked'], noEvents: [] }
    expect(asExpected([told('parked', 150)], wanted, window)).toEqual([])
    expect(asExpected([told('parked', 50)], wanted, window)).toMatchObject([
      { invariant: 'I6', message: 'expected the event parked, which nobody told' },
    ])
  })

  it('are events that nobody tells', () => {
    const unwanted = { events: [], noEvents: ['disconnected'] }
    expect(asExpected([told('disconnected', 50), told('disconnected', 250)], unwanted, window)).toEqual([])
    expect(asExpected([told('disconnected', 150)], unwanted, window)).toMatchObject([
      { message: 'expected no event disconnected, which was told 1 times, by heh-1' },
    ])
  })
})
