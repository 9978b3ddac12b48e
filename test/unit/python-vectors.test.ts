/** The frozen envelopes of test/vectors, opened by the Python client: a second implementation of docs/PROTOCOL.md. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ROOT } from '../support/program.js'
import { python } from '../support/python.js'

const VECTORS = join(ROOT, 'test', 'vectors', 'sealed-v1.json')
const folder = mkdtempSync(join(tmpdir(), 'sealbus-python-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Vectors {
  cases: { name: string; expected: { ok: boolean } }[]
}
const read = (): Vectors => JSON.parse(readFileSync(VECTORS, 'utf8')) as Vectors

test('a client in Python opens and refuses every frozen envelope as expected', async () => {
  const { length } = read().cases
  expect(await python('check_vectors.py', [VECTORS])).toContain(`${length} of ${length} as expected`)
})

test('a case that turns out otherwise is named', async () => {
  const vectors = read()
  for (const { name, expected } of vectors.cases) if (name === 'one message') expected.ok = false
  const file = join(folder, 'changed.json')
  writeFileSync(file, JSON.stringify(vectors))
  await expect(python('check_vectors.py', [file])).rejects.toMatchObject({
    stdout: expect.stringMatching(/^one message: expected/) as string,
  })
})
