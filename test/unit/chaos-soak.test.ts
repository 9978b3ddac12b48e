import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Crew } from '../../chaos/crew.js'
import type { Actions } from '../../chaos/drivers/actions.js'
import type { Driver, LinkDriver } from '../../chaos/drivers/driver.js'
import { nowMs } from '../../chaos/ledger.js'
import type { Cast } from '../../chaos/plan.js'
import type { Order } from '../../chaos/protocol.js'
import { seededRandom } from '../../chaos/random.js'
import { runSoak, type SoakResult, type SoakSetting } from '../../chaos/soak.js'
import { drawFaults, type SoakEvent } from '../../chaos/soak-draw.js'
import { faultsAtHand, type SoakFault, soakFaults } from '../../chaos/soak-faults.js'
import { soakJson, soakText } from '../../chaos/soak-summary.js'
import { StandInPost } from '../support/stand-in-bus.js'

/** A process of the load without a process: the same crew, on stand-in buses. */
class InProcess extends EventEmitter {
  connected = true
  readonly #crew: Crew
  #work: Promise<void> = Promise.resolve()

  constructor(post: StandInPost) {
    super()
    this.#crew = new Crew(
      party => Promise.resolve(post.bus(party.address)),
      report => setImmediate(() => this.emit('message', report)),
    )
  }

  send(order: Order): boolean {
    this.#work = this.#work.then(() => this.#crew.obey(order))
    if (order.do === 'close') void this.#work.then(() => setTimeout(() => this.emit('exit', 0, null), 20))
    return true
  }

  kill(): boolean {
    void this.#crew.obey({ do: 'stop' })
    return true
  }
}

const participant = (address: string): Cast['centre'] => ({ address, identity: '' })
const CAST: Cast = {
  ...{ centre: participant('vpp-1'), steady: [participant('heh-1')], quiet: [participant('heh-2')] },
  ...{ late: [], declaring: [] },
}

/** Breaks nothing, and writes down what it was asked for. */
function recorder(fail?: keyof Actions): { driver: Driver; asked: string[] } {
  const asked: string[] = []
  const act = (name: keyof Actions) => (): Promise<number> => {
    asked.push(name)
    return name === fail ? Promise.reject(new Error(`not injected: ${name}`)) : Promise.resolve(1)
  }
  const actions = { closeConnections: act('closeConnections') } as unknown as Partial<Actions>
  const driver: Driver = {
    ...{ kind: 'recorder', nodes: ['n1', 'n2', 'n3'], actions },
    url: node => `amqps://${node}`,
    heal: () => Promise.resolve(void asked.push('heal')),
  }
  return { driver, asked }
}

