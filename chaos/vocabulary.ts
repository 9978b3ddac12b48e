/** All words of a scenario's steps, and how a list of steps is read. */
import { listOf, type Read, wrong } from './fields.js'
import type { Step } from './script.js'
import type { Words } from './word.js'
import { attackWords } from './words-attack.js'
import { clientWords } from './words-clients.js'
import { clusterWords } from './words-cluster.js'
import { flowWords } from './words-flow.js'
import { linkWords } from './words-links.js'
import { partyWords } from './words-parties.js'
import type { Yaml } from './yaml.js'

/** `- kill: chosen`: a map with one key, the word; what it needs inside of itself belongs to it. */
const readStep: Read<Step> = (yaml: Yaml) => {
  const [entry, ...more] = yaml.is === 'map' ? [...yaml.entries] : []
  if (entry === undefined || more.length > 0) throw wrong(yaml, 'one step, such as - kill: chosen')
  const [name, argument] = entry
  const word = Object.hasOwn(vocabulary, name) ? vocabulary[name] : undefined
  if (word === undefined)
    throw wrong(
      { ...argument, is: 'scalar', value: name },
      `a word for a step: ${Object.keys(vocabulary).join(', ')}`,
    )
  const inner: Step[] = []
  collecting.push(inner)
  try {
    const run = word.read(argument)
    return {
      word: name,
      needs: [...word.needs, ...inner.flatMap(step => step.needs)],
      needsLinks: [...word.needsLinks, ...inner.flatMap(step => step.needsLinks)],
      breaks: word.breaks || inner.some(step => step.breaks),
      run,
    }
  } finally {
    collecting.pop()
  }
}

/** Steps inside of the steps that are being read just now, the innermost last. */
const collecting: Step[][] = []

/** A list of steps. */
export const readSteps: Read<readonly Step[]> = (yaml: Yaml) => {
  const steps = listOf(readStep)(yaml)
  collecting.at(-1)?.push(...steps)
  return steps
}

/** The words, by name. */
export const vocabulary: Words = {
  ...clusterWords,
  ...linkWords,
  ...partyWords,
  ...attackWords,
  ...clientWords,
  ...flowWords(yaml => readSteps(yaml)),
}
