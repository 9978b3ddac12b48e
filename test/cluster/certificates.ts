/** Certificates by the openssl command, so that cluster tests depend on no code of ours. */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate and its key, as PEM files. */
export interface Authority {
  readonly folder: string
  readonly cert: string
  readonly key: string
}

/** A self-signed root. */
export function makeAuthority(folder: string, name: string): Authority {
  const cert = join(folder, `${name}.crt`)
  const key = join(folder, `${name}.key`)
  const extensions = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]
  openssl([
    'req',
    '-x509',
    ...NEW_KEY,
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
    ...extensions,
  ])
  return { folder, cert, key }
}

/** A leaf `NAME.crt` with `NAME.key` beside the authority's files. @param days - 0: it has expired within a second */
export function makeLeaf(
  issuer: Authority,
  name: string,
  usage: 'clientAuth' | 'serverAuth',
  extension = '',
  days = 30,
): Authority {
  const file = (ending: string): string => join(issuer.folder, `${name}.${ending}`)
  openssl(['req', '-new', ...NEW_KEY, '-keyout', file('key'), '-out', file('csr'), '-subj', `/CN=${name}`])
  writeFileSync(file('ext'), `keyUsage=critical,digitalSignature\nextendedKeyUsage=${usage}\n${extension}\n`)
  const signer = ['-CA', issuer.cert, '-CAkey', issuer.key, '-CAcreateserial']
  openssl([
    'x509',
    '-req',
    '-in',
    file('csr'),
    ...signer,
    '-out',
    file('crt'),
    '-days',
    String(days),
    '-extfile',
    file('ext'),
  ])
  return { folder: issuer.folder, cert: file('crt'), key: file('key') }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

function openssl(args: readonly string[]): void {
  execFileSync('openssl', [...args], { stdio: ['ignore', 'ignore', 'pipe'] })
}
