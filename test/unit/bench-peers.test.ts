/** The comparison's judge and its balancer: figures for other libraries must be as right as those for our own. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type Balancer, startBalancer } from '../../bench/peers-balancer.js'
import { isBest, type Verdict, verdictOf } from '../../bench/peers-verdict.js'
import type { Entry } from '../../chaos/ledger.js'

const LANE = 'a>b#report'
const WINDOW = { from: 1_000, until: 2_000, loadEnd: 2_000 }

type Kind = 'sent' | 'resolved' | 'rejected' | 'handled'

function entry(kind: Kind, n: number, t = 900 + n * 10): Entry {
  if (kind === 'sent') return { kind, t, lane: LANE, n, deadline: t + 60_000 }
  if (kind === 'resolved') return { kind, t, lane: LANE, n, epoch: '', seq: n }
  if (kind === 'rejected') return { kind, t, lane: LANE, n, code: 'x' }
  return { kind, t, lane: LANE, n, from: '' }
}

function of(...rows: readonly (readonly [Kind, ...number[]])[]): Entry[] {
  return rows.flatMap(([kind, ...numbers]) => numbers.map(n => entry(kind, n)))
}

describe('the verdict on a library', () => {
  it('counts what was rejected, never settled, lost, handled twice and handled too late', () => {
    const entries = of(['sent', 0, 1, 2, 3, 4, 5], ['resolved', 0, 1, 2, 3], ['rejected', 4])
    entries.push(...of(['handled', 0, 2, 1, 1]))
    const { sent, rejected, pending, lost, duplicated, reordered } = verdictOf('x', entries, WINDOW)
    expect({ sent, rejected, pending, lost, duplicated, reordered }).toEqual({
      ...{ sent: 6, rejected: 1, pending: 1, lost: 1, duplicated: 1, reordered: 1 },
    })
  })

  it('takes the longest silence after the injection, and says where it never ended', () => {
    const times = [950, 1_050, 1_800, 1_950]
    const entries = times.flatMap((t, n) =>
      (['sent', 'resolved', 'handled'] as const).map(kind => entry(kind, n, t)),
    )
    expect(verdictOf('x', entries, WINDOW)).toMatchObject({ gapMs: 750, dead: false })
    const dead = entries.filter(({ t }) => t < 1_000)
    expect(verdictOf('x', dead, WINDOW)).toMatchObject({ gapMs: 1_000, dead: true })
  })
})

describe('the best', () => {
  const whole: Verdict = {
    ...{ name: 'x', sent: 9, rejected: 0, pending: 0, lost: 0, duplicated: 0, reordered: 0 },
    ...{ gapMs: 300, stallMs: 60, dead: false, crashed: false },
  }

  it('lost, doubled, reordered and refused nothing, and was back within 100 ms of the first', () => {
    expect(isBest(whole, [{ ...whole, gapMs: 200 }])).toBe(true)
    expect(isBest(whole, [{ ...whole, gapMs: 199 }])).toBe(false)
    expect(isBest(whole, [{ ...whole, gapMs: 10, dead: true }])).toBe(true)
    for (const flaw of ['rejected', 'pending', 'lost', 'duplicated', 'reordered'] as const)
      expect(isBest({ ...whole, [flaw]: 1 }, [])).toBe(false)
    expect(isBest({ ...whole, crashed: true }, [])).toBe(false)
  })
})

describe('the balancer', () => {
  const opened: (Server | Balancer)[] = []
  afterEach(() => {
    for (const each of opened.splice(0)) void each.close()
  })

  async function node(name: string): Promise<Server> {
    const server = createServer(socket => socket.on('error', () => undefined).end(name))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(server)
    return server
  }

  async function greeting(port: number): Promise<string> {
    const socket = connect({ port, host: '127.0.0.1' })
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    return text
  }

  it('leads each connection to the next node that accepts connections', async () => {
    const [one, two] = [await node('one'), await node('two')]
    const ports = [one, two].map(server => (server.address() as AddressInfo).port)
    const balancer = await startBalancer(ports.map(port => ({ checkPort: port, port })))
    opened.push(balancer)
    expect([await greeting(balancer.port), await greeting(balancer.port)]).toEqual(['one', 'two'])
    one.close()
    await once(one, 'close')
    expect([await greeting(balancer.port), await greeting(balancer.port)]).toEqual(['two', 'two'])
  })
})
