/** Server certificates of a domain for nodes to serve: one that has expired, or a good one. Its authority must be open. */

import type { BrokerTls } from '../../cluster/options.js'
import { issueBrokerCertificate, openPki } from '../../pki/index.js'
import { PROFILES } from '../../pki/profiles.js'

const DAY_MS = 24 * 3600 * 1000
const EXPIRED = 'chaos-expired'

/**
 * What {@link localDriver} takes to replace certificates.
 * @param name - of the certificate that the nodes serve when all is well
 */
export function certificatesOf(
  domain: { readonly dir: string; readonly passphrase: string },
  name: string,
): (which: 'expired' | 'valid') => Promise<BrokerTls> {
  // n.b. for a domain whose clock is so late, the certificate is good; for everybody else it ended a minute ago
  const late = (): number => Date.now() - PROFILES.brokerServer.lifetimeDays * DAY_MS - 60_000
  return async which =>
    which === 'expired'
      ? await issueBrokerCertificate(openPki({ ...domain, now: late }), { name: EXPIRED })
      : await issueBrokerCertificate(openPki(domain), { name })
}
