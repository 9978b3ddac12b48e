/** The architecture as assertions: who may import whom, one owner for each dependency, and no cycle anywhere. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const folders = ['src', 'pki', 'cluster', 'chaos', 'cli', 'bench']

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
}

const STATEMENT =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/g

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  return [...text.matchAll(STATEMENT)].map(match => {
    const specifier = match[2] ?? match[3] ?? ''
    const to = specifier.startsWith('.')
      ? normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts')
      : specifier
    return { from: file, to, typeOnly: match[1] !== undefined }
  })
}

const files = folders.flatMap(sources)
const imports = files.flatMap(importsOf)
const local = imports.filter(({ to }) => to.endsWith('.ts'))

/** What a folder of src may import besides itself and the base files. */
const layers: Readonly<Record<string, (to: string, typeOnly: boolean) => boolean>> = {
  'src/codec': () => false,
  'src/crypto': to => to.startsWith('src/codec/'),
  'src/transport': () => false,
  'src/reliability': (to, typeOnly) =>
    to.startsWith('src/codec/') ||
    (typeOnly && (to === 'src/crypto/sealing.ts' || to === 'src/transport/transport.ts')),
  'src/messages': () => false,
  'src/connectors': to => to.startsWith('src/messages/'),
}
const base = new Set(
  ['errors', 'bytes', 'bus', 'wire', 'delivery', 'outgoing', 'clock'].map(name => `src/${name}.ts`),
)

/** Each dependency has one owner file; the rest of the code knows it by that file's words. Benches measure others too. */
const owners: Readonly<Record<string, string>> = {
  amqplib: 'src/transport/amqp.ts',
  'libsodium-wrappers': 'src/crypto/sodium.ts',
  'node-forge': 'src/crypto/asn1.ts',
  'p-retry': 'src/reliability/retry.ts',
  yaml: 'chaos/yaml.ts',
}

describe('who may import whom', () => {
  it('finds the sources it judges', () => {
    expect(files.length).toBeGreaterThan(30)
    expect(local.length).toBeGreaterThan(files.length / 2)
  })

  it.each(Object.entries(layers))(
    '%s imports its own files, the base and what it is allowed',
    (layer, allowed) => {
      const wrong = local.filter(
        ({ from, to, typeOnly }) =>
          from.startsWith(`${layer}/`) &&
          !to.startsWith(`${layer}/`) &&
          !base.has(to) &&
          !allowed(to, typeOnly),
      )
      expect(wrong).toEqual([])
    },
  )

  it('base files import only base files', () => {
    expect(local.filter(({ from, to }) => base.has(from) && !base.has(to))).toEqual([])
  })

  it('crypto and transport meet only in the composition', () => {
    const knows = (file: string, folder: string) =>
      local.some(({ from, to, typeOnly }) => from === file && to.startsWith(folder) && !typeOnly)
    const both = files.filter(file => knows(file, 'src/crypto/') && knows(file, 'src/transport/'))
    expect(both.filter(file => file.startsWith('src/') && file !== 'src/index.ts')).toEqual([
      'src/connect.ts',
    ])
  })

  it('src never imports what is built upon it', () => {
    expect(local.filter(({ from, to }) => from.startsWith('src/') && !to.startsWith('src/'))).toEqual([])
  })

  it.each(Object.entries(owners))('%s has one importer: %s', (dependency, owner) => {
    const importers = imports.filter(
      ({ from, to }) => !from.startsWith('bench/') && (to === dependency || to.startsWith(`${dependency}/`)),
    )
    expect([...new Set(importers.map(({ from }) => from))]).toEqual([owner])
  })

  it('there is no import cycle', () => {
    expect(findCycle()).toBeUndefined()
  })
})

/** The first cycle as the files along it. n.b. types count too: a cycle of types is a cycle of thoughts. */
function findCycle(): string[] | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const { to } of local.filter(({ from }) => from === file)) {
      const cycle = visit(to, [...path, file])
      if (cycle) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of files) {
    const cycle = visit(file, [])
    if (cycle) return cycle
  }
  return undefined
}
