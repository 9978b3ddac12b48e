/** What the four have in common: how a broker's URL is written, and the arguments of a queue. */

/** Each node replicates it. */
export const QUORUM = {
  durable: true,
  arguments: { 'x-queue-type': 'quorum', 'x-quorum-initial-group-size': 3 },
}

/**
 * A broker's URL with user, password and virtual host in it.
 * @param {string} broker
 * @param {import('../peer.ts').PeerOptions} options
 * @returns {string}
 */
export function withUser(broker, { user, password, vhost }) {
  return `${broker.replace('://', `://${user}:${password}@`)}/${encodeURIComponent(vhost)}`
}
