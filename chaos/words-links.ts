/** Words that do something to the links between clients and nodes: what a link driver can do. */
import { choice, duration, fields, listOf, nothing, type Read, size, text, whole, wrong } from './fields.js'
import { cutInPhases } from './phase-cuts.js'
import type { Phase } from './phases.js'
import type { Pace } from './pipe.js'
import type { Play } from './play.js'
import { DIRECTIONS, type Direction, type ProxyConnection } from './proxy.js'
import { fault, type Words, word } from './word.js'
import type { Yaml } from './yaml.js'

const CUT_LIMIT_MS = 6_000

const nodes: Read<string> = text

/** `all`, or a map with node and direction. */
const oneWay: Read<{ node: string; directions: readonly Direction[] }> = (yaml: Yaml) => {
  if (yaml.is !== 'map') return { node: text(yaml), directions: DIRECTIONS }
  return fields('a node, or a map with node and direction', map => ({
    node: map.need('node', text),
    directions: [map.need('direction', choice('up', 'down'))],
  }))(yaml)
}

const pace: Read<{ node: string; pace: Pace }> = fields('a map with latency, bandwidth or slices', map => {
  const latencyMs = map.maybe('latency', duration)
  const bytesPerSecond = map.maybe('bandwidth', size)
  const sliceBytes = map.maybe('slices', size)
  return {
    node: map.maybe('node', text) ?? 'all',
    pace: {
      ...(latencyMs !== undefined && { latencyMs }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      ...(sliceBytes !== undefined && { sliceBytes }),
    },
  }
})

const PHASES: readonly Exclude<Phase, 'steady'>[] = [
  ...(['tls', 'amqp', 'channel-open', 'select', 'qos', 'close', 'declare', 'consume'] as const),
]

const phaseCut = fields('a map with in, and perhaps records, connections', map => ({
  phases: map.need('in', listOf(choice(...PHASES))),
  records: map.maybe('records', whole(1, 1_000)) ?? 2,
  connections: map.maybe('connections', whole(1, 10_000)),
}))

export const linkWords: Words = {
  reset: fault(
    { summary: 'resets the connections to these nodes', example: 'all', needsLinks: ['reset'] },
    nodes,
    (play, which) => {
      const count = play.links.reset(play.nodesOf(which))
      if (count === 0) throw new Error('not injected: no connection goes through the links')
      play.stage.note(`reset ${count} connections`)
    },
  ),
  blackhole: fault(
    {
      summary: 'links to these nodes carry nothing and say nothing; with a direction (up, down) one way only',
      example: 'chosen',
      needsLinks: ['blackhole'],
    },
    oneWay,
    (play, { node, directions }) => {
      const names = play.nodesOf(node)
      if (play.links.connections(names).length === 0)
        throw new Error(`not injected: no connection to ${names.join(', ')} goes through the links`)
      play.stage.note(`blackhole ${directions.join(' and ')}: ${names.join(', ')}`)
      play.links.blackhole(true, names, directions)
    },
  ),
  refuse: fault(
    { summary: 'new connections to these nodes are reset', example: 'chosen', needsLinks: ['refuse'] },
    nodes,
    (play, which) => play.links.refuse(true, play.nodesOf(which)),
  ),
  'slow-links': fault(
    {
      summary: 'delays, narrows and slices what goes through the links',
      example: '{latency: 200 ms, bandwidth: 50 KB, slices: 10 B}',
      needsLinks: ['pace'],
    },
    pace,
    (play, { node, pace: wanted }) => {
      if (Object.keys(wanted).length === 0) throw new Error('not injected: slow-links without any pace')
      play.links.pace(wanted, play.nodesOf(node))
    },
  ),
  'restore-links': word(
    { summary: 'ends all that was done to links', example: '', needsLinks: [] },
    nothing,
    play => play.links.heal(),
  ),
  'cut-at-random-byte': fault(
    {
      summary:
        'resets each connection after so many more bytes of one direction as the seed draws, at most this many',
      example: '3000 B',
      needsLinks: ['cut'],
    },
    positive,
    async (play, within) => {
      const connections = play.links.connections()
      if (connections.length === 0) throw new Error('not injected: no connection goes through the links')
      const { random } = play.stage
      for (const connection of connections)
        connection.cutAfter(random.pick(DIRECTIONS), random.int(0, within))
      await allCut(play, connections)
    },
  ),
  'cut-new-connections': word(
    {
      summary:
        'resets what is open, and as many new connections each within the first records of one of these steps of setting up; with `connections: 1` only the next one, and nothing that is open',
      example: '{in: [tls, amqp], records: 4}',
      needsLinks: ['cut', 'reset'],
      breaks: true,
    },
    phaseCut,
    cutInPhases,
  ),
}

function positive(yaml: Yaml): number {
  const bytes = size(yaml)
  if (bytes > 0) return bytes
  throw wrong(yaml, 'a size of at least one byte')
}

/** @throws Error when no connection came to its byte */
async function allCut(play: Play, connections: readonly ProxyConnection[]): Promise<void> {
  const limit = new Promise<boolean>(resolve => setTimeout(() => resolve(false), CUT_LIMIT_MS).unref())
  const cut = await Promise.all(connections.map(({ closed }) => Promise.race([closed, limit])))
  const made = cut.filter(Boolean).length
  play.stage.note(`cut ${made} of ${connections.length} connections at a random byte`)
  if (made === 0) throw new Error('not injected: no connection came to its byte')
}
