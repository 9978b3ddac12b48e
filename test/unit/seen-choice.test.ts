import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connect } from '../../src/connect.js'
import { seenChoice } from '../../src/seen-choice.js'
import { SharedMemory } from '../support/shared-memory.js'

const config = { seen: 'file', address: 'vpp', name: 'config.json' } as const
const silent = (): void => undefined

test('a store of the application is told whose inbox it is, and used as it is', () => {
  const joined: string[] = []
  const store = { ...new SharedMemory().worker(), join: (address: string) => void joined.push(address) }
  expect(seenChoice({ seen: store }, config, undefined)(silent)).toBe(store)
  expect(joined).toEqual(['vpp'])
})

test('a word in the options counts before the one in config.json', () => {
  const state = mkdtempSync(join(tmpdir(), 'sealbus-seen-choice-'))
  expect(seenChoice({}, config, state)(silent).kind).toBe('file')
  expect(seenChoice({ seen: 'memory' }, config, state)(silent).kind).toBe('memory')
  rmSync(state, { recursive: true })
})

test('a file needs a folder', () => {
  expect(() => seenChoice({}, config, undefined)).toThrow('state')
})

test('a part of an inbox needs a memory that the workers share', async () => {
  await expect(connect({ identity: 'nowhere', partition: 1, seen: 'memory' })).rejects.toMatchObject({
    code: 'configuration',
  })
})
