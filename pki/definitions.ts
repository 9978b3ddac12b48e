/**
 * What the broker has to know of a domain, as `rabbitmqctl import_definitions` takes it (RabbitMQ 3.10): vhost,
 * exchanges, policies, users without passwords and their permissions, and queues for devices that declare none.
 *
 * n.b. the permissions prevent accidents. They are no security boundary: the envelope is.
 */
import type { InboxKind } from './policy.js'

export const VHOST = 'sealbus'
export const EXCHANGE = 'sealbus'
export const PARKED_EXCHANGE = 'sealbus.parked'

/** Replicas of a quorum queue at its start. */
const GROUP_SIZE = 3
const MAX_INBOX_BYTES: number = 64 * 1024 * 1024
/** A backstop only: parking happens at the receiver. */
const DELIVERY_LIMIT = 200
/** Practically none: people look at what is parked, and put it back. */
const PARKED_DELIVERY_LIMIT = 1_000_000

/** One device, as the broker sees it. */
export interface BrokerUser {
  readonly name: string
  readonly inbox: InboxKind
  readonly declare: boolean
  /** Queues that the inbox is divided into by sender; absent: one. */
  readonly partitions?: number
  /** Stays a user, may do nothing: so an import into a running broker takes its rights away. */
  readonly revoked: boolean
}

type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json }
type Row = Readonly<Record<string, Json>>

/** The file's text, one row a line. */
export function definitions(users: readonly BrokerUser[]): string {
  const served = users.filter(user => !user.declare && !user.revoked)
  return rows({
    vhosts: [{ name: VHOST }],
    users: users.map(userRow),
    permissions: users.map(permissionRow),
    topic_permissions: users.flatMap(topicPermissionRows),
    policies: POLICIES,
    exchanges: [
      ...[EXCHANGE, PARKED_EXCHANGE].map(name => exchangeRow(name, 'topic')),
      ...served.filter(isDivided).map(({ name }) => exchangeRow(`inbox.${name}`, 'x-consistent-hash')),
    ],
    queues: served.flatMap(queueRows),
    bindings: served.flatMap(bindingRows),
  })
}

function rows(sections: Readonly<Record<string, readonly Row[]>>): string {
  const texts = Object.entries(sections).map(([name, list]) => {
    const lines = list.map(row => `    ${JSON.stringify(row)}`)
    return `  ${JSON.stringify(name)}: [${lines.length === 0 ? '' : `\n${lines.join(',\n')}\n  `}]`
  })
  return `{\n${texts.join(',\n')}\n}\n`
}

