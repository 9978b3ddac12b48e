/** Words that do something to nodes, queues and rights: what a cluster driver can do. */
import type { Action, Scalar } from './drivers/actions.js'
import { fields, flag, listOf, nothing, type Read, text, whole, wrong } from './fields.js'
import type { Play } from './play.js'
import { fault, type Word, type Words, word } from './word.js'
import type { Yaml } from './yaml.js'

/** Actions of one node each, and what they are called in scenario files. */
type NodeAction = 'kill' | 'terminate' | 'start' | 'pause' | 'resume' | 'drain' | 'revive'

const node: Read<string> = text
const groups: Read<readonly (readonly string[])[]> = listOf(listOf(text))

/** Does it to each of the nodes, at once. */
function perNode(make: typeof word, action: NodeAction, summary: string): Word {
  return make({ summary, example: 'chosen', needs: [action] }, node, async (play, which) => {
    play.stage.note(`${action} ${play.nodesOf(which).join(', ')}`)
    await play.eachNode(which, name => play.act(action)(name))
  })
}

function alarm(action: 'memoryAlarm' | 'diskAlarm', summary: string): Word {
  const read = fields('a map with node and on', map => ({
    node: map.need('node', text),
    on: map.maybe('on', flag) ?? true,
  }))
  return word(
    { summary, example: '{node: chosen, on: true}', needs: [action], breaks: true },
    read,
    async (play, { node: which, on }) => {
      if (on) play.stage.injected()
      play.stage.note(`${action} ${on ? 'on' : 'off'}: ${play.nodesOf(which).join(', ')}`)
      await play.eachNode(which, name => play.act(action)(name, on))
    },
  )
}

/** A queue of a party: `steady-1` is its inbox, `parked steady-1` its parking; anything else a queue's own name. */
function queueName(play: Play, which: string): string {
  const [, parked, role] = /^(parked )?((?:steady|quiet|late|declaring)-\d+|centre)$/.exec(which) ?? []
  if (role === undefined) return which
  return `${parked === undefined ? 'inbox' : 'parked'}.${play.addressOf(role)}`
}

/** What breaks something for one party or one name. */
function named(
  action: Extract<Action, 'deleteQueue' | 'deleteExchange' | 'revokePermissions' | 'deleteUser'>,
  example: string,
  summary: string,
  nameOf: (play: Play, which: string) => string,
): Word {
  return fault({ summary, example, needs: [action] }, text, async (play, which) => {
    const name = nameOf(play, which)
    play.stage.note(`${action} ${name}`)
    await play.act(action)(name)
  })
}

function simple(
  make: typeof word,
  action: Extract<Action, 'healPartition' | 'deleteVhost' | 'restoreDefinitions'>,
  summary: string,
): Word {
  return make({ summary, example: '', needs: [action] }, nothing, async play => {
    play.stage.note(action)
    await play.act(action)()
  })
}

const scalars: Read<Readonly<Record<string, Scalar>>> = yaml => {
  if (yaml.is !== 'map') throw wrong(yaml, 'a map of arguments')
  return Object.fromEntries([...yaml.entries].map(([key, value]) => [key, scalar(value)]))
}

function scalar(yaml: Yaml): Scalar {
  if (yaml.is === 'scalar' && yaml.value !== null) return yaml.value
  throw wrong(yaml, 'text, a number, true or false')
}

const userOf = (play: Play, which: string): string => play.addressOf(which)

