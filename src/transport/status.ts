/** One status out of two connections and what the broker refuses: the worst that somebody has to act on comes first. */
import type { SealbusError } from '../errors.js'
import type { LinkState } from './reconnect.js'
import type { TransportStatus } from './transport.js'

/**
 * `unauthorised` before `connecting` before `blocked` before `ready`.
 *
 * @param refusals - what the broker refuses on a living connection: exchange, inbox, declaration
 */
export function combine(
  links: readonly LinkState[],
  refusals: readonly (SealbusError | undefined)[],
): TransportStatus {
  const refused = links.map(refusal).concat(refusals).find(Boolean)
  if (refused !== undefined) return { state: 'unauthorised', reason: refused }
  const down = links.find(link => link.name !== 'open')
  if (down !== undefined)
    return withReason('connecting', 'lastFailure' in down ? down.lastFailure : undefined)
  const blocked = links.map(alarm).find(Boolean)
  return blocked === undefined
    ? { state: 'ready' }
    : withReason('blocked', new Error(`the broker raised an alarm: ${blocked}`))
}

/** n.b. while the next attempt is under way it is still refused: the status does not flicker. */
function refusal(link: LinkState): SealbusError | undefined {
  if (link.name === 'refused') return link.lastFailure
  return link.name === 'connecting' && link.lastFailure?.code === 'unauthorised'
    ? link.lastFailure
    : undefined
}

function alarm(link: LinkState): string | undefined {
  return link.name === 'open' ? link.link.blocked : undefined
}

function withReason(state: TransportStatus['state'], reason: Error | undefined): TransportStatus {
  return reason === undefined ? { state } : { state, reason }
}
