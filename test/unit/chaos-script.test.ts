import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ACTIONS } from '../../chaos/drivers/actions.js'
import { faultsFolder, ROW_NAMES, rowOf, shippedFaults } from '../../chaos/faults.js'
import { readScript, readScriptFile } from '../../chaos/read-script.js'
import { vocabulary } from '../../chaos/vocabulary.js'

const GOOD = `name: kill one
bound: 3 s
steps:
  - kill: chosen
`

/** A whole file with one line changed. */
function complaintAbout(yaml: string): string {
  try {
    readScript(yaml, 'mine.yaml')
  } catch (error) {
    return (error as Error).message
  }
  return 'no complaint'
}

describe('a scenario file', () => {
  it('needs no more than a name, a bound and a step that breaks something', () => {
    expect(readScript(GOOD, 'folder/mine.yaml')).toMatchObject({
      id: 'mine',
      name: 'kill one',
      bound: { publishMs: 3_000, deliveryMs: 3_000 },
      place: { leaders: 'anywhere', clients: 'anywhere', links: false },
      load: { groups: ['steady'], lifetimeMs: 60_000 },
      steps: [{ word: 'kill', needs: ['kill'], breaks: true }],
    })
  })

  it('has bounds of three kinds, or none', () => {
    const bound = (text: string) => readScript(GOOD.replace('bound: 3 s', `bound: ${text}`), 'f').bound
    expect(bound('{publish: 20 s, delivery: 30 s, after-heal: 15 s}')).toEqual({
      ...{ publishMs: 20_000, deliveryMs: 30_000, afterHealMs: 15_000 },
    })
    expect(bound('{after-heal: 1 min}')).toEqual({ afterHealMs: 60_000 })
    expect(bound('none')).toEqual({})
  })

  it.each([
    [
      'an unknown key',
      GOOD.replace('name', 'nmae'),
      'mine.yaml:1: expected a field name, got only nmae, bound or steps',
    ],
    ['a key too many', `${GOOD}colour: red\n`, /^mine.yaml:5: colour: expected one of the fields id, /],
    [
      'an unknown word',
      GOOD.replace('kill:', 'kil:'),
      /^mine.yaml:4: steps\[0\].kil: expected a word for a step: kill, .*, got "kil"$/,
    ],
    [
      'a wrong duration',
      GOOD.replace('3 s', '3'),
      'mine.yaml:2: bound: expected a duration such as 200 ms, 20 s, 5 min, 1 h, got 3',
    ],
    [
      'no fault at all',
      GOOD.replace('kill: chosen', 'wait: 1 s'),
      /steps: expected a step that breaks something, beside wait/,
    ],
    [
      'a broken argument',
      GOOD.replace('kill: chosen', 'slow-links: {latency: fast}'),
      /^mine.yaml:4: steps\[0\].slow-links.latency: expected a duration/,
    ],
    [
      'a fault inside of a repetition',
      GOOD.replace('kill: chosen', 'repeat: {times: 0, every: 1 s, steps: [kill: all]}'),
      /times: expected a whole number from 1/,
    ],
    ['what is not YAML', 'name: [', /^mine.yaml:1: expected YAML, got /],
    ['a key that is there twice', `${GOOD}name: again\n`, /^mine.yaml:5: expected YAML, got .*unique/],
    [
      'a party that is none',
      `${GOOD}load: {parties: {somebody: {}}}\n`,
      /load.parties.somebody: expected a party/,
    ],
  ])('is refused with file, line and what was expected: %s', (_, yaml, expected) => {
    expect(complaintAbout(yaml)).toMatch(expected)
  })

  it('says what drivers must be able to do, also inside of repetitions', () => {
    const [step] = readScript(
      GOOD.replace('kill: chosen', 'for-each-node: [terminate: chosen, start: chosen]'),
      'f',
    ).steps
    expect(step).toMatchObject({ word: 'for-each-node', needs: ['terminate', 'start'], breaks: true })
  })
})

describe('the files that come with the tool', () => {
  const files = readdirSync(faultsFolder())

  it('can all be read, stand in a row of the table, and begin with their row in the name', () => {
    const scripts = files.map(file => ({ file, script: readScriptFile(join(faultsFolder(), file)) }))
    expect(scripts.length).toBeGreaterThan(20)
    for (const { file, script } of scripts) {
      const row = rowOf(script.id) ?? 0
      expect(ROW_NAMES[row], file).toBeDefined()
      expect(file).toMatch(new RegExp(`^${script.id.padStart(/[a-z]/.test(script.id) ? 3 : 2, '0')}-`))
    }
    expect(shippedFaults().length).toBeGreaterThanOrEqual(files.length)
  })

  it('use no word for the parties of a load that has no such party', () => {
    for (const file of files) {
      const text = readFileSync(join(faultsFolder(), file), 'utf8')
      for (const [, role] of text.matchAll(
        /(?:party|worker|end|ack): (?:\{party: )?((?:steady|quiet|late)-\d)/g,
      ))
        expect(text, file).toMatch(new RegExp(`parties: .*${role}`))
    }
  })
})

describe('docs/CHAOS.md', () => {
  const page = readFileSync(join(faultsFolder(), '..', '..', 'docs', 'CHAOS.md'), 'utf8')

  it('shows a file that can be read', () => {
    const [, yaml = ''] = /```yaml\n(name: [\s\S]*?)```/.exec(page) ?? []
    expect(readScript(yaml, 'page.yaml').steps.map(({ word }) => word)).toEqual(['pause', 'wait', 'repeat'])
  })

  it('has every word, with its example and what it does', () => {
    for (const [name, { example, summary }] of Object.entries(vocabulary))
      expect(page).toContain(`| \`${name}\` | ${example === '' ? '–' : `\`${example}\``} | ${summary} |`)
  })
})

describe('the vocabulary', () => {
  it('gives every word a summary, and asks drivers only for what they could do', () => {
    for (const [name, { summary, needs }] of Object.entries(vocabulary)) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(summary.length).toBeGreaterThan(5)
      expect(needs.filter(action => !ACTIONS.has(action))).toEqual([])
    }
  })

  it('reads its own examples', () => {
    for (const [name, { example }] of Object.entries(vocabulary)) {
      const yaml = `name: x\nbound: none\nsteps:\n  - kill: chosen\n  - ${name}: ${example}\n`
      expect(() => readScript(yaml, 'example.yaml'), name).not.toThrow()
    }
  })
})
