import { describe, expect, it } from 'vitest'
import { DEFAULT_POLICY } from '../../pki/default-policy.js'
import { definitions } from '../../pki/definitions.js'
import { correspondents, type DomainPolicy, rulesOf } from '../../pki/policy.js'
import { parsePolicy } from '../../src/crypto/policy.js'

const policyOf = (role: string) =>
  parsePolicy(
    JSON.stringify({ version: 1, allow: rulesOf(DEFAULT_POLICY, { name: 'x', role }, 'field') }),
    'field',
  )
const party = (role: string) => ({ domain: 'field', address: `${role}-0001`, role })

describe('the policy of a new domain', () => {
  it.each([
    ['vpp', 'heh', 'get_report'],
    ['heh', 'vpp', 'report'],
    ['vpp', 'heh', 'activate'],
    ['heh', 'vpp', 'accept_activation'],
    ['vpp', 'tso', 'balancing_reserve_bid'],
    ['tso', 'vpp', 'response'],
    ['tso', 'vpp', 'activate_bid'],
    ['connector', 'api', 'bemcom/heartbeat'],
    ['vpp', 'connector', 'bemcom/datapoint_map'],
    ['controller', 'connector', 'bemcom/value'],
  ])('lets %s send to %s: %s, by the files of both', (from, to, type) => {
    expect(policyOf(from).permit(party(from), party(to), type)).toBeDefined()
    expect(policyOf(to).permit(party(from), party(to), type)).toBeDefined()
  })

  it.each([
    ['heh', 'vpp', 'activate'],
    ['heh', 'heh', 'report'],
    ['heh', 'tso', 'balancing_reserve_bid'],
    ['dso', 'heh', 'activate'],
    ['vpp', 'heh', 'load/tick'],
  ])('does not let %s send to %s: %s', (from, to, type) => {
    expect(policyOf(from).permit(party(from), party(to), type)).toBeUndefined()
  })

  it('refuses an activation after a quarter of an hour', () => {
    expect(policyOf('heh').permit(party('vpp'), party('heh'), 'activate')).toEqual({ maxAgeMs: 900_000 })
  })
})

describe('correspondents', () => {
  const policy: DomainPolicy = {
    version: 1,
    roles: {},
    allow: [
      { from: { role: 'vpp' }, to: { role: 'heh' }, types: ['a'] },
      { from: { address: 'tso-0001' }, to: { address: 'heh-0002' }, types: ['a'] },
      { from: { role: 'heh' }, to: { domain: 'elsewhere', role: 'vpp' }, types: ['a'] },
    ],
  }
  const members = [
    { name: 'heh-0001', role: 'heh' },
    { name: 'heh-0002', role: 'heh' },
    { name: 'tso-0001', role: 'tso' },
    { name: 'vpp-0001', role: 'vpp' },
  ]
  const of = correspondents(policy, members, 'field')
  const namesFor = (name: string) =>
    members
      .filter(each => each.name === name)
      .flatMap(each => [...of(each)].map(m => m.name))
      .sort()

  it('are both sides of each rule, in this domain', () => {
    expect(namesFor('heh-0001')).toEqual(['vpp-0001'])
    expect(namesFor('heh-0002')).toEqual(['tso-0001', 'vpp-0001'])
    expect(namesFor('tso-0001')).toEqual(['heh-0002'])
    expect(namesFor('vpp-0001')).toEqual(['heh-0001', 'heh-0002'])
  })

  it('never take in the member itself', () => {
    const among = correspondents(
      { ...policy, allow: [{ from: { role: 'heh' }, to: { role: 'heh' }, types: ['a'] }] },
      members,
      'field',
    )
    expect(members.slice(0, 2).map(each => [...among(each)].map(m => m.name))).toEqual([
      ['heh-0002'],
      ['heh-0001'],
    ])
  })
})

describe('definitions', () => {
  type Rows = Record<string, Record<string, unknown>[]>
  const parse = (text: string): Rows => JSON.parse(text) as Rows
  const vpp = { name: 'vpp-0001', inbox: 'quorum', declare: true, revoked: false } as const
  const hub = { name: 'heh-0001', inbox: 'quorum', declare: false, revoked: false } as const
  const rows = parse(definitions([hub, vpp]))

  it('give every user an empty password hash and no tags', () => {
    for (const user of rows['users'] ?? []) expect(user).toMatchObject({ password_hash: '', tags: [] })
    expect(rows['users']).toHaveLength(2)
  })

  it('let an installation declare its own queues, and a device none', () => {
    expect(rows['permissions']).toEqual([
      {
        user: 'heh-0001',
        vhost: 'sealbus',
        configure: '^$',
        write: '^(sealbus|sealbus\\.parked)$',
        read: '^(inbox|parked)\\.heh-0001$',
      },
      {
        user: 'vpp-0001',
        vhost: 'sealbus',
        configure: '^(inbox|parked)\\.vpp-0001$',
        write: '^(sealbus|sealbus\\.parked|(inbox|parked)\\.vpp-0001)$',
        read: '^(sealbus|sealbus\\.parked|(inbox|parked)\\.vpp-0001)$',
      },
    ])
    expect(rows['queues']?.map(queue => queue['name'])).toEqual(['inbox.heh-0001', 'parked.heh-0001'])
    expect(rows['bindings']).toHaveLength(2)
  })

  it('limit deliveries where the dead letters go to parking, and next to not at all in parking itself', () => {
    const limits = rows['policies']?.map(({ name, definition }) => [
      name,
      (definition as Record<string, unknown>)['delivery-limit'],
    ])
    expect(Object.fromEntries(limits ?? [])).toMatchObject({ inbox: 200, parked: 1_000_000 })
  })

  it('keep the queues of a transient inbox off the disk, but not what is parked', () => {
    const queues = parse(definitions([{ ...hub, inbox: 'transient' }]))['queues']
    expect(queues?.map(queue => queue['durable'])).toEqual([false, true])
  })

  it('take everything from a revoked user, who stays so that an import does it', () => {
    const revoked = parse(definitions([{ ...vpp, revoked: true }]))
    expect(revoked['users']).toHaveLength(1)
    expect(revoked['permissions']).toEqual([
      { user: 'vpp-0001', vhost: 'sealbus', configure: '^$', write: '^$', read: '^$' },
    ])
  })
})