/** An empty hash matches no password: such a user can only come by EXTERNAL. */
function userRow({ name }: BrokerUser): Row {
  return { name, password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256', tags: [] }
}

const NOTHING = '^$'

/** | own queues | A, self-declaring | B, strict | */
function permissionRow(user: BrokerUser): Row {
  const { name, declare, revoked } = user
  const row = { user: name, vhost: VHOST }
  const own = `(inbox|parked)\\.${name}${isDivided(user) ? '(\\.[0-9]+)?' : ''}`
  if (revoked) return { ...row, configure: NOTHING, write: NOTHING, read: NOTHING }
  if (!declare) {
    return { ...row, configure: NOTHING, write: '^(sealbus|sealbus\\.parked)$', read: `^${own}$` }
  }
  // binding a queue asks for write on the queue and read on the exchange
  const all = `^(sealbus|sealbus\\.parked|${own})$`
  return { ...row, configure: `^${own}$`, write: all, read: all }
}

/** Routing key `<recipient>.<sender>`: one's own name stands last when sending, first when parking and binding. */
function topicPermissionRows({ name, revoked }: BrokerUser): Row[] {
  const row = { user: name, vhost: VHOST }
  const write: Row = {
    [EXCHANGE]: '^[A-Za-z0-9_-]{1,64}\\.{username}$',
    [PARKED_EXCHANGE]: '^{username}\\.[A-Za-z0-9_-]{1,64}$',
  }
  return Object.entries(write).map(([exchange, pattern]) => ({
    ...row,
    exchange,
    write: revoked ? NOTHING : pattern,
    read: revoked ? NOTHING : '^{username}\\.\\*$',
  }))
}

const BOUNDS: Row = { overflow: 'reject-publish', 'max-length-bytes': MAX_INBOX_BYTES }
const DEAD_LETTERS: Row = { 'dead-letter-exchange': PARKED_EXCHANGE }
const BALANCED: Row = { 'queue-leader-locator': 'balanced' }

/**
 * n.b. a policy with one key that a queue's kind does not know is not applied to that queue at all, and the next one
 * is taken: so classic queues have a policy of their own, under those for quorum queues.
 */
const POLICIES: readonly Row[] = [
  policyRow('inbox', 'inbox', 1, {
    ...BOUNDS,
    ...DEAD_LETTERS,
    ...BALANCED,
    'dead-letter-strategy': 'at-least-once', // n.b. with another overflow it silently becomes at-most-once
    'delivery-limit': DELIVERY_LIMIT,
  }),
  policyRow('inbox-classic', 'inbox', 0, { ...BOUNDS, ...DEAD_LETTERS }),
  // n.b. without a dead-letter exchange a delivery limit drops, and RabbitMQ 4 sets one of 20 where a policy has none
  policyRow('parked', 'parked', 1, { ...BOUNDS, ...BALANCED, 'delivery-limit': PARKED_DELIVERY_LIMIT }),
  policyRow('parked-classic', 'parked', 0, BOUNDS),
]

function policyRow(name: string, queues: 'inbox' | 'parked', priority: number, definition: Row): Row {
  return { vhost: VHOST, name, pattern: `^${queues}\\.`, 'apply-to': 'queues', definition, priority }
}

function exchangeRow(name: string, type: 'topic' | 'x-consistent-hash'): Row {
  return {
    name,
    vhost: VHOST,
    type,
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: {},
  }
}

/** Arguments by inbox kind, as a device would declare them itself; whatever else there is comes by policy. */
const QUEUE: Readonly<Record<InboxKind, { durable: boolean; arguments: Row }>> = {
  quorum: {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-quorum-initial-group-size': GROUP_SIZE },
  },
  classic: { durable: true, arguments: { 'x-queue-type': 'classic' } },
  transient: { durable: false, arguments: { 'x-queue-type': 'classic' } },
}

function isDivided({ partitions = 1 }: BrokerUser): boolean {
  return partitions > 1
}

/** The exchange that divides it has the inbox's name, its queues have a number each. */
function inboxNames(user: BrokerUser): readonly string[] {
  const { name, partitions = 1 } = user
  if (!isDivided(user)) return [`inbox.${name}`]
  return Array.from({ length: partitions }, (_, i) => `inbox.${name}.${i + 1}`)
}

function queueRows(user: BrokerUser): Row[] {
  const { name, inbox } = user
  const single: Row = inbox === 'quorum' ? { 'x-single-active-consumer': true } : {}
  const parked = QUEUE[inbox === 'transient' ? 'classic' : inbox] // what is parked outlives a node
  return [
    ...inboxNames(user).map(queue =>
      queueRow(queue, { ...QUEUE[inbox], arguments: { ...QUEUE[inbox].arguments, ...single } }),
    ),
    queueRow(`parked.${name}`, parked),
  ]
}

function queueRow(name: string, kind: { durable: boolean; arguments: Row }): Row {
  return { name, vhost: VHOST, durable: kind.durable, auto_delete: false, arguments: kind.arguments }
}

function bindingRows(user: BrokerUser): Row[] {
  const { name } = user
  const [inbox, all] = [`inbox.${name}`, `${name}.*`]
  const parked = bindingRow(PARKED_EXCHANGE, `parked.${name}`, 'queue', all)
  if (!isDivided(user)) return [bindingRow(EXCHANGE, inbox, 'queue', all), parked]
  // n.b. the routing key of a binding to a consistent-hash exchange is the queue's weight
  const parts = inboxNames(user).map(queue => bindingRow(inbox, queue, 'queue', '1'))
  return [...parts, bindingRow(EXCHANGE, inbox, 'exchange', all), parked]
}

function bindingRow(source: string, destination: string, type: 'queue' | 'exchange', key: string): Row {
  return {
    source,
    vhost: VHOST,
    destination,
    destination_type: type,
    routing_key: key,
    arguments: {},
  }
}
