/** Definitions of docs/DELIVERY.md's topology for a few test users, in the shape that RabbitMQ imports. */

import { VHOST } from '../../cluster/index.js'

/** A user of the test cluster. */
export interface TestUser {
  readonly name: string
  /** self-declaring: makes its own queues; strict: its queues come from here; everything: an administrator. */
  readonly rights: 'self-declaring' | 'strict' | 'everything'
}

const BOUNDS = { overflow: 'reject-publish', 'max-length-bytes': 64 * 1024 * 1024 }

/** The whole definitions document. */
export function topology(users: readonly TestUser[]): object {
  const strict = users.filter(user => user.rights === 'strict')
  return {
    vhosts: [{ name: VHOST }],
    exchanges: ['sealbus', 'sealbus.parked'].map(exchange),
    policies: [
      policy('inbox', '^inbox\\.', {
        ...BOUNDS,
        'delivery-limit': 200,
        'dead-letter-exchange': 'sealbus.parked',
        'dead-letter-strategy': 'at-least-once',
        'queue-leader-locator': 'balanced',
      }),
      policy('parked', '^parked\\.', BOUNDS),
    ],
    users: users.map(user),
    permissions: users.map(permissions),
    topic_permissions: users.filter(each => each.rights !== 'everything').flatMap(topicPermissions),
    queues: strict.flatMap(each => [queue(`inbox.${each.name}`, true), queue(`parked.${each.name}`, false)]),
    bindings: strict.flatMap(each => [
      binding('sealbus', 'inbox', each.name),
      binding('sealbus.parked', 'parked', each.name),
    ]),
  }
}

function exchange(name: string): object {
  return {
    name,
    vhost: VHOST,
    type: 'topic',
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: {},
  }
}

function policy(name: string, pattern: string, definition: object): object {
  return { vhost: VHOST, name, pattern, 'apply-to': 'queues', definition, priority: 0 }
}

function user({ name, rights }: TestUser): object {
  const tags = rights === 'everything' ? ['administrator'] : []
  return { name, password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256', tags, limits: {} }
}

function permissions({ name, rights }: TestUser): object {
  const rows = { user: name, vhost: VHOST }
  if (rights === 'everything') return { ...rows, configure: '.*', write: '.*', read: '.*' }
  if (rights === 'strict') {
    return {
      ...rows,
      configure: '^$',
      write: '^(sealbus|sealbus\\.parked)$',
      read: `^(inbox|parked)\\.${name}$`,
    }
  }
  const all = `^(sealbus|sealbus\\.parked|(inbox|parked)\\.${name})$`
  return { ...rows, configure: `^(inbox|parked)\\.${name}$`, write: all, read: all }
}

function topicPermissions({ name }: TestUser): object[] {
  const row = { user: name, vhost: VHOST, read: '^{username}\\.\\*$' }
  return [
    { ...row, exchange: 'sealbus', write: '^[A-Za-z0-9_-]{1,64}\\.{username}$' },
    { ...row, exchange: 'sealbus.parked', write: '^{username}\\.[A-Za-z0-9_-]{1,64}$' },
  ]
}

function queue(name: string, singleActive: boolean): object {
  const args = { 'x-queue-type': 'quorum', 'x-quorum-initial-group-size': 3 }
  const argumentsOf = singleActive ? { ...args, 'x-single-active-consumer': true } : args
  return { name, vhost: VHOST, durable: true, auto_delete: false, arguments: argumentsOf }
}

function binding(source: string, kind: 'inbox' | 'parked', name: string): object {
  return {
    source,
    vhost: VHOST,
    destination: `${kind}.${name}`,
    destination_type: 'queue',
    routing_key: `${name}.*`,
    arguments: {},
  }
}
