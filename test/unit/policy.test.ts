import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../src/crypto/policy.js'

const vpp = { domain: 'field', address: 'vpp-1', role: 'vpp' }
const heh = { domain: 'field', address: 'heh-0001', role: 'heh' }
const policy = (...allow: readonly unknown[]) => parsePolicy(JSON.stringify({ version: 1, allow }), 'field')
const between = { from: { role: 'vpp' }, to: { role: 'heh' } }

describe('policy', () => {
  it('allows nothing by itself', () => {
    expect(policy().permit(vpp, heh, 'activate')).toBeUndefined()
  })

  it('allows what a rule names, in that direction only', () => {
    const check = policy({ ...between, types: ['activate'] })
    expect(check.permit(vpp, heh, 'activate')).toEqual({})
    expect(check.permit(heh, vpp, 'activate')).toBeUndefined()
    expect(check.permit(vpp, heh, 'activate2')).toBeUndefined()
    expect(check.permit(vpp, { ...heh, role: 'tso' }, 'activate')).toBeUndefined()
    expect(check.permit({ ...vpp, role: 'heh' }, heh, 'activate')).toBeUndefined()
  })

  it('takes * at the end of a type as any end', () => {
    const check = policy({ ...between, types: ['bemcom/*'] })
    expect(check.permit(vpp, heh, 'bemcom/value')).toEqual({})
    expect(check.permit(vpp, heh, 'bemcom')).toBeUndefined()
  })

  it('wants every field of a rule to match: role, address, domain', () => {
    const check = policy({
      from: { role: 'vpp', address: 'vpp-1' },
      to: { address: 'heh-0001' },
      types: ['*'],
    })
    expect(check.permit(vpp, heh, 'x')).toEqual({})
    expect(check.permit({ ...vpp, address: 'vpp-2' }, heh, 'x')).toBeUndefined()
    expect(check.permit({ ...vpp, role: 'tso' }, heh, 'x')).toBeUndefined()
    expect(check.permit(vpp, { ...heh, address: 'heh-0002' }, 'x')).toBeUndefined()
  })

  it('means its own domain unless a rule names another', () => {
    const foreign = { ...vpp, domain: 'town' }
    expect(policy({ ...between, types: ['*'] }).permit(foreign, heh, 'x')).toBeUndefined()
    const check = policy({ ...between, from: { role: 'vpp', domain: 'town' }, types: ['*'] })
    expect(check.permit(foreign, heh, 'x')).toEqual({})
    expect(check.permit(vpp, heh, 'x')).toBeUndefined()
  })

  it('says the maximum age, the strictest of several rules', () => {
    const rules = [
      { ...between, types: ['*'] },
      { ...between, types: ['activate'], maxAgeSeconds: 900 },
      { ...between, types: ['act*'], maxAgeSeconds: 60 },
    ]
    expect(policy(...rules).permit(vpp, heh, 'activate')).toEqual({ maxAgeMs: 60_000 })
    expect(policy(...rules).permit(vpp, heh, 'report')).toEqual({})
  })

  it('has no word on the types of sealbus itself', () => {
    expect(
      policy({ ...between, types: ['*', 'sealbus/*', 'sealbus/receipt'] }).permit(
        vpp,
        heh,
        'sealbus/receipt',
      ),
    ).toBeUndefined()
  })

  it.each<[unknown, string]>([
    [{ ...between }, 'allow[0]: "types": expected a list of at least 1, it is missing'],
    [{ ...between, types: ['a*b'] }, 'allow[0]: "types": expected a list of texts'],
    [{ ...between, types: ['x'], maxAgeSeconds: 0 }, '"maxAgeSeconds": expected a whole number in 1..604800'],
    [{ ...between, types: ['x'], maxAge: 1 }, 'allow[0]: unknown field "maxAge"'],
    [
      { ...between, from: {}, types: ['x'] },
      'allow[0].from: expected "role", "address" or "domain", got none',
    ],
    [{ ...between, to: { rolle: 'heh' }, types: ['x'] }, 'allow[0].to: unknown field "rolle"'],
    [{ to: {}, types: ['x'] }, '"from": expected an object, it is missing'],
    ['x', '"allow": expected a list of objects'],
  ])('with the rule %j is refused by name', (rule, message) => {
    expect(() => policy(rule)).toThrow(message)
  })

  it('of another version is refused', () => {
    expect(() => parsePolicy('{"version":2,"allow":[]}', 'field')).toThrow(
      'policy.json: "version": expected 1',
    )
  })
})