describe('the draws of a soak', () => {
  const fault = (name: string, kind: SoakFault['kind'], lastsMs: number): SoakFault => ({
    ...{ name, kind, needs: [], needsLinks: [], target: ({ random }) => random.pick(['a', 'b']) },
    run: () => (lastsMs === 0 ? Promise.resolve() : new Promise(resolve => setTimeout(resolve, lastsMs))),
  })
  const draw = (
    faults: readonly SoakFault[],
    seed: string,
    forMs: number,
    signal = new AbortController().signal,
  ): Promise<SoakEvent[]> =>
    drawFaults({
      ...{ faults, driver: recorder().driver, links: undefined, random: seededRandom(seed), signal },
      ...{ until: nowMs() + forMs, everyMs: [5, 15], note: () => undefined },
    })
  const span = ({ injectedAt, healedAt }: SoakEvent): [number, number] => [injectedAt, healedAt ?? Infinity]

  it('let faults of different kinds overlap, and never two of one kind, nor an operator with a node away', async () => {
    const events = await draw(
      [fault('node', 'node', 60), fault('link', 'link', 60), fault('operator', 'operator', 30)],
      'overlap',
      1_000,
    )
    expect(events.length).toBeGreaterThan(6)
    const overlaps = events.flatMap((a, i) =>
      events.slice(i + 1).flatMap(b => (span(b)[0] < span(a)[1] ? [[a.name, b.name].sort().join('+')] : [])),
    )
    expect(new Set(overlaps)).toEqual(new Set(['link+node', 'link+operator']))
  })

  it('are the same for the same seed', async () => {
    const faults = [fault('x', 'node', 0), fault('y', 'link', 0), fault('z', 'link', 0)]
    const names = async (seed: string): Promise<string[]> =>
      (await draw(faults, seed, 600)).slice(0, 8).map(({ name, target }) => `${name} ${target}`)
    const first = await names('one')
    expect(first).toHaveLength(8)
    expect(await names('one')).toEqual(first)
    expect(await names('two')).not.toEqual(first)
  })

  it('end when they are told to', async () => {
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 50)
    const began = performance.now()
    await draw([fault('x', 'node', 10)], 'end', 60_000, abort.signal)
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})

describe('the faults of a soak', () => {
  it('are those that the drivers at hand can do', () => {
    const { driver } = recorder()
    expect(faultsAtHand({ driver, links: undefined }).map(({ name }) => name)).toEqual([
      'close all connections',
    ])
    const links = { can: new Set(['reset']) } as unknown as LinkDriver
    expect(faultsAtHand({ driver, links }).map(({ name }) => name)).toEqual([
      'close all connections',
      'reset every connection',
    ])
  })

  it('have names of their own', () => {
    expect(new Set(soakFaults.map(({ name }) => name)).size).toBe(soakFaults.length)
  })
})

describe('a soak', () => {
  let folder = ''
  let post = new StandInPost()
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealbus-soak-'))
    post = new StandInPost()
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const soak = (driver: Driver, changes: Partial<SoakSetting> = {}): Promise<SoakResult> =>
    runSoak({
      ...{ driver, links: undefined, cast: CAST, folder, seed: 's', command: 'sealbus chaos soak --seed s' },
      ...{ configuration: [], durationMs: 600, everyMs: 10, note: () => undefined },
      ...{ signal: new AbortController().signal },
      times: { everyMs: [50, 100], calmMs: 20, drainMs: 2_000 },
      launch: () => new InProcess(post) as unknown as ChildProcess,
      ...changes,
    })

  it('judges every message, says which faults came, and does not judge growth that it cannot tell', async () => {
    const { driver, asked } = recorder()
    const result = await soak(driver)
    const { model, events } = result
    expect(events.length).toBeGreaterThan(3)
    expect(asked.filter(name => name === 'closeConnections')).toHaveLength(events.length)
    expect(model.verdict).toBe('met')
    expect(model.invariants.map(({ verdict }) => verdict)).toEqual([
      ...['held', 'held', 'held', 'held', 'not judged', 'not judged'],
    ])
    expect(model.totals.sent).toBeGreaterThan(100)
    expect(model.totals.handled).toBe(model.totals.sent)
    expect(model.faults).toHaveLength(events.length)
    expect(soakJson(result)).toMatchObject({
      ...{ met: true, seed: 's', violations: [], messages: [] },
      faults: { 'close all connections': events.length },
    })
    expect(soakText(result)).toMatch(/^met\nsent \d+, resolved \d+, rejected 0, handled \d+, handled again 0/)
  })

  it('names what was lost and what was handled twice', async () => {
    let n = 0
    post.fate = () => (n++ === 40 ? 'lose' : n === 60 ? 'double' : 'deliver')
    const result = await soak(recorder().driver, { times: { everyMs: [50, 100], calmMs: 20, drainMs: 500 } })
    expect(result.model.verdict).toBe('not met')
    expect(
      soakJson(result)
        .messages.map(({ what }) => what)
        .sort(),
    ).toEqual(['duplicated', 'lost'])
    expect(soakJson(result).violations).toEqual([
      expect.stringMatching(/^I1 .*: \d+ resolved, but neither handled nor in a named place$/),
      expect.stringMatching(/^I2 .*: \d+ handled again$/),
    ])
  })

  it('is no pass when a fault could not be injected, or when none came', async () => {
    const failed = await soak(recorder('closeConnections').driver)
    expect(failed.model.verdict).toBe('no result')
    expect(failed.model.error).toMatch(/^\d+ of \d+ faults failed: close all connections: not injected/)
    rmSync(folder, { recursive: true, force: true })
    folder = mkdtempSync(join(tmpdir(), 'sealbus-soak-'))
    const calm = await soak(recorder().driver, {
      times: { everyMs: [5_000, 5_000], calmMs: 20, drainMs: 2_000 },
    })
    expect(calm.model).toMatchObject({ verdict: 'no result', error: 'no fault came: run for longer' })
  })

  it('refuses a driver that can do none of its faults', async () => {
    const nothing = { ...recorder().driver, actions: {} }
    await expect(soak(nothing)).rejects.toThrow('driver recorder can do none of the faults of a soak')
  })
})
