/** Makes the bus of a party as a scenario wants it: its outbox, its memory, its place among several workers. */
import { join } from 'node:path'
import type { Bus, Logger } from '../src/bus.js'
import { type ConnectOptions, connect, sharedSeen } from '../src/index.js'
import type { PartyPlan } from './plan.js'
import type { Assignment } from './protocol.js'

/** Connects it. @throws SealbusError as `connect`; Error when a shared memory is wanted and there is no Redis */
export async function connectParty(
  party: PartyPlan,
  { brokers, redis }: Pick<Assignment, 'brokers' | 'redis'>,
  logger: Logger,
): Promise<Bus> {
  const { identity, outbox, seen, worker = 1 } = party
  const options: ConnectOptions = {
    ...{ identity, brokers: [...brokers], logger },
    ...(outbox === 'disk' && { outbox: 'file' }),
    // n.b. a state folder has one owner: another worker of the same identity keeps its own
    ...(worker > 1 && { state: join(identity, `state-worker-${worker}`) }),
  }
  if (seen === undefined) return await connect(options)
  if (seen !== 'shared') return await connect({ ...options, seen })
  return await connect({ ...options, seen: sharedSeen({ client: await redisClient(redis) }) })
}

/** n.b. imported when it is needed: the package `redis` is there where somebody uses it. */
async function redisClient(
  socket: string | undefined,
): Promise<{ sendCommand(words: string[]): Promise<unknown> }> {
  if (socket === undefined) throw new Error('seen: shared was asked for, and there is no Redis')
  const { createClient } = await import('redis')
  const client = createClient({ socket: { path: socket, tls: false } })
  client.on('error', () => undefined) // it mends its own losses
  await client.connect()
  return client
}
