import { describe, expect, it } from 'vitest'
import { disconnected, reconnected, separated } from '../../chaos/drivers/distribution.js'
import { type Shell, serving } from '../../chaos/drivers/erlang.js'
import { operatorActions } from '../../chaos/drivers/operator.js'
import { Provisioned } from '../../chaos/drivers/provisioned.js'

const NODES = ['a@h', 'b@h', 'c@h']

/** Nodes that write down what they are asked, and answer from a table: the first word that is in the question. */
function shell(
  answers: Record<string, unknown> = {},
  frozen: readonly string[] = [],
): Shell & { asked: string[] } {
  const asked: string[] = []
  return {
    nodes: NODES,
    asked,
    answers: node => !frozen.includes(node),
    evaluate: (expression, node) => {
      asked.push(`${node}: ${expression}`)
      const [, answer = true] =
        Object.entries(answers).find(([word]) => `${node}: ${expression}`.includes(word)) ?? []
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
  }
}

describe('a partition without a right over the network', () => {
  it.each([
    { groups: [['a@h'], ['b@h', 'c@h']], cut: ['a@h b@h', 'a@h c@h'] },
    {
      groups: [
        ['a@h', 'c@h'],
        ['b@h', 'c@h'],
      ],
      cut: ['a@h b@h'],
    },
    { groups: [['a@h'], ['b@h'], ['c@h']], cut: ['a@h b@h', 'a@h c@h', 'b@h c@h'] },
    { groups: [NODES], cut: [] },
  ])('cuts the pairs that share no group: $groups', ({ groups, cut }) => {
    expect(separated(NODES, groups).map(pair => pair.join(' '))).toEqual(cut)
  })

  it('needs every node in a group, and no other', () => {
    expect(() => separated(NODES, [['a@h'], ['b@h']])).toThrow('see c@h')
    expect(() => separated(NODES, [NODES, ['d@h']])).toThrow('see d@h')
  })

  it('closes all connections of a lonely node in one instant, after nobody lets it in any more', async () => {
    const nodes = shell()
    await disconnected(nodes, [['b@h'], ['a@h', 'c@h']])
    const cut = nodes.asked.filter(each => each.includes('disconnect_node'))
    expect(cut).toHaveLength(1)
    expect(cut[0]).toMatch(/^b@h: .*\['a@h', 'c@h'\]/)
    const barred = nodes.asked.filter(each => each.includes('sealbus_chaos_cut'))
    expect(barred.map(each => each.slice(0, 3))).toEqual(NODES.map(node => node))
    expect(nodes.asked.indexOf(cut[0] ?? '')).toBeGreaterThan(nodes.asked.indexOf(barred.at(-1) ?? ''))
  })

  it('lets all in again whom it can ask, and says who could not be', async () => {
    const nodes = shell({ 'c@h:': new Error('c does not answer') }, ['a@h'])
    await expect(reconnected(nodes)).rejects.toThrow('c does not answer')
    expect(nodes.asked.map(each => each.slice(0, 3))).toEqual(['b@h', 'c@h'])
  })
})

describe('what an operator can do', () => {
  it('is asked of a node on which RabbitMQ runs, not of a frozen or a paused one', async () => {
    expect(await serving(shell({ 'b@h: rabbit:is_running': false }, ['a@h']))).toBe('c@h')
    await expect(serving(shell({ is_running: false }))).rejects.toThrow('no node serves: a@h is not running')
  })

  it('remembers what was provisioned before it takes anything away', async () => {
    const nodes = shell()
    await operatorActions(nodes).deleteExchange('sealbus')
    const [remembered, deleted] = ['all_definitions', 'rabbit_exchange:delete'].map(word =>
      nodes.asked.findIndex(each => each.includes(word)),
    )
    expect(remembered).toBeGreaterThanOrEqual(0)
    expect(deleted).toBeGreaterThan(remembered ?? 0)
  })

  it('restores from a node that remembers, and does nothing where none does', async () => {
    const nodes = shell({ 'a@h: rabbit:is_running() andalso': false })
    await new Provisioned(nodes, 'sealbus').restore()
    expect(nodes.asked.find(each => each.includes('import_raw'))).toMatch(/^b@h: /)
    const others = shell({ 'andalso persistent_term': false })
    await new Provisioned(others, 'sealbus').restore()
    expect(others.asked.some(each => each.includes('import_raw'))).toBe(false)
  })

  it('puts no name into an expression as it stands', async () => {
    const nodes = shell()
    await operatorActions(nodes).deleteUser("x'>>), halt(")
    expect(nodes.asked.join()).not.toContain('halt(')
  })
})
