import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../../chaos/ledger.js'
import { Load } from '../../chaos/load.js'
import type { LoadPlan } from '../../chaos/plan.js'

/** A program of the load that knows no bus: it sends one numbered line every 20 ms, and handles it itself. */
const PROGRAM = `
import { appendFileSync } from 'node:fs'
let file, lane, n = 0, timer
const write = entry => appendFileSync(file, JSON.stringify({ t: Date.now(), ...entry }) + '\\n')
process.on('message', order => {
  if (order.do === 'prepare') {
    file = order.assignment.ledgerFile
    lane = order.assignment.plan.lanes[0].lane
    process.send({ is: 'prepared' })
  }
  if (order.do === 'begin') timer = setInterval(() => {
    write({ kind: 'sent', lane, n, deadline: Date.now() + 1000 })
    write({ kind: 'resolved', lane, n, epoch: lane, seq: n })
    write({ kind: 'handled', lane, n, from: '' })
    n++
    process.send({ is: 'progress', lanes: { [lane]: { sent: n, resolved: n, rejected: 0, handled: n } } })
  }, 20)
  if (order.do === 'stop') clearInterval(timer)
  if (order.do === 'trick') process.kill(process.pid, 'SIGKILL')
  if (order.do === 'close') { clearInterval(timer); process.send({ is: 'closed' }); process.disconnect() }
})
process.on('disconnect', () => process.exit(0))
`

let folder = ''
let load: Load | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealbus-load-'))
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
})
afterEach(() => {
  load?.abandon()
  rmSync(folder, { recursive: true, force: true })
})

const launch = (): ChildProcess =>
  fork(join(folder, 'program.mjs'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })

function planOf(restartMs?: number): LoadPlan {
  const party = { role: 'steady-1', address: 'a', identity: '', group: 'steady' as const }
  const lane = {
    lane: 'a>b#report',
    from: 'a',
    to: 'b',
    type: 'report',
    group: 'steady' as const,
    everyMs: 20,
    delayMs: 0,
  }
  const parties = [{ ...party, ...(restartMs !== undefined && { restartMs }) }]
  return { run: 'r', lifetimeMs: 1_000, processes: [{ name: 'steady-1', parties, lanes: [lane] }] }
}

async function flowing(restartMs?: number): Promise<Load> {
  load = await Load.start(planOf(restartMs), [], folder, launch)
  load.begin('steady')
  await load.flowing(1, 3, 5_000)
  return load
}

const lanesOf = (entries: readonly Entry[]): string[] => [
  ...new Set(entries.flatMap(entry => (entry.kind === 'sent' ? [entry.lane] : []))),
]
const fatals = (entries: readonly Entry[]): Entry[] => entries.filter(({ kind }) => kind === 'fatal')

describe('a process of the load', () => {
  it('that is killed on purpose is no crash, and lives again in lanes of a new name', async () => {
    const running = await flowing()
    await running.kill('steady-1')
    await running.revive('steady-1')
    await running.handled('steady-1', 5_000)
    running.stop()
    expect(await running.settle(5_000)).toBe(true)
    await running.close()
    const entries = running.entries()
    expect(lanesOf(entries)).toEqual(['a>b#report', 'a>b#report~2'])
    expect(fatals(entries)).toEqual([])
    expect(entries.filter(({ kind }) => kind === 'ended')).toMatchObject([{ lanes: ['a>b#report'] }])
  })

  it('that dies by itself has crashed', async () => {
    const running = await flowing()
    running.trick('steady-1', { is: 'block', forMs: 0 }) // this program dies of any trick
    await running.ended('steady-1', 5_000)
    await running.close()
    expect(fatals(running.entries())).toMatchObject([{ what: 'exit' }])
  })

  it('is started again by itself where the plan says so', async () => {
    const running = await flowing(50)
    running.trick('steady-1', { is: 'die-in-handler' })
    await running.ended('steady-1', 5_000)
    await expect.poll(() => lanesOf(running.entries()), { timeout: 10_000 }).toContain('a>b#report~2')
    running.stop()
    await running.settle(5_000)
    await running.close()
    expect(lanesOf(running.entries())).toContain('a>b#report~2')
    expect(fatals(running.entries())).toEqual([])
  })

  it('has a name; asking for another one says which there are', async () => {
    const running = await flowing()
    await expect(running.kill('steady-2')).rejects.toThrow('there are steady-1')
    expect(running.active('steady-1')).toBe('steady-1')
  })
})
