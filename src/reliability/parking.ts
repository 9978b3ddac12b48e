/**
 * Puts original sealed bytes into one's own parking queue, with a confirm. A lost channel is no answer: again. An answer
 * that stays a refusal means that parking is full or missing, and whoever asked has to stop.
 */
import { asError, isSealbusError, SealbusError } from '../errors.js'
import type { Confirmation, Publication, Transport } from '../transport/transport.js'
import { backoff } from './backoff.js'
import { retry } from './retry.js'

/** Refusals in a row before parking counts as full. */
const MAX_REFUSALS = 5
const PAUSES = { firstMs: 100, maxMs: 5_000, jitter: 'half' } as const

/** @throws SealbusError `buffer-full` (full, or no parking queue), `closed`, or the signal's reason */
export type Park = (publication: Publication, signal?: AbortSignal) => Promise<void>

type Answer = Confirmation | 'broker-refused'

export function createPark(transport: Pick<Transport, 'channel'>): Park {
  return async (publication, signal) => {
    let refusals = 0
    const attempt = async (): Promise<Answer> => {
      const answer = await publishOnce(transport, publication, refusals > 0, signal)
      if (answer === 'confirmed') return answer
      refusals += 1
      if (refusals >= MAX_REFUSALS) return answer
      throw new SealbusError('broker-refused', `parking: expected a confirm, got ${answer}`)
    }
    const policy = { retries: Infinity, backoff: backoff(PAUSES) }
    const answer = await retry(attempt, { ...policy, ...(signal && { signal }) })
    if (answer !== 'confirmed') throw refused(publication, answer)
  }
}

/** n.b. after a refusal on a fresh channel: one that met a queue without leader stays nacked for it. */
async function publishOnce(
  transport: Pick<Transport, 'channel'>,
  publication: Publication,
  fresh: boolean,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const channel = await transport.channel(fresh ? 'fresh' : 'shared', signal)
  try {
    return await channel.publish(publication)
  } catch (error) {
    if (isSealbusError(error, 'broker-refused')) return 'broker-refused'
    throw asError(error)
  } finally {
    channel.release()
  }
}

function refused(publication: Publication, answer: Answer): SealbusError {
  const meaning = answer === 'returned' ? 'there is no such queue' : 'it is full'
  return new SealbusError(
    'buffer-full',
    `parking: parked.${publication.to} answered ${answer} ${MAX_REFUSALS} times: ${meaning}; empty or declare it`,
  )
}