export const clusterWords: Words = {
  kill: perNode(fault, 'kill', 'SIGKILL: a power cut'),
  terminate: perNode(fault, 'terminate', 'SIGTERM: an orderly stop'),
  start: startWord(),
  pause: perNode(fault, 'pause', 'SIGSTOP: frozen, its connections open'),
  resume: perNode(word, 'resume', 'SIGCONT'),
  drain: perNode(fault, 'drain', 'maintenance mode: no listeners, leaders moved away'),
  revive: perNode(word, 'revive', 'ends maintenance mode'),
  'move-leaders': word(
    { summary: 'makes a node the leader of all quorum queues', example: 'chosen', needs: ['moveLeaders'] },
    node,
    async (play, which) => await play.act('moveLeaders')(play.nodesOf(which)[0] ?? ''),
  ),
  partition: fault(
    {
      summary: 'two nodes reach each other only if they share a group; clients reach all',
      example: '[[chosen], [others]]',
      needs: ['partition'],
    },
    groups,
    async (play, lists) => {
      const parts = lists.map(list => list.flatMap(which => [...play.nodesOf(which)]))
      play.stage.note(`partition ${parts.map(part => part.join('+')).join(' | ')}`)
      await play.act('partition')(parts)
    },
  ),
  'heal-partition': simple(word, 'healPartition', 'all nodes reach each other again'),
  'close-connections': fault(
    {
      summary: 'an operator closes every client connection, with this reason',
      example: 'closed by the operator',
      needs: ['closeConnections'],
    },
    text,
    async (play, reason) => {
      const closed = await play.act('closeConnections')(reason)
      if (closed === 0) throw new Error('not injected: no connection to close')
      play.stage.note(`closed ${closed} connections`)
    },
  ),
  'limit-connections': fault(
    {
      summary: 'so many client connections a node at most; 0: no limit',
      example: '10',
      needs: ['limitConnections'],
    },
    whole(0, 1_000_000),
    async (play, limit) => await play.act('limitConnections')(limit === 0 ? undefined : limit),
  ),
  'memory-alarm': alarm('memoryAlarm', 'a memory alarm; {node, on: false} ends it'),
  'disk-alarm': alarm('diskAlarm', 'a disk alarm; {node, on: false} ends it'),
  'delete-queue': named('deleteQueue', 'steady-1', "deletes a party's inbox, or a queue by name", queueName),
  'replace-queue': fault(
    {
      summary: 'deletes a queue and declares it with other arguments',
      example: '{queue: steady-1, arguments: {x-queue-type: classic}}',
      needs: ['replaceQueue'],
    },
    fields('a map with queue and arguments', map => ({
      queue: map.need('queue', text),
      args: map.need('arguments', scalars),
    })),
    async (play, { queue, args }) => await play.act('replaceQueue')(queueName(play, queue), args),
  ),
  'delete-exchange': named('deleteExchange', 'sealbus', 'deletes an exchange', (_, which) => which),
  unbind: fault(
    {
      summary: 'takes the bindings between an exchange and a queue away',
      example: '{exchange: sealbus, queue: steady-1}',
      needs: ['unbind'],
    },
    fields('a map with exchange and queue', map => ({
      exchange: map.need('exchange', text),
      queue: map.need('queue', text),
    })),
    async (play, { exchange, queue }) => await play.act('unbind')(exchange, queueName(play, queue)),
  ),
  'set-policy': fault(
    {
      summary: 'an operator policy over queues of this pattern',
      example: '{name: small, queue: steady-1, definition: {max-length-bytes: 100000}}',
      needs: ['setPolicy'],
    },
    fields('a map with name, queue and definition', map => ({
      name: map.need('name', text),
      queue: map.need('queue', text),
      definition: map.need('definition', scalars),
    })),
    async (play, { name, queue, definition }) => {
      const pattern = `^${queueName(play, queue).replaceAll('.', '\\.')}$`
      await play.act('setPolicy')(name, { pattern, definition })
    },
  ),
  'clear-policy': word(
    { summary: 'takes an operator policy away', example: 'small', needs: ['clearPolicy'] },
    text,
    async (play, name) => await play.act('clearPolicy')(name),
  ),
  'revoke-permissions': named(
    'revokePermissions',
    'steady-1',
    "takes a party's permissions; its connections stay",
    userOf,
  ),
  'delete-user': named(
    'deleteUser',
    'steady-1',
    "deletes a party's user; its connections are closed",
    userOf,
  ),
  'delete-vhost': simple(fault, 'deleteVhost', 'deletes the vhost with all that is in it'),
  'restore-definitions': simple(
    word,
    'restoreDefinitions',
    'brings back vhost, users, permissions, exchanges, policies, queues and bindings as provisioned',
  ),
  'replace-certificates': word(
    {
      summary: 'nodes serve an expired certificate, or a new good one',
      example: 'expired',
      needs: ['replaceCertificates'],
      breaks: true,
    },
    yaml => {
      const which = text(yaml)
      if (which === 'expired' || which === 'valid') return which
      throw wrong(yaml, 'expired or valid')
    },
    async (play, which) => {
      if (which === 'expired') play.stage.injected()
      await play.act('replaceCertificates')(which)
    },
  ),
}

/** n.b. of several that are down none serves before the others come: all are started before one is waited for. */
function startWord(): Word {
  return word(
    { summary: 'starts nodes that are down', example: 'chosen', needs: ['start'] },
    node,
    async (play, which) => {
      const names = play.nodesOf(which)
      play.stage.note(`start ${names.join(', ')}`)
      const start = play.act('start')
      if (names.length > 1) for (const name of names) await start(name, { wait: false })
      await Promise.all(names.map(name => start(name)))
    },
  )
}
