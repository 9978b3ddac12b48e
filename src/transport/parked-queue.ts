/**
 * Reading one's own parking queue without losing anything: what is got stays unacknowledged until it is chosen to go, and
 * goes back when the channel closes. `basic.get` is allowed there, since parking has no single active consumer.
 */
import type { Channel } from './amqp.js'
import { within } from './deadline.js'
import { dialler } from './dial.js'
import { Endpoints } from './endpoints.js'
import { channelFailure, connectionLost } from './failures.js'
import type { Link } from './link.js'
import type { LinkChannel } from './link-channel.js'
import { INDEX_HEADER } from './publish-channel.js'
import { type RabbitOptions, settings } from './rabbit-options.js'
import { claimedSender, DECLARE_MS, names } from './topology.js'

/** As many attempts to connect as a cluster of usual size has nodes, and one more. */
const ATTEMPTS = 4

/** One parked body, as the broker has it. n.b. all but the body are claims. */
export interface ParkedBody {
  readonly body: Uint8Array
  /** 32 hex digits where it was parked by a receiver. */
  readonly messageId: string
  /** Of a message that was parked alone. */
  readonly index: number | undefined
  readonly claimedFrom: string | undefined
  /** Why the broker put it there itself, such as `delivery_limit`. */
  readonly deadLettered: string | undefined
  /** It is done with: the queue forgets it. */
  remove(): void
}

/**
 * Runs `work` over all that is in the parking queue, oldest first. What it does not remove goes back afterwards, also
 * where it throws. n.b. all of it is held in memory meanwhile: parking has 64 MiB and a few bodies more.
 * @throws SealbusError `unauthorised` (no such queue, no permission), `connection-lost`; what `work` throws
 */
export async function withParkedBodies<T>(
  options: RabbitOptions,
  work: (bodies: readonly ParkedBody[]) => Promise<T>,
  signal: AbortSignal = new AbortController().signal,
): Promise<T> {
  const link = await connected(options, signal)
  try {
    const opened = await link.plainChannel()
    const bodies = await all(opened, names(options.address, settings(options).exchange).parked, signal)
    const result = await work(bodies)
    await opened.close() // n.b. everything before it on the channel, removals too, has reached the broker then
    return result
  } finally {
    await link.close()
  }
}

async function all(
  opened: LinkChannel<Channel>,
  queue: string,
  signal: AbortSignal,
): Promise<readonly ParkedBody[]> {
  const bodies: ParkedBody[] = []
  for (;;) {
    signal.throwIfAborted()
    const body = await next(opened, queue)
    if (body === undefined) return bodies
    bodies.push(body)
  }
}

async function connected(options: RabbitOptions, signal: AbortSignal): Promise<Link> {
  const checked = settings(options)
  const dial = dialler(checked, new Endpoints(checked.brokers, checked.allowPlaintext), 'parking')
  for (let attempt = 1; ; attempt++) {
    try {
      return await dial(signal)
    } catch (error) {
      signal.throwIfAborted()
      if (attempt === ATTEMPTS) throw error
    }
  }
}

async function next(opened: LinkChannel<Channel>, queue: string): Promise<ParkedBody | undefined> {
  const what = `look into ${queue}`
  let got: Awaited<ReturnType<Channel['get']>>
  try {
    got = await within(DECLARE_MS, what, opened.ask(opened.channel.get(queue)))
  } catch (thrown) {
    throw channelFailure(thrown, what)
  }
  if (got === false) return undefined
  const { content, properties, fields } = got
  const headers = (properties.headers ?? {}) as Record<string, unknown>
  const message = got
  return {
    body: new Uint8Array(content),
    messageId: typeof properties.messageId === 'string' ? properties.messageId : '',
    index: indexOf(headers[INDEX_HEADER]),
    claimedFrom: claimedSender(fields.routingKey),
    deadLettered: reasonOf(headers['x-first-death-reason']),
    remove: () => {
      if (!opened.open) throw connectionLost(undefined)
      opened.channel.ack(message)
    },
  }
}

function indexOf(header: unknown): number | undefined {
  return typeof header === 'number' && Number.isInteger(header) && header >= 0 && header < 1024
    ? header
    : undefined
}

/** n.b. a word for the terminal, from whoever may write into the queue. */
function reasonOf(header: unknown): string | undefined {
  return typeof header === 'string' && /^[a-z_-]{1,32}$/.test(header) ? header : undefined
}
