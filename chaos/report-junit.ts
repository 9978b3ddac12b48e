/**
 * The report as JUnit XML, in the form that CI systems read (the Jenkins xunit schema: testsuites, testsuite, testcase with at
 * most one failure or error). A row of faults is a suite, a run a case: broken promises are its failure, no result its error.
 */
import type { InvariantVerdict, NamedMessages, ReportModel, RunModel } from './report-model.js'

/** @returns the whole file */
export function renderJunit({ title, seed, runs }: ReportModel): string {
  const suites = new Map<string, RunModel[]>()
  for (const run of runs) suites.set(suiteOf(run), [...(suites.get(suiteOf(run)) ?? []), run])
  const attributes = { name: title, ...countsOf(runs) }
  const body = [...suites].map(([suite, members], i) => suiteElement(suite, i, members, seed))
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', attributes, body)}`
}

/** `4` for `4a` and `4b`; a scenario without a number is a suite of its own. */
function suiteOf({ id }: RunModel): string {
  return /^\d+/.exec(id)?.[0] ?? id
}

function suiteElement(suite: string, id: number, runs: readonly RunModel[], seed: string): string {
  const began = Math.min(...runs.map(({ startedAt }) => startedAt))
  const attributes = {
    name: `fault ${suite}`,
    ...{ id, hostname: 'localhost', package: 'sealbus.chaos' },
    ...countsOf(runs),
    timestamp: new Date(began).toISOString().slice(0, 19), // ISO 8601 without zone: the schema's form
  }
  const properties = element('properties', {}, [element('property', { name: 'seed', value: seed }, [])])
  return element('testsuite', attributes, [properties, ...runs.map(caseElement)])
}

function countsOf(runs: readonly RunModel[]): Record<string, string | number> {
  const of = (verdict: RunModel['verdict']): number => runs.filter(run => run.verdict === verdict).length
  const time = runs.reduce((sum, { durationMs }) => sum + durationMs, 0)
  return {
    tests: runs.length,
    failures: of('not met'),
    errors: of('no result'),
    skipped: 0,
    time: seconds(time),
  }
}

function caseElement(run: RunModel): string {
  const attributes = {
    name: `${run.id}: ${run.name}, run ${run.number}`,
    classname: `sealbus.chaos.${suiteOf(run)}`,
    time: seconds(run.durationMs),
  }
  return element('testcase', attributes, [...outcomeOf(run), element('system-out', {}, [text(context(run))])])
}

function outcomeOf(run: RunModel): string[] {
  if (run.verdict === 'met') return []
  if (run.verdict === 'no result') {
    const message = run.error ?? 'no result'
    return [element('error', { message: firstLine(message), type: 'no-result' }, [text(message)])]
  }
  const broken = run.invariants.filter(({ verdict }) => verdict === 'broken')
  const lines = [...broken.flatMap(linesOf), ...(run.error === undefined ? [] : [`no result: ${run.error}`])]
  const type = broken.map(({ invariant }) => invariant).join(' ')
  return [element('failure', { message: firstLine(lines[0] ?? type), type }, [text(lines.join('\n'))])]
}

function linesOf({ invariant, violations, messages }: InvariantVerdict): string[] {
  return [
    ...violations.map(violation => `${invariant} ${violation}`),
    ...messages.map(each => `${invariant} ${named(each)}`),
  ]
}

/** `lost: vpp-0001>heh-0001#report 17 to 19 (epoch 14b3…, numbers 17 to 19)` */
function named({ what, lane, fromN, toN, epoch, fromSeq, toSeq, code }: NamedMessages): string {
  const numbers = (from: number, to: number): string => (from === to ? String(from) : `${from} to ${to}`)
  const sealed =
    epoch === undefined || fromSeq === undefined
      ? ''
      : ` (epoch ${epoch}, number ${numbers(fromSeq, toSeq ?? fromSeq)})`
  return `${what}${code === undefined ? '' : ` with ${code}`}: ${lane} ${numbers(fromN, toN)}${sealed}`
}

function context({ seed, command, configuration, notes }: RunModel): string {
  const settings = configuration.map(({ name, value }) => `${name}: ${value}`)
  return [`seed: ${seed}`, `run again: ${command}`, ...settings, ...notes].join('\n')
}

function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  body: readonly string[],
): string {
  const pairs = Object.entries(attributes).map(([key, value]) => ` ${key}="${attribute(String(value))}"`)
  const open = `<${name}${pairs.join('')}`
  if (body.length === 0) return `${open}/>\n`
  return `${open}>${body.join('')}</${name}>\n`
}

function text(value: string): string {
  return allowed(value).replace(/[&<>]/g, character => ({ '&': '&amp;', '<': '&lt;' })[character] ?? '&gt;')
}

/** n.b. a parser makes spaces of raw line feeds and tabs in attributes. */
function attribute(value: string): string {
  return text(value).replace(/["\t\n\r]/g, character => `&#${character.charCodeAt(0)};`)
}

/** What XML 1.0 has no way to write becomes a question mark (§2.2): control characters, lone surrogates, U+FFFE, U+FFFF. */
function allowed(value: string): string {
  return value.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '?')
}

function firstLine(value: string): string {
  return (value.split('\n')[0] ?? '').slice(0, 300)
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(3)
}
