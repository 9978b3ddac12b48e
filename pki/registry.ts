/**
 * The devices of a domain, as their folders and cards show them: there is no register that could disagree.
 */
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { parseCard, type SignedCard } from '../src/crypto/card.js'
import { SealbusError } from '../src/errors.js'
import { readCertificateFile } from './authority.js'
import { namesIn, readIfThere } from './files.js'
import { cardFile, cardName, DEVICE_FILES } from './layout.js'
import type { Pki } from './pki.js'
import type { InboxKind } from './policy.js'
import { readList, revokedBefore } from './revocation-list.js'

/** One device that was issued. */
export interface Device {
  readonly name: string
  readonly role: string
  readonly inbox: InboxKind
  readonly certificate: X509Certificate
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly revoked: boolean
  /** As it stands in its folder; see src/crypto/card.ts. */
  readonly card: Uint8Array
  readonly cardCounter: number
  readonly cardNotAfterMs: number
  /** Its folder; undefined: it was handed out and taken from here, only its card is left. */
  readonly folder: string | undefined
}

/** All devices, sorted by name. About 0.1 ms each. @throws SealbusError `identity` for a folder that is none */
export function listDevices(pki: Pki): Device[] {
  const isRevoked = revocations(pki)
  const folders = new Set(namesIn(pki.layout.devices))
  const cards = namesIn(pki.layout.cards).map(cardName)
  const names = new Set([...folders, ...cards.filter(name => name !== undefined)])
  return [...names].sort().map(name => read(pki, name, folders.has(name), isRevoked))
}

/** @throws SealbusError `configuration` where nobody has that name */
export function findDevice(pki: Pki, name: string): Device {
  const folder = readIfThere(join(pki.layout.devices, name, DEVICE_FILES.certificate)) !== undefined
  if (!folder && readIfThere(join(pki.layout.cards, cardFile(name))) === undefined) {
    throw new SealbusError(
      'configuration',
      `${name}: no device of ${pki.domain} has this name; see sealbus pki list`,
    )
  }
  return read(pki, name, folder, revocations(pki))
}

type IsRevoked = (name: string, notBeforeMs: number) => boolean

function revocations(pki: Pki): IsRevoked {
  const before = revokedBefore(readList(pki.layout.revocationList))
  return (name, notBeforeMs) => notBeforeMs < (before(name) ?? 0)
}

function read(pki: Pki, name: string, hasFolder: boolean, isRevoked: IsRevoked): Device {
  const folder = hasFolder ? join(pki.layout.devices, name) : undefined
  const card = readCard(
    folder === undefined ? join(pki.layout.cards, cardFile(name)) : join(folder, DEVICE_FILES.card),
  )
  const certificate =
    folder === undefined ? leafOf(card.chain) : readCertificateFile(join(folder, DEVICE_FILES.certificate))
  return toDevice(name, certificate, card, folder, isRevoked(name, Date.parse(certificate.validFrom)))
}

/** A device from its certificate and its card. */
export function toDevice(
  name: string,
  certificate: X509Certificate,
  card: SignedCard & { readonly bytes: Uint8Array },
  folder: string | undefined,
  revoked: boolean,
): Device {
  return {
    name,
    role: roleOf(certificate),
    inbox: card.inbox,
    certificate,
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    revoked,
    card: card.bytes,
    cardCounter: card.counter,
    cardNotAfterMs: card.notAfterMs,
    folder,
  }
}

function readCard(path: string): SignedCard & { bytes: Uint8Array } {
  const bytes = readIfThere(path)
  if (bytes === undefined)
    throw new SealbusError('identity', `${path}: expected a card, found no file; restore the device's folder`)
  try {
    return { ...parseCard(bytes), bytes }
  } catch (cause) {
    throw new SealbusError('identity', `${path}: ${(cause as Error).message}`, { cause })
  }
}

function leafOf([leaf]: readonly Uint8Array[]): X509Certificate {
  if (leaf === undefined) throw new SealbusError('identity', 'card: expected a certificate in it, found none')
  return new X509Certificate(leaf)
}

/** The OU of a certificate of ours. n.b. one line a field, as OpenSSL prints it. */
function roleOf(certificate: X509Certificate): string {
  return /^OU=(.*)$/m.exec(certificate.subject)?.[1] ?? ''
}
