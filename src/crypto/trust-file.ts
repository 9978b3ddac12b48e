/** trust.json: roots, floor of suites, and which issuer key may issue which domain, roles and addresses. */

import { JsonFields, type JsonObject, parseJsonObject } from './json-fields.js'
import { DOMAIN, ROLE } from './leaf-profile.js'

/** What one issuer key may issue. */
export interface IssuerRule {
  /** SHA-256 of the issuer's SubjectPublicKeyInfo, 64 lower-case hex digits. */
  readonly spkiSha256: string
  readonly domain: string
  /** Exact roles; `*` alone: any. */
  readonly roles: readonly string[]
  /** Beginnings of addresses; the empty string: any. */
  readonly prefixes: readonly string[]
}

export interface TrustFile {
  readonly domain: string
  readonly suites: readonly number[]
  /** File names, relative to the trust file. */
  readonly roots: readonly string[]
  readonly issuers: readonly IssuerRule[]
  /** Absent: no revocation list is used. */
  readonly revocation?: {
    readonly file: string
    /** SHA-256 of the signers' SubjectPublicKeyInfo, 64 lower-case hex digits. */
    readonly signers: readonly string[]
  }
}

const SPKI_SHA256 = /^[0-9a-f]{64}$/
const FILE = /^.{1,255}$/
const PREFIX = /^[A-Za-z0-9_-]{0,64}$/
const ROLE_OR_ANY: RegExp = new RegExp(`${ROLE.source}|^[*]$`)
/** Suites that this version has. */
const SUITES: readonly number[] = [1]

/**
 * Reads and checks trust.json.
 * @param name - the file, for messages
 * @throws SealbusError `configuration`
 */
export function parseTrustFile(text: string, name = 'trust.json'): TrustFile {
  const fields = new JsonFields(parseJsonObject(text, name), name)
  fields.version(1)
  const revocation = fields.optionalObject('revocation')
  const file: TrustFile = {
    domain: fields.text('domain', DOMAIN),
    suites: fields.numbers('suites', SUITES),
    roots: fields.texts('roots', FILE, 1),
    issuers: fields
      .objects('issuers', 1)
      .map((value, index) => parseIssuer(value, `${name}: issuers[${index}]`)),
    ...(revocation === undefined ? {} : { revocation: parseRevocation(revocation, `${name}: revocation`) }),
  }
  fields.end()
  return file
}

function parseIssuer(value: JsonObject, name: string): IssuerRule {
  const fields = new JsonFields(value, name)
  const rule = {
    spkiSha256: fields.text('spkiSha256', SPKI_SHA256),
    domain: fields.text('domain', DOMAIN),
    roles: fields.texts('roles', ROLE_OR_ANY, 1),
    prefixes: fields.texts('prefixes', PREFIX, 1),
  }
  fields.end()
  return rule
}

function parseRevocation(value: JsonObject, name: string): NonNullable<TrustFile['revocation']> {
  const fields = new JsonFields(value, name)
  const revocation = { file: fields.text('file', FILE), signers: fields.texts('signers', SPKI_SHA256, 1) }
  fields.end()
  return revocation
}
