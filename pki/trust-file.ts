/** A device's trust.json: which root, which issuing key for which roles, who signs revocation lists. */
import { toHex } from '../src/bytes.js'
import { readAuthorityCertificate } from './authority.js'
import { spkiHash } from './certificate.js'
import { json } from './files.js'
import { DEVICE_FILES } from './layout.js'
import type { Pki } from './pki.js'
import type { DomainPolicy } from './policy.js'

/** Suites that the domain allows at all. */
const SUITES: readonly number[] = [1]
/** Every address starts with it: one issuing CA serves the whole domain. */
const ANY_PREFIX = ''

/** The same text for every device of the domain. */
export function trustFile(pki: Pki, policy: DomainPolicy): string {
  const hashOf = (name: 'issuing' | 'revocation'): string =>
    toHex(spkiHash(readAuthorityCertificate(pki.layout.dir, name).publicKey))
  return json({
    version: 1,
    domain: pki.domain,
    suites: SUITES,
    roots: [DEVICE_FILES.identityRoot],
    issuers: [
      {
        spkiSha256: hashOf('issuing'),
        domain: pki.domain,
        roles: Object.keys(policy.roles),
        prefixes: [ANY_PREFIX],
      },
    ],
    revocation: { file: DEVICE_FILES.revocationList, signers: [hashOf('revocation')] },
  })
}
