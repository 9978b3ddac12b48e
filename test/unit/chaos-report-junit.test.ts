import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { renderJunit } from '../../chaos/report-junit.js'
import { runModel } from '../../chaos/report-run.js'
import { facts, flow, report, threeRuns } from '../support/chaos-entries.js'
import { pythonCode } from '../support/python.js'

interface Element {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
  readonly children: readonly Element[]
}

/** By Python's expat, which refuses what is not well-formed. */
async function parse(xml: string): Promise<Element> {
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-junit-'))
  const code = [
    'import json, sys, xml.etree.ElementTree as tree',
    "node = lambda e: {'tag': e.tag, 'attributes': e.attrib, 'text': e.text or '', 'children': [node(c) for c in e]}",
    'print(json.dumps(node(tree.parse(sys.argv[1]).getroot())))',
  ].join('\n')
  try {
    const file = join(folder, 'report.xml')
    writeFileSync(file, xml)
    return JSON.parse(await pythonCode(code, [file])) as Element
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const childrenOf = (element: Element | undefined, tag: string): readonly Element[] =>
  (element?.children ?? []).filter(child => child.tag === tag)

describe('the JUnit file', () => {
  it('has a suite for each row of faults and a case for each run, and counts them', async () => {
    const root = await parse(renderJunit(report(...threeRuns())))
    expect(root.tag).toBe('testsuites')
    expect(root.attributes).toMatchObject({ tests: '3', failures: '1', errors: '1', skipped: '0' })
    const suites = childrenOf(root, 'testsuite')
    expect(suites.map(({ attributes }) => attributes)).toMatchObject([
      { name: 'fault 2', tests: '2', failures: '1', errors: '0', timestamp: '1970-01-01T00:00:00' },
      { name: 'fault 7', tests: '1', failures: '0', errors: '1' },
    ])
    const cases = suites.flatMap(suite => childrenOf(suite, 'testcase'))
    expect(cases.map(({ attributes }) => attributes['name'])).toEqual([
      '2: kill -9 the leader, run 1',
      '2: kill -9 the leader, run 2',
      '7a: kill -9 the leader, run 1',
    ])
    expect(cases.map(({ attributes }) => attributes['classname'])).toEqual([
      'sealbus.chaos.2',
      'sealbus.chaos.2',
      'sealbus.chaos.7',
    ])
  })

  it('says which promise failed and names the messages; a run without result is an error', async () => {
    const root = await parse(renderJunit(report(...threeRuns())))
    const [met, broken, none] = childrenOf(root, 'testsuite').flatMap(suite => childrenOf(suite, 'testcase'))
    expect(met?.children.map(({ tag }) => tag)).toEqual(['system-out'])
    expect(childrenOf(broken, 'failure')).toMatchObject([
      {
        attributes: { type: 'I1', message: expect.stringContaining('7, 8, 9 resolved') as string },
        text: expect.stringContaining(
          'I1 lost: heh-1>vpp-1#report 7 to 9 (epoch 14b3c9043ce002ac, number 12 to 14)',
        ) as string,
      },
    ])
    expect(childrenOf(none, 'error')).toMatchObject([
      { attributes: { type: 'no-result', message: 'not injected: no root' }, text: 'not injected: no root' },
    ])
  })

  it('carries the seed and how to run it again', async () => {
    const root = await parse(renderJunit(report(...threeRuns())))
    const [suite] = childrenOf(root, 'testsuite')
    const [property] = childrenOf(childrenOf(suite, 'properties')[0], 'property')
    expect(property?.attributes).toEqual({ name: 'seed', value: 'abc' })
    const [out] = childrenOf(childrenOf(suite, 'testcase')[0], 'system-out')
    expect(out?.text).toContain('run again: sealbus chaos run --seed abc\nbroker: rabbitmq 3.10.8')
  })

  it('survives whatever an error says: markup, quotes, line feeds, what XML cannot write', async () => {
    const error = `</error><x a="1">&amp;]]>\n\u0000\u001b[31m\ud800 "quoted"\t'ü'`
    const root = await parse(renderJunit(report(runModel(facts({ name: error, error }), flow(1)))))
    const [testcase] = childrenOf(childrenOf(root, 'testsuite')[0], 'testcase')
    const shown = ['\u0000', '\u001b', '\ud800'].reduce((text, odd) => text.replace(odd, '?'), error)
    expect(childrenOf(testcase, 'error')[0]?.text).toBe(shown)
    expect(testcase?.attributes['name']).toBe(`2: ${shown}, run 1`)
  })
})
