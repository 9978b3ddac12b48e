/**
 * The certificate authorities of a domain: which there are, how they are made, how they are opened.
 *
 * | authority | key | signs |
 * | --- | --- | --- |
 * | identityRoot | ca/identity-root.key | the next two |
 * | issuing | ca/issuing.key | devices |
 * | revocation | ca/revocation.key | the revocation list |
 * | brokerRoot | ca/broker-root.key | the broker's servers: another root, so that no server is an identity |
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { SealbusError } from '../src/errors.js'
import { generateIdentityKey, type Issuer, issueCertificate, selfSign } from './certificate.js'
import { makeFolder, PRIVATE_FILE, readIfThere, withFile, writeNew } from './files.js'
import { layoutOf } from './layout.js'
import { decryptPrivateKey, encryptPrivateKey } from './pkcs8.js'
import { PROFILES, type ProfileName } from './profiles.js'

export type AuthorityName = 'identityRoot' | 'issuing' | 'revocation' | 'brokerRoot'

interface Row {
  readonly profile: ProfileName
  readonly commonName: string
  /** Signs this one; undefined: a root. */
  readonly parent?: 'identityRoot'
  /** The certificate's file below D. */
  readonly certificate: string
  readonly key: string
}

const AUTHORITIES: Readonly<Record<AuthorityName, Row>> = {
  identityRoot: {
    profile: 'identityRoot',
    commonName: 'identity root',
    certificate: 'identity-root.crt',
    key: 'ca/identity-root.key',
  },
  issuing: {
    profile: 'issuingCa',
    commonName: 'issuing CA',
    parent: 'identityRoot',
    certificate: 'ca/issuing.crt',
    key: 'ca/issuing.key',
  },
  revocation: {
    profile: 'revocationSigner',
    commonName: 'revocation',
    parent: 'identityRoot',
    certificate: 'ca/revocation.crt',
    key: 'ca/revocation.key',
  },
  brokerRoot: {
    profile: 'brokerRoot',
    commonName: 'broker root',
    certificate: 'broker-root.crt',
    key: 'ca/broker-root.key',
  },
}

/** Makes all keys and certificates of a new domain below `dir`, which nobody sees yet. Returns them, open. */
export function createAuthorities(
  dir: string,
  domain: string,
  passphrase: string,
  nowMs: number,
): ReadonlyMap<AuthorityName, Issuer> {
  makeFolder(layoutOf(dir).ca)
  const made = new Map<AuthorityName, Issuer>()
  for (const [name, row] of Object.entries(AUTHORITIES) as [AuthorityName, Row][]) {
    const issuer = createAuthority(row, domain, nowMs, row.parent && made.get(row.parent))
    made.set(name, issuer)
    writeNew(join(dir, row.certificate), issuer.certificate.toString())
    writeNew(join(dir, row.key), encryptPrivateKey(issuer.key, passphrase), PRIVATE_FILE)
  }
  return made
}

function createAuthority(row: Row, domain: string, nowMs: number, parent?: Issuer): Issuer {
  const { publicKey, privateKey } = generateIdentityKey()
  const request = {
    profile: PROFILES[row.profile],
    subject: { organization: domain, commonName: row.commonName },
    publicKey,
    nowMs,
  }
  const certificate = parent === undefined ? selfSign(request, privateKey) : issueCertificate(request, parent)
  return { certificate, key: privateKey }
}

/** @throws SealbusError `identity` where the file is missing or no certificate */
export function readAuthorityCertificate(dir: string, name: AuthorityName): X509Certificate {
  return readCertificateFile(join(dir, AUTHORITIES[name].certificate))
}

/** @throws SealbusError `identity` where the file is missing or no certificate */
export function readCertificateFile(path: string): X509Certificate {
  const bytes = readIfThere(path)
  if (bytes === undefined)
    throw new SealbusError('identity', `${path}: expected a certificate, found no file`)
  try {
    return new X509Certificate(bytes)
  } catch (cause) {
    throw new SealbusError('identity', `${path}: expected a certificate in PEM, got something else`, {
      cause,
    })
  }
}

/** Opens an authority's key. About a fifth of a second: scrypt. @throws SealbusError `identity` for a wrong passphrase */
export function openAuthority(dir: string, name: AuthorityName, passphrase: string): Issuer {
  const certificate = readAuthorityCertificate(dir, name)
  const path = join(dir, AUTHORITIES[name].key)
  const encrypted = readIfThere(path)
  if (encrypted === undefined) {
    throw new SealbusError(
      'identity',
      `${path}: expected the authority's key, found no file; bring it back from where it is kept`,
    )
  }
  const key: KeyObject = decryptPrivateKey(encrypted.toString('latin1'), passphrase, path)
  if (!certificate.checkPrivateKey(key)) {
    throw new SealbusError('identity', `${path}: the key does not belong to ${AUTHORITIES[name].certificate}`)
  }
  return withFile(path, () => ({ certificate, key }))
}
