/**
 * Exchanges, queues and bindings by name, and the declaring of one's own inbox. Nobody declares another's queue.
 *
 * n.b. only these three as arguments: each change of an argument is a 406 later on; everything else is the operator's
 * policy (overflow, length, delivery limit, dead lettering).
 */
import type { Channel } from './amqp.js'
import { within } from './deadline.js'
import { channelFailure } from './failures.js'
import type { Link } from './link.js'

/** `quorum` survives a node; `classic` its restart; `transient` neither, and loses confirmed messages with its node. */
export type InboxKind = 'quorum' | 'classic' | 'transient'

/** To declare, to bind, to start consuming. */
export const DECLARE_MS = 10_000

/** The names of one address at one broker. */
export interface Names {
  readonly exchange: string
  readonly parkedExchange: string
  /** The queue; of a divided inbox the exchange that divides it by sender. */
  readonly inbox: string
  /** The queues: one, or one for each partition. */
  readonly queues: readonly string[]
  readonly parked: string
  /** What is for this address, whoever sent it. */
  readonly pattern: string
}

/** Names as the broker's definitions have them. @param partitions - queues that the inbox is divided into */
export function names(address: string, exchange: string, partitions = 1): Names {
  const inbox = `inbox.${address}`
  return {
    exchange,
    parkedExchange: `${exchange}.parked`,
    inbox,
    queues: partitions === 1 ? [inbox] : Array.from({ length: partitions }, (_, i) => `${inbox}.${i + 1}`),
    parked: `parked.${address}`,
    pattern: `${address}.*`,
  }
}

/** Routing key `<recipient>.<sender>`. */
export function routingKey(to: string, from: string): string {
  return `${to}.${from}`
}

/** The sender that a routing key claims; undefined where the key is not of the form. */
export function claimedSender(key: string): string | undefined {
  return /^[A-Za-z0-9_-]{1,64}\.([A-Za-z0-9_-]{1,64})$/.exec(key)?.[1]
}

type Declaration = NonNullable<Parameters<Channel['assertQueue']>[1]>

/** n.b. a single-active quorum queue hands the whole inbox to one consumer, which keeps the order. */
function declaration(kind: InboxKind, part: 'inbox' | 'parked'): Declaration {
  switch (kind) {
    case 'quorum': {
      const replicas = { 'x-queue-type': 'quorum', 'x-quorum-initial-group-size': 3 }
      return {
        durable: true,
        arguments: part === 'inbox' ? { ...replicas, 'x-single-active-consumer': true } : replicas,
      }
    }
    case 'classic':
      return { durable: true, arguments: { 'x-queue-type': 'classic' } }
    case 'transient':
      return { durable: part === 'parked', arguments: { 'x-queue-type': 'classic' } }
  }
}

/** Whether credit can be added by a second consumer: not where only one consumer is active. */
export function singleActive(kind: InboxKind): boolean {
  return kind === 'quorum'
}

/**
 * Declares inbox and parking with their bindings; changes nothing where they stand as declared.
 *
 * @throws SealbusError `unauthorised` (403, 404 exchange), `broker-refused` (406: other arguments), `timeout`, `connection-lost`
 */
export async function declareInbox(link: Link, name: Names, kind: InboxKind): Promise<void> {
  for (const queue of name.queues)
    await step(link, `declare ${queue}`, channel => channel.assertQueue(queue, declaration(kind, 'inbox')))
  if (name.queues.length > 1) await declareDivision(link, name)
  else
    await step(link, `bind ${name.inbox} to ${name.exchange}`, channel =>
      channel.bindQueue(name.inbox, name.exchange, name.pattern),
    )
  await step(link, `declare ${name.parked}`, channel =>
    channel.assertQueue(name.parked, declaration(kind, 'parked')),
  )
  await step(link, `bind ${name.parked} to ${name.parkedExchange}`, channel =>
    channel.bindQueue(name.parked, name.parkedExchange, name.pattern),
  )
}

/**
 * The exchange that divides the inbox by what the routing key says of the sender. n.b. it gets messages last, when all its
 * queues are bound; the routing key of their bindings is a weight.
 */
async function declareDivision(link: Link, name: Names): Promise<void> {
  await step(link, `declare ${name.inbox} (plug-in rabbitmq_consistent_hash_exchange)`, channel =>
    channel.assertExchange(name.inbox, 'x-consistent-hash', { durable: true }),
  )
  for (const queue of name.queues)
    await step(link, `bind ${queue} to ${name.inbox}`, channel => channel.bindQueue(queue, name.inbox, '1'))
  await step(link, `bind ${name.inbox} to ${name.exchange}`, channel =>
    channel.bindExchange(name.inbox, name.exchange, name.pattern),
  )
}

/** How many consumers and waiting messages the broker sees in a queue. @throws SealbusError as {@link declareInbox} */
export function inspectQueue(
  link: Link,
  queue: string,
): Promise<{ consumerCount: number; messageCount: number }> {
  return step(link, `look at ${queue}`, channel => channel.checkQueue(queue))
}

/** One step on a channel of its own: a refusal closes the channel. */
async function step<T>(link: Link, what: string, ask: (channel: Channel) => Promise<T>): Promise<T> {
  const opened = await link.plainChannel()
  try {
    return await within(DECLARE_MS, what, opened.ask(ask(opened.channel)))
  } catch (thrown) {
    throw channelFailure(thrown, what)
  } finally {
    void opened.close() // n.b. not waited for: in an alarm the broker does not answer before its end
  }
}
