/**
 * One device's folder: a new identity with everything that `connect` needs, or the renewed parts of an old one.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCard } from '../src/crypto/card.js'
import { SealbusError } from '../src/errors.js'
import { readAuthorityCertificate } from './authority.js'
import { issueFirstCard, issueNextCard } from './card.js'
import { generateIdentityKey, issueCertificate } from './certificate.js'
import { newConfig, updatedConfig } from './config-file.js'
import {
  buildFolder,
  json,
  makeFolder,
  PRIVATE_FILE,
  readIfThere,
  withFile,
  writeIfDifferent,
  writeNew,
} from './files.js'
import { DEVICE_FILES } from './layout.js'
import type { Pki } from './pki.js'
import { type DomainPolicy, type InboxKind, type Member, roleSettings, rulesOf } from './policy.js'
import { PROFILES } from './profiles.js'
import { type Device, toDevice } from './registry.js'
import { trustFile } from './trust-file.js'

/** What to issue. */
export interface DeviceRequest extends Member {
  readonly inbox: InboxKind
  /** Where the address was revoked: nothing older counts. */
  readonly notBeforeMs: number
}

/** Issues devices and rewrites what the domain decides in their folders; holds what all of them have alike. */
export class DeviceWriter {
  readonly #pki: Pki
  readonly #policy: DomainPolicy
  readonly #alike: Readonly<Record<string, string | Uint8Array>>
  readonly #chain: Uint8Array

  constructor(pki: Pki, policy: DomainPolicy) {
    const issuing = readAuthorityCertificate(pki.layout.dir, 'issuing')
    this.#pki = pki
    this.#policy = policy
    this.#chain = new Uint8Array(issuing.raw)
    this.#alike = {
      [DEVICE_FILES.chain]: issuing.toString(),
      [DEVICE_FILES.identityRoot]: readAuthorityCertificate(pki.layout.dir, 'identityRoot').toString(),
      [DEVICE_FILES.brokerRoot]: readAuthorityCertificate(pki.layout.dir, 'brokerRoot').toString(),
      [DEVICE_FILES.trust]: trustFile(pki, policy),
      [DEVICE_FILES.revocationList]: withFile(pki.layout.revocationList, () =>
        readFileSync(pki.layout.revocationList),
      ),
    }
  }

  /** Makes the folder of a new device, complete or not at all; the cards of others come with the next delivery. */
  issue(request: DeviceRequest): Device {
    const { publicKey, privateKey } = generateIdentityKey()
    const certificate = this.#certify(request, publicKey, request.notBeforeMs)
    const signer = this.#signer(certificate, privateKey)
    const { card, sealingKey } = issueFirstCard(signer, request.inbox, this.#pki.now())
    const folder = join(this.#pki.layout.devices, request.name)
    buildFolder(folder, this.#pki.layout.workshop, draft => {
      for (const name of [DEVICE_FILES.sealing, DEVICE_FILES.cards]) makeFolder(join(draft, name))
      const sealingFile = join(DEVICE_FILES.sealing, sealingKey.file)
      writeAll(
        draft,
        { [DEVICE_FILES.key]: pemOf(privateKey), [sealingFile]: sealingKey.content },
        PRIVATE_FILE,
      )
      writeAll(draft, { [DEVICE_FILES.certificate]: certificate.toString(), [DEVICE_FILES.card]: card })
      writeAll(draft, this.#alike)
      writeAll(draft, {
        [DEVICE_FILES.policy]: this.#policyOf(request),
        [DEVICE_FILES.config]: newConfig(this.#managed(request)),
      })
    })
    return toDevice(request.name, certificate, { ...parseCard(card), bytes: card }, folder, false)
  }

  /** A new certificate for the device's key, and a card that goes with it. */
  renew(device: Device, folder: string): void {
    const key = readIdentityKey(folder)
    const certificate = this.#certify(device, device.certificate.publicKey, device.notBeforeMs)
    const before = withFile(folder, () => readFileSync(join(folder, DEVICE_FILES.card)))
    const card = issueNextCard(this.#signer(certificate, key), before, this.#pki.now())
    writeIfDifferent(join(folder, DEVICE_FILES.certificate), certificate.toString())
    writeIfDifferent(join(folder, DEVICE_FILES.card), card)
  }

  /** Rewrites what the domain decides where it differs. Returns how many files did. */
  refresh(device: Device, folder: string): number {
    const files = {
      ...this.#alike,
      [DEVICE_FILES.policy]: this.#policyOf(device),
      [DEVICE_FILES.config]: updatedConfig(folder, this.#managed(device)),
    }
    const changed = Object.entries(files).filter(([file, content]) =>
      writeIfDifferent(join(folder, file), content),
    )
    return changed.length
  }

  #certify({ name, role }: Member, publicKey: KeyObject, notBeforeMs: number): X509Certificate {
    const request = {
      profile: PROFILES.device,
      subject: { organizationalUnit: role, commonName: name },
      publicKey,
      nowMs: this.#pki.now(),
      notBeforeMs,
    }
    return issueCertificate(request, this.#pki.authority('issuing'))
  }

  #signer(certificate: X509Certificate, privateKey: KeyObject) {
    const chain = [new Uint8Array(certificate.raw), this.#chain]
    return { domain: this.#pki.domain, chain, privateKey }
  }

  #policyOf(member: Member): string {
    return json({ version: 1, allow: rulesOf(this.#policy, member, this.#pki.domain) })
  }

  #managed({ name, role, inbox }: Member & { inbox: InboxKind }) {
    const { declare, partitions } = roleSettings(this.#policy, role, this.#pki.layout.policy)
    const divided = partitions === undefined || inbox !== 'quorum' ? {} : { partitions }
    return { address: name, brokers: this.#pki.settings.brokers, inbox: { kind: inbox, declare, ...divided } }
  }
}

function writeAll(folder: string, files: Readonly<Record<string, string | Uint8Array>>, mode?: number): void {
  for (const [file, content] of Object.entries(files)) writeNew(join(folder, file), content, mode)
}

/** PKCS#8 in PEM, not encrypted: its folder is the device's own. */
function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** @throws SealbusError `identity` where it was taken out of the folder */
function readIdentityKey(folder: string): KeyObject {
  const path = join(folder, DEVICE_FILES.key)
  const pem = readIfThere(path)
  if (pem === undefined) {
    throw new SealbusError(
      'identity',
      `${path}: expected the device's key, found no file; renew where the key is`,
    )
  }
  return createPrivateKey(pem)
}
