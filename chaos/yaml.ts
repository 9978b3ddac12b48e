/**
 * YAML 1.2 documents whose every value knows its line: the owner of the package `yaml`. The core schema without tags, anchors
 * or merges is all that scenario files and driver configurations need.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { SealbusError } from '../src/errors.js'

/** Where a value stands in a file: for messages. */
export interface Place {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** `steps[2].kill` */
  readonly path: string
}

/** A value with its place. Maps keep the order of their keys. */
export type Yaml = Place &
  (
    | { readonly is: 'map'; readonly entries: ReadonlyMap<string, Yaml> }
    | { readonly is: 'list'; readonly items: readonly Yaml[] }
    | { readonly is: 'scalar'; readonly value: string | number | boolean | null }
  )

/**
 * Parses one document.
 * @throws SealbusError `configuration` for what is not YAML, or has aliases, duplicate keys or keys that are not text; names
 * file and line
 */
export function parseYaml(text: string, file: string): Yaml {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  const [error] = [...document.errors, ...document.warnings]
  if (error !== undefined) {
    const { line } = lines.linePos(error.pos[0])
    throw complaint({ file, line, path: '' }, 'YAML', error.message)
  }
  return convert(document.contents, { file, line: 1, path: '' }, lines)
}

/** `FILE:LINE: PATH: expected …, got …` */
export function complaint({ file, line, path }: Place, expected: string, given: string): SealbusError {
  const where = path === '' ? `${file}:${line}` : `${file}:${line}: ${path}`
  return new SealbusError('configuration', `${where}: expected ${expected}, got ${given}`)
}

/** A value without its places: what JSON could hold. */
export function plain(yaml: Yaml): unknown {
  if (yaml.is === 'scalar') return yaml.value
  if (yaml.is === 'list') return yaml.items.map(plain)
  return Object.fromEntries([...yaml.entries].map(([key, value]) => [key, plain(value)]))
}

function convert(node: Node | null, place: Place, lines: LineCounter): Yaml {
  const here = { ...place, line: lineOf(node, lines) ?? place.line }
  if (node === null) return { ...here, is: 'scalar', value: null }
  if (isMap(node)) return convertMap(node.items as Pair[], here, lines)
  if (isSeq(node)) {
    const items = (node.items as Node[]).map((item, i) =>
      convert(item, { ...here, path: `${here.path}[${i}]` }, lines),
    )
    return { ...here, is: 'list', items }
  }
  const value: unknown = isScalar(node) ? node.value : undefined
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value))
    return { ...here, is: 'scalar', value: value as string | number | boolean | null }
  throw complaint(here, 'text, a number, true, false, a list or a map', 'something else')
}

interface Pair {
  readonly key: Node
  readonly value: Node | null
}

function convertMap(pairs: readonly Pair[], place: Place, lines: LineCounter): Yaml {
  const entries = new Map<string, Yaml>()
  for (const { key, value } of pairs) {
    const line = lineOf(key, lines) ?? place.line
    const name = isScalar(key) ? String(key.value) : undefined
    if (name === undefined) throw complaint({ ...place, line }, 'a key that is text', 'a list or a map')
    const path = place.path === '' ? name : `${place.path}.${name}`
    entries.set(name, convert(value, { ...place, line, path }, lines))
  }
  return { ...place, is: 'map', entries }
}

function lineOf(node: Node | null, lines: LineCounter): number | undefined {
  const start = node?.range?.[0]
  return start === undefined ? undefined : lines.linePos(start).line
}
