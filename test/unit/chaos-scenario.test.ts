import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCampaign } from '../../chaos/campaign.js'
import { Crew } from '../../chaos/crew.js'
import type { Driver } from '../../chaos/drivers/driver.js'
import type { Fault } from '../../chaos/fault.js'
import { nowMs } from '../../chaos/ledger.js'
import type { Cast, Group } from '../../chaos/plan.js'
import type { Order } from '../../chaos/protocol.js'
import { seededRandom } from '../../chaos/random.js'
import { runOnce } from '../../chaos/run.js'
import type { RunResult, Scenario, Setting } from '../../chaos/scenario.js'
import { type Fate, StandInPost } from '../support/stand-in-bus.js'

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
    if (order.do === 'close') void this.#work.then(() => setTimeout(() => this.end(0, null), 20))
    return true
  }

  end(code: number | null, signal: string | null): void {
    this.connected = false
    this.emit('exit', code, signal)
  }

  kill(): boolean {
    void this.#crew.obey({ do: 'stop' })
    return true
  }
}

const participant = (address: string): Cast['centre'] => ({ address, identity: '' })
const CAST: Cast = {
  centre: participant('vpp-1'),
  steady: [participant('heh-1'), participant('heh-2')],
  quiet: [participant('heh-3')],
  late: [participant('heh-4')],
  declaring: [participant('vpp-2')],
}

/** A cluster that is always well; scenarios of these tests do not touch it. */
const driver: Driver = {
  kind: 'none',
  nodes: ['n1', 'n2', 'n3'],
  url: node => `amqps://${node}`,
  actions: {},
  heal: () => Promise.resolve(),
}

let folder = ''
let post = new StandInPost()
let members: InProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealbus-scenario-'))
  post = new StandInPost()
  members = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function setting(): Setting {
  return {
    ...{
      driver,
      links: undefined,
      cast: CAST,
      folder,
      everyMs: 5,
      note: () => undefined,
      signal: new AbortController().signal,
    },
    times: { steadyMs: 20, afterMs: 150, drainMs: 1_500 },
    launch: () => {
      const member = new InProcess(post)
      members.push(member)
      return member as unknown as ChildProcess
    },
  }
}

const loadOf = (...groups: Group[]): Scenario['load'] => ({ groups, lifetimeMs: 60_000, parties: new Map() })
const boundOf = (ms: number): Scenario['bound'] => ({ publishMs: ms, deliveryMs: ms })

/** The same, to be run by a campaign. */
function faultFor(changes: Partial<Scenario>): Fault {
  const made = scenario(changes)
  const { id, name, description, bound } = made
  return {
    ...{ id, name, description, bound },
    run: (theSetting, run, random) => runOnce(made, theSetting, run, random),
  }
}

function scenario(changes: Partial<Scenario> = {}): Scenario {
  return {
    ...{ id: '1', name: 'nothing happens', description: '', observeMs: 100, healingCounts: false },
    ...{ bound: boundOf(1_000), load: loadOf('steady', 'quiet', 'late', 'declaring'), links: false },
    ...{ needs: [], needsLinks: [], afterMs: 2_000, drainMs: 70_000 },
    expect: { rejections: [], events: [], noEvents: [], twice: 0 },
    place: () => Promise.resolve(['amqps://n1']),
    armed: () => Promise.resolve(),
    inject(stage) {
      stage.injected()
      return Promise.resolve()
    },
    heal: () => Promise.resolve(nowMs()),
    ...changes,
  }
}

let runs = 0
const attempt = (changes: Partial<Scenario> = {}, run = `run-${runs++}`): Promise<RunResult> =>
  runOnce(scenario(changes), setting(), run, seededRandom('x'))

/** After the injection, this becomes of the n-th message from here on. */
function fateOf(n: number, fate: Fate): Partial<Scenario> {
  return {
    inject(stage) {
      let count = 0
      post.fate = () => (count++ === n ? fate : 'deliver')
      stage.injected()
      return Promise.resolve()
    },
  }
}

