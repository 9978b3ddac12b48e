/**
 * The domain's revocation list: its first one, the next ones, and who signs them. A delegated key of its own signs, so
 * that revoking needs neither root nor issuing CA.
 */
import type { X509Certificate } from 'node:crypto'
import { parseCertificate } from '../src/crypto/certificate.js'
import {
  issueRevocationList,
  parseRevocationList,
  type RevocationList,
  type RevokedAddress,
  type RevokedSerial,
} from '../src/crypto/revocation.js'
import { SealbusError } from '../src/errors.js'
import { type Issuer, spkiHash } from './certificate.js'
import { readIfThere } from './files.js'

/** After it a device that got no newer list pauses: as long as a card lives. */
export const REVOCATION_MAX_AGE_S: number = 30 * 24 * 3600

/** A list that revokes nobody, the first of its domain. */
export function firstList(domain: string, nowMs: number): RevocationList {
  return {
    domain,
    number: 1,
    issuedAtMs: nowMs,
    maxAgeSeconds: REVOCATION_MAX_AGE_S,
    serials: [],
    addresses: [],
  }
}

/** Bytes for every device's folder. n.b. sorted: the same entries give the same body. */
export function signList(list: RevocationList, { certificate, key }: Issuer): Uint8Array {
  const serials = list.serials.toSorted((a, b) => Buffer.compare(a.serial, b.serial))
  const addresses = list.addresses.toSorted((a, b) => (a.address < b.address ? -1 : 1))
  return issueRevocationList({ ...list, serials, addresses }, [new Uint8Array(certificate.raw)], key)
}

/** @throws SealbusError `configuration` where there is none */
export function readList(path: string): RevocationList {
  const bytes = readIfThere(path)
  if (bytes === undefined)
    throw new SealbusError('configuration', `${path}: expected the revocation list, found no file`)
  return parseRevocationList(bytes)
}

/** The same entries under the next number, issued now. */
export function nextList(list: RevocationList, nowMs: number): RevocationList {
  return { ...list, number: list.number + 1, issuedAtMs: nowMs }
}

/** True once half of its age has passed: time for {@link nextList}. */
export function isAgeing(list: RevocationList, nowMs: number): boolean {
  return nowMs - list.issuedAtMs >= (list.maxAgeSeconds * 1000) / 2
}

/**
 * The list with one more certificate: by its number, and with every earlier one of its address.
 * @param issuer - the CA that issued it
 */
export function withRevoked(
  list: RevocationList,
  revoked: X509Certificate,
  issuer: X509Certificate,
  nowMs: number,
): RevocationList {
  const leaf = parseCertificate(new Uint8Array(revoked.raw))
  const address = leaf.commonNames[0] ?? ''
  const serial: RevokedSerial = {
    issuerSpkiSha256: new Uint8Array(spkiHash(issuer.publicKey)),
    serial: leaf.serial,
  }
  // whole seconds, after the leaf's notBefore even where both fall into one second
  const issuedBeforeMs = Math.max(Math.ceil(nowMs / 1000), leaf.notBeforeMs / 1000 + 1) * 1000
  const others = list.addresses.filter(entry => entry.address !== address)
  const entry: RevokedAddress = { address, issuedBeforeMs }
  return { ...nextList(list, nowMs), serials: [...list.serials, serial], addresses: [...others, entry] }
}

/** Before this no certificate of the address counts, ms; undefined: it was never revoked. */
export function revokedBefore(list: RevocationList): (address: string) => number | undefined {
  const before = new Map(list.addresses.map(entry => [entry.address, entry.issuedBeforeMs]))
  return address => before.get(address)
}
