/**
 * Puts original sealed bytes into one's own parking queue, with a confirm. A lost channel is no answer: again. An answer
 * that stays a refusal means that parking is full, missing or forbidden, and whoever asked has to stop.
 */
import { asError, isSealbusError, SealbusError } from '../errors.js'
import type { Confirmation, Publication, PublishChannel, Transport } from '../transport/transport.js'
import { backoff } from './backoff.js'
import { ParkingChannel } from './parking-channel.js'
import { retry } from './retry.js'

/** Refusals in a row before parking counts as full. */
const MAX_REFUSALS = 5
const PAUSES = { firstMs: 100, maxMs: 5_000, jitter: 'half' } as const

/** @throws SealbusError `buffer-full` (full, no parking queue, or refused), `closed`, or the signal's reason */
export type Park = (publication: Publication, signal?: AbortSignal) => Promise<void>

type Answer = Confirmation | 'broker-refused' | 'unauthorised'

export function createPark(transport: Pick<Transport, 'channel'>): Park {
  const channel = new ParkingChannel(transport)
  return async (publication, signal) => {
    let refusals = 0
    const attempt = async (): Promise<Answer> => {
      const answer = await channel.use(open => publishOnce(open, publication), isConfirmed, signal)
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

async function publishOnce(channel: PublishChannel, publication: Publication): Promise<Answer> {
  try {
    return await channel.publish(publication)
  } catch (error) {
    // n.b. a missing or forbidden exchange is an answer, too: it does not go away by asking on
    if (isSealbusError(error, 'broker-refused')) return 'broker-refused'
    if (isSealbusError(error, 'unauthorised')) return 'unauthorised'
    throw asError(error)
  }
}

const isConfirmed = (answer: Answer): boolean => answer === 'confirmed'

const MEANING: Readonly<Record<Exclude<Answer, 'confirmed'>, string>> = {
  nacked: 'it is full; empty it',
  returned: 'there is no such queue; declare it',
  'broker-refused': 'the broker does not take it; ask its operator why',
  unauthorised: 'its exchange is missing or forbidden; import the definitions',
}

function refused({ to }: Publication, answer: Exclude<Answer, 'confirmed'>): SealbusError {
  const times = `${MAX_REFUSALS} times`
  return new SealbusError(
    'buffer-full',
    `parking: parked.${to} answered ${answer} ${times}: ${MEANING[answer]}`,
  )
}