describe('a run', () => {
  it('finds nothing where nothing happens, and has heard every group', async () => {
    const { violations, gapMs, totals, error } = await attempt()
    expect(error).toBeUndefined()
    expect(violations).toEqual([])
    expect(gapMs).toBeLessThan(600) // the quiet and the late begin within 400 ms
    expect(totals.handled).toBe(totals.sent)
    expect(totals.sent).toBeGreaterThan(100)
  })

  it.each([
    ['lose', /^I1 .* resolved, but neither handled/],
    ['double', /^I2 .* handled again/],
    ['reject', /^I4 .* rejected with connection-lost/],
  ] as const)('sees a bus that would %s a message', async (fate, pattern) => {
    const { violations } = await attempt(fateOf(5, fate))
    expect(violations).toHaveLength(1)
    expect(violations[0]).toMatch(pattern)
  })

  it('measures how long deliveries were away, and holds it against the bound', async () => {
    const stalled: Partial<Scenario> = {
      ...{ bound: boundOf(200), observeMs: 700, load: loadOf('steady') },
      inject(stage) {
        post.fate = () => 'pend'
        stage.injected()
        setTimeout(() => {
          post.fate = () => 'deliver'
        }, 300)
        return Promise.resolve()
      },
    }
    const { violations, gapMs } = await attempt(stalled)
    expect(gapMs).toBeGreaterThan(290)
    expect(gapMs).toBeLessThan(500)
    expect(violations.filter(text => text.startsWith('I6'))).toHaveLength(4)
  })

  it('sees a process of the load that crashes', async () => {
    const { violations } = await attempt({
      inject(stage) {
        stage.injected()
        members[1]?.kill()
        members[1]?.end(null, 'SIGSEGV')
        return Promise.resolve()
      },
    })
    expect(violations).toContainEqual('I4 exit: hubs ended with SIGSEGV before it was told to')
  })

  it('has no result, and no pass, when the fault could not be injected', async () => {
    expect(await attempt({ inject: () => Promise.resolve() })).toMatchObject({
      error: 'the scenario injected nothing',
    })
    const failing: (keyof Scenario)[] = ['place', 'armed', 'inject', 'heal']
    for (const step of failing) {
      const result = await attempt({ [step]: () => Promise.reject(new Error(`no ${step}`)) })
      expect(result.error).toBe(`no ${step}`)
      expect(result.gapMs).toBeUndefined()
    }
  })
})

describe('a campaign', () => {
  it('never adds to the ledgers of another run', async () => {
    await attempt({ load: loadOf('steady'), observeMs: 20 }, 'same')
    expect(await attempt({ load: loadOf('steady') }, 'same')).toMatchObject({
      error: expect.stringContaining('each run needs a name of its own') as string,
    })
  })

  it('runs each fault as often as asked, and is met only when all of them are', async () => {
    const good = faultFor({ load: loadOf('steady'), observeMs: 20 })
    const bad = faultFor({
      id: '2',
      load: loadOf('steady'),
      inject: () => Promise.reject(new Error('no leader')),
    })
    const shared = { repeat: 2, random: seededRandom('x'), setting: setting() }
    const first = await runCampaign({ ...shared, faults: [good] })
    expect(first.reports).toMatchObject([{ id: 1, runs: 2, met: true }])
    expect(first.met).toBe(true)
    rmSync(folder, { recursive: true })
    mkdirSync(folder)
    const both = await runCampaign({ ...shared, faults: [good, bad] })
    expect(both.reports).toMatchObject([{ met: true }, { id: 2, runs: 2, met: false }])
    expect(both.met).toBe(false)
  })

  it('ends when it is interrupted, and that is no pass', async () => {
    const abort = new AbortController()
    const endless = faultFor({ load: loadOf('steady'), observeMs: 60_000 })
    const running = runCampaign({
      ...{ faults: [endless], repeat: 1, random: seededRandom('x') },
      setting: { ...setting(), signal: abort.signal },
    })
    setTimeout(() => abort.abort(), 600)
    expect(await running).toEqual({ reports: [], met: false })
  })
})
