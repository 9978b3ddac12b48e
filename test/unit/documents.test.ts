/** The documents and the code say the same where a machine can tell. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from '../support/program.js'

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(name =>
  name.endsWith('.ts'),
)
const code = sources.map(name => read(join('src', name))).join('\n')
const DOCUMENTS = [
  'README.md',
  'ARCHITECTURE.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'docs/PROTOCOL.md',
  'docs/DELIVERY.md',
  'docs/CHAOS.md',
]

/** Names that are emitted by a literal, by the transport, by verdict, or by the reason why an envelope is over. */
function emitted(): Set<string> {
  const literals = [...code.matchAll(/(?:emit|event)\(\s*'([a-z-]+)'|event\(\{ name: '([a-z-]+)'/g)].map(
    m => m[1] ?? m[2] ?? '',
  )
  const unions = [/type Verdict =([\s\S]*?)\n\n/, /type OverReason =(.*)/].flatMap(pattern => {
    const union = pattern.exec(code)?.[1] ?? ''
    return [...union.matchAll(/'([a-z-]+)'/g)].map(m => m[1] ?? '')
  })
  return new Set([...literals, ...unions].filter(name => name !== 'handled' && name !== 'control'))
}

describe('the documents', () => {
  it('name every event in docs/DELIVERY.md', () => {
    const names = [...emitted()]
    expect(names.length).toBeGreaterThan(35)
    const table = read('docs/DELIVERY.md').split('## Events')[1] ?? ''
    expect(names.filter(name => !table.includes(`\`${name}\``))).toEqual([])
  })

  it.each(DOCUMENTS)('%s links only to what is there', document => {
    const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(match => match[1] ?? '')
    expect(links.filter(link => !existsSync(join(ROOT, dirname(document), link)))).toEqual([])
  })

  it.each(DOCUMENTS)('%s names only source files that are there', document => {
    const files = [
      ...read(document).matchAll(/`((?:src|pki|cluster|chaos|test|scripts|bin)\/[\w./-]+\.\w+)`/g),
    ].map(match => match[1] ?? '')
    expect(files.filter(file => !existsSync(join(ROOT, file)))).toEqual([])
  })

  it('shows the program of the first example in the README, word for word', () => {
    const example = read('examples/01-first-message.ts').replace(/^\/\*\*[\s\S]*?\*\/\n/, '')
    expect(read('README.md')).toContain(example.trim())
  })
})
