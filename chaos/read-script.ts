/** Reads a scenario file, strictly; docs/CHAOS.md describes it for people. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { asError, SealbusError } from '../src/errors.js'
import { choice, duration, fields, flag, listed, listOf, type Read, text, whole, wrong } from './fields.js'
import type { Group } from './plan.js'
import { readParties } from './read-parties.js'
import type { Bound, Expectation, LoadSpec, Placing, Script, Step } from './script.js'
import { readSteps } from './vocabulary.js'
import { parseYaml, type Yaml } from './yaml.js'

const DEFAULTS = { observeMs: 0, afterMs: 2_000, lifetimeMs: 60_000 } as const
/** Draining may take a message's lifetime and some. */
const DRAIN_GRACE_MS = 10_000
const GROUPS: readonly Group[] = ['steady', 'quiet', 'late', 'declaring']

/** @throws SealbusError `configuration` that names file, line, what was expected and what stands there */
export function readScriptFile(path: string): Script {
  return readScript(content(path), path)
}

/** @param file - its name, for messages */
export function readScript(yaml: string, file: string): Script {
  return script(parseYaml(yaml, file))
}

const bound: Read<Bound> = yaml => {
  if (yaml.is === 'scalar' && yaml.value === 'none') return {}
  if (yaml.is !== 'map') {
    const ms = duration(yaml)
    return { publishMs: ms, deliveryMs: ms }
  }
  return fields('a duration, none, or a map with publish, delivery, after-heal', map => ({
    ...optional('publishMs', map.maybe('publish', duration)),
    ...optional('deliveryMs', map.maybe('delivery', duration)),
    ...optional('afterHealMs', map.maybe('after-heal', duration)),
  }))(yaml)
}

const somewhere = choice('chosen', 'elsewhere', 'anywhere')

const placing: Read<Placing> = fields('a map with leaders, clients, links', map => ({
  leaders: map.maybe('leaders', somewhere) ?? 'anywhere',
  clients: map.maybe('clients', somewhere) ?? 'anywhere',
  links: map.maybe('links', flag) ?? false,
}))

const load: Read<LoadSpec> = fields('a map with groups, rate, lifetime, parties', map => ({
  groups: map.maybe('groups', listOf(choice(...GROUPS))) ?? ['steady'],
  ...optional('rate', map.maybe('rate', whole(1, 1_000))),
  lifetimeMs: map.maybe('lifetime', duration) ?? DEFAULTS.lifetimeMs,
  parties: map.maybe('parties', readParties) ?? new Map(),
}))

const expectation: Read<Expectation> = fields('a map with rejections, events, no-events, twice', map => ({
  rejections: map.maybe('rejections', listOf(text)) ?? [],
  events: map.maybe('events', listOf(text)) ?? [],
  noEvents: map.maybe('no-events', listOf(text)) ?? [],
  twice: map.maybe('twice', whole(0, 1_000)) ?? 0,
}))

const script: Read<Script> = yaml =>
  fields('a scenario: a map with id, name, bound, steps', map => {
    const id = map.maybe('id', text) ?? basename(yaml.file).replace(/\.ya?ml$/, '')
    const theLoad = map.maybe('load', load) ?? load({ ...yaml, is: 'map', entries: new Map() })
    return {
      file: yaml.file,
      id,
      name: map.need('name', text),
      description: map.maybe('description', text)?.trim() ?? '',
      bound: map.need('bound', bound),
      place: map.maybe('place', placing) ?? { leaders: 'anywhere', clients: 'anywhere', links: false },
      load: theLoad,
      steps: map.need('steps', breaking),
      observeMs: map.maybe('observe', duration) ?? DEFAULTS.observeMs,
      heal: map.maybe('heal', readSteps) ?? [],
      healingCounts: map.maybe('healing-counts', flag) ?? false,
      afterMs: map.maybe('after', duration) ?? DEFAULTS.afterMs,
      drainMs: map.maybe('drain', duration) ?? theLoad.lifetimeMs + DRAIN_GRACE_MS,
      expect: map.maybe('expect', expectation) ?? { rejections: [], events: [], noEvents: [], twice: 0 },
    }
  })(yaml)

/** Steps of which one at least breaks something: a scenario without a fault would pass for nothing. */
function breaking(yaml: Yaml): readonly Step[] {
  const steps = readSteps(yaml)
  if (steps.some(step => step.breaks)) return steps
  throw wrong(yaml, `a step that breaks something, beside ${listed(steps.map(step => step.word))}`)
}

function content(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SealbusError('configuration', `${path}: cannot be read: ${asError(cause).message}`, { cause })
  }
}

function optional<K extends string, T>(key: K, value: T | undefined): Partial<Record<K, T>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, T>>)
}
