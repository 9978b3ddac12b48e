/** The frozen envelopes of test/vectors, opened by the Python client: a second implementation of docs/PROTOCOL.md. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ROOT } from '../support/program.js'
import { python, pythonCode } from '../support/python.js'

const VECTORS = join(ROOT, 'test', 'vectors', 'sealed-v1.json')
const folder = mkdtempSync(join(tmpdir(), 'sealbus-python-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Vectors {
  cases: { name: string; expected: { ok: boolean; reason?: string } }[]
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

const MINIMAL = join(ROOT, 'examples', 'python', 'minimal.py')

test('the client of one file opens and refuses every frozen envelope as expected', async () => {
  const { length } = read().cases
  expect(await python('check_minimal.py', [VECTORS])).toContain(`${length} of ${length} as expected`)
})

test('the client of one file names a case that turns out otherwise', async () => {
  const vectors = read()
  for (const { name, expected } of vectors.cases) if (name === 'one message') expected.ok = false
  const file = join(folder, 'changed-result.json')
  writeFileSync(file, JSON.stringify(vectors))
  await expect(python('check_minimal.py', [file])).rejects.toMatchObject({
    stdout: expect.stringMatching(/^one message: not as expected/) as string,
  })
})

test('the client of one file has fewer than 250 lines', () => {
  expect(readFileSync(MINIMAL, 'utf8').split('\n').length - 1).toBeLessThan(250)
})

test('the client of one file needs the standard library, cryptography, cbor2 and pika, and no other file', async () => {
  // n.b. Python's own parser, so that no spelling of an import is missed
  const listing = `import ast, sys
tree = ast.walk(ast.parse(open(sys.argv[1], encoding='utf-8').read()))
names = {n for node in tree for n in ([a.name for a in node.names] if isinstance(node, ast.Import)
  else ['.' * node.level + (node.module or '')] if isinstance(node, ast.ImportFrom) else [])}
print(*sorted({n.split('.')[0] for n in names} - sys.stdlib_module_names))`
  expect((await pythonCode(listing, [MINIMAL])).trim()).toBe('cbor2 cryptography pika')
})
