/** The examples that need no broker, run as their heads say. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initPki, provision } from '../../pki/index.js'
import { build, run } from '../support/program.js'

const dir = mkdtempSync(join(tmpdir(), 'sealbus-examples-'))

beforeAll(async () => {
  const { pki } = await initPki({ dir: join(dir, 'D'), domain: 'field', passphrase: 'for tests only' })
  await provision(pki, [
    { name: 'vpp-0001', role: 'vpp' },
    { name: 'heh-0001', role: 'heh' },
  ])
  await build()
}, 180_000)
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('the examples', () => {
  it('01: a question gets its sealed and signed answer', { timeout: 60_000 }, async () => {
    const output = await run('examples/01-first-message.js', [join(dir, 'D')])
    expect(output).toBe('heh-0001 heh { load: 1.52 }\n')
  })

  it('02: a connector moves to a sealed bus by one line', { timeout: 60_000 }, async () => {
    const output = await run('examples/02-wrap-a-connector.js', [join(dir, 'D'), join(dir, 'state')])
    expect(output).toBe('connector got {"signals":["load"]}\nvpp got {"load":0}\n')
  })
})
