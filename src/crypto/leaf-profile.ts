/** What leaves must look like: one row a purpose. An identity's leaf is also a TLS client certificate. */
import type { ParsedCertificate } from './certificate.js'
import { EXTENSION_OID } from './certificate-extensions.js'

/** Addresses: certificate CN, RabbitMQ user, inbox and routing word at once. */
export const ADDRESS: RegExp = /^[A-Za-z0-9_-]{1,64}$/
/** Roles: the certificate's OU. */
export const ROLE: RegExp = /^[A-Za-z0-9._-]{1,64}$/
/** Trust domains. */
export const DOMAIN: RegExp = /^[A-Za-z0-9._-]{1,64}$/

/** A leaf that speaks for an address: the first rule that it breaks, or undefined. */
export function identityLeaf(leaf: ParsedCertificate): string | undefined {
  const { commonNames, organizationalUnits, extendedKeyUsage } = leaf
  if (leaf.ca || leaf.keyUsage?.has('keyCertSign') === true) return 'expected no CA'
  if (commonNames.length !== 1) return `expected exactly one CN, got ${commonNames.length}`
  if (organizationalUnits.length !== 1) return `expected exactly one OU, got ${organizationalUnits.length}`
  if (!ADDRESS.test(commonNames[0] ?? '')) return 'expected a CN of 1..64 characters of [A-Za-z0-9_-]'
  if (!ROLE.test(organizationalUnits[0] ?? '')) return 'expected an OU of 1..64 characters of [A-Za-z0-9._-]'
  if (leaf.keyUsage?.has('digitalSignature') !== true) return 'expected key usage digitalSignature'
  if (extendedKeyUsage?.has(EXTENSION_OID.clientAuth) !== true)
    return 'expected extended key usage clientAuth'
  // n.b. or a broker operator's own TLS certificate would be an identity
  if (extendedKeyUsage.has(EXTENSION_OID.serverAuth)) return 'expected no extended key usage serverAuth'
  if (extendedKeyUsage.has(EXTENSION_OID.anyExtendedKeyUsage)) return 'expected no anyExtendedKeyUsage'
  return undefined
}

/** A certificate that signs revocation lists; which keys may is said by the trust file. */
export function revocationSigner(leaf: ParsedCertificate): string | undefined {
  const may = leaf.keyUsage?.has('digitalSignature') === true || leaf.keyUsage?.has('cRLSign') === true
  return may ? undefined : 'expected key usage digitalSignature or cRLSign'
}
