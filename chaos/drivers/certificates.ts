/** Certificates of a domain for drivers to replace others by: its authority must be open. */

import { type BrokerCertificateOptions, issueBrokerCertificate, openPki, renew } from '../../pki/index.js'
import { PROFILES } from '../../pki/profiles.js'
import type { LocalOptions } from './local.js'

const DAY_MS = 24 * 3600 * 1000
const EXPIRED = 'chaos-expired'

/** A domain whose authority is open. */
export interface OpenDomain {
  readonly dir: string
  readonly passphrase: string
}

/**
 * What the authority of a domain lets a driver do: other certificates for servers and for devices.
 * @param served - the certificate that the nodes serve when all is well
 */
export function authorityOf(
  domain: OpenDomain,
  served: BrokerCertificateOptions,
): Pick<LocalOptions, 'certificate' | 'renew'> {
  // n.b. for a domain whose clock is so late the certificate is good; for everybody else it ended a minute ago
  const late = (): number => Date.now() - PROFILES.brokerServer.lifetimeDays * DAY_MS - 60_000
  return {
    certificate: async which =>
      which === 'expired'
        ? await issueBrokerCertificate(openPki({ ...domain, now: late }), { ...served, name: EXPIRED })
        : await issueBrokerCertificate(openPki(domain), served),
    renew: async address => {
      await renew(openPki(domain), [address])
    },
  }
}
