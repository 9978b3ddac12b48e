/** A small world for tests of sealing: a root, an issuing CA, participants with real certificates, cards and keys. */

import type { X509Certificate } from 'node:crypto'
import { randomBytes } from 'node:crypto'
import {
  type CertificateRequest,
  generateIdentityKey,
  type Issuer,
  issueCertificate,
  selfSign,
  spkiHash,
} from '../../pki/certificate.js'
import { PROFILES, type Profile } from '../../pki/profiles.js'
import { concat, toHex } from '../../src/bytes.js'
import { issueCard } from '../../src/crypto/card.js'
import { createDirectory, type MemoryDirectory } from '../../src/crypto/directory.js'
import { signP256 } from '../../src/crypto/ecdsa.js'
import { createOpener, type OpenerOptions, type SessionOpener } from '../../src/crypto/opener.js'
import type { Card, Certificate, Identity, SealingKey } from '../../src/crypto/peers.js'
import { createSealer, type SealerOptions } from '../../src/crypto/sealer.js'
import type { Sealer, SealRequest } from '../../src/crypto/sealing.js'
import { x25519PublicKey } from '../../src/crypto/sodium.js'
import { keyIdOf } from '../../src/crypto/suites.js'
import { createTrust, type KeptTrust } from '../../src/crypto/trust.js'
import type { WireMessage } from '../../src/wire.js'

/** The moment at which most tests happen. */
export const NOW: number = Date.UTC(2030, 0, 15, 12)
export const EPOCH = '0102030405060708'

export interface Clock {
  ms: number
}

/** A domain's root and issuing CA. */
export interface Authority {
  readonly root: Issuer
  readonly issuing: Issuer
  readonly domain: string
}

export function newAuthority(domain = 'field', nowMs: number = NOW): Authority {
  const rootKey = generateIdentityKey()
  const subject = { organization: domain, commonName: `${domain} identity root` }
  const rootRequest = {
    profile: PROFILES.identityRoot,
    subject,
    publicKey: rootKey.publicKey,
    nowMs: nowMs - 86_400_000,
  }
  const root = { certificate: selfSign(rootRequest, rootKey.privateKey), key: rootKey.privateKey }
  const key = generateIdentityKey()
  const request: CertificateRequest = {
    profile: PROFILES.issuingCa,
    subject: { organization: domain, commonName: `${domain} issuing CA` },
    publicKey: key.publicKey,
    nowMs: nowMs - 86_400_000,
  }
  return { root, issuing: { certificate: issueCertificate(request, root), key: key.privateKey }, domain }
}

/** Trust in authorities, without a revocation list unless signers are named. */
export function trustIn(authorities: readonly Authority[], signers?: readonly string[]): KeptTrust {
  const [first] = authorities
  return createTrust({
    domain: first?.domain ?? 'field',
    suites: [1],
    roots: authorities.map(({ root }) => root.certificate.raw),
    issuers: authorities.map(({ issuing, domain }) => ({
      spkiSha256: spkiHash(issuing.certificate.publicKey).toString('hex'),
      domain,
      roles: ['*'],
      prefixes: [''],
    })),
    ...(signers && { revocation: { signers } }),
  })
}

/** A sealing key in memory. */
export function sealingKey(privateKey: Uint8Array = randomBytes(32)): SealingKey {
  const publicKey = x25519PublicKey(privateKey)
  return { suite: 1, publicKey, keyId: keyIdOf(1, publicKey), withPrivateKey: use => use(privateKey) }
}

/** An identity whose certificate, card and keys can be changed in mid-flight. */
export interface TestIdentity extends Identity {
  certificate: Certificate
  card: Card
  readonly keys: Map<string, SealingKey>
  readonly destroyedKeys: Set<string>
}

export interface Participant {
  readonly clock: Clock
  readonly identity: TestIdentity
  readonly key: SealingKey
  readonly trust: KeptTrust
  readonly directory: MemoryDirectory
  sealer(options?: Partial<SealerOptions>): Sealer
  opener(options?: Partial<OpenerOptions>): SessionOpener
  /** Publishes a new card with a new sealing key; returns the card. */
  rotate(): Card
}

export interface ParticipantOptions {
  readonly role?: string
  readonly clock?: Clock
  readonly profile?: Profile
  readonly trust?: KeptTrust
  /** Default: one of its own. */
  readonly privateSealingKey?: Uint8Array
  readonly lifetimeSeconds?: number
}

/** A participant with its own trust and directory, which know only itself. */
export function newParticipant(
  authority: Authority,
  address: string,
  options: ParticipantOptions = {},
): Participant {
  const {
    role = 'heh',
    clock = { ms: NOW },
    profile = PROFILES.device,
    trust = trustIn([authority]),
  } = options
  const { publicKey, privateKey } = generateIdentityKey()
  const subject = { commonName: address, organizationalUnit: role }
  const leaf = issueCertificate({ profile, subject, publicKey, nowMs: clock.ms }, authority.issuing)
  const chain = [leaf, authority.issuing.certificate].map(raw)
  const directory = createDirectory(trust)
  const sign = (data: Uint8Array): Uint8Array => signP256(privateKey, data)
  const certificate = trust.verify(chain, clock.ms)
  const keys = new Map<string, SealingKey>()
  const destroyedKeys = new Set<string>()
  let lastCounter = 0

  function publish(key: SealingKey): Card {
    keys.set(toHex(key.keyId), key)
    const { lifetimeSeconds = 86_400 } = options
    const card = { domain: authority.domain, chain, signer: sign, lastCounter, lifetimeSeconds }
    directory.offer(issueCard({ ...card, keys: [[key.suite, key.publicKey]], nowMs: clock.ms }), clock.ms)
    const own = directory.find(certificate)
    if (own === undefined) throw new Error('own card was not accepted')
    lastCounter = own.counter
    return own
  }

  const key = sealingKey(options.privateSealingKey)
  const identity: TestIdentity = {
    certificate,
    card: publish(key),
    keys,
    destroyedKeys,
    sign,
    sealingKey: id => keys.get(id),
    destroyed: id => destroyedKeys.has(id),
  }
  const base = { identity, trust, directory, now: () => clock.ms }
  return {
    clock,
    identity,
    key,
    trust,
    directory,
    sealer: more => createSealer({ ...base, ...more }),
    opener: more => createOpener({ ...base, ...more }),
    rotate() {
      identity.card = publish(sealingKey())
      return identity.card
    },
  }
}

function raw(certificate: X509Certificate): Uint8Array {
  return new Uint8Array(certificate.raw)
}

/** Lets each know the other's certificate and card. */
export function introduce(...participants: readonly Participant[]): void {
  for (const a of participants) {
    for (const b of participants) {
      if (a === b) continue
      a.trust.verify(b.identity.certificate.chain, a.clock.ms)
      a.directory.offer(b.identity.card.bytes, a.clock.ms)
    }
  }
}

export function message(fields: Partial<WireMessage> = {}): WireMessage {
  return {
    type: 'report',
    payload: new TextEncoder().encode('{"power":-1200}'),
    createdAtMs: NOW,
    ttlSeconds: 86_400,
    contentType: 'application/json',
    receiptWanted: false,
    request: false,
    ...fields,
  }
}

export function request(to: Participant, fields: Partial<SealRequest> = {}): SealRequest {
  const { domain, address } = to.identity.certificate
  return {
    to: { domain, address },
    epoch: EPOCH,
    seq: 7,
    floor: 3,
    open: 5,
    messages: [message()],
    introduce: false,
    ...fields,
  }
}

/** The body with one bit changed. */
export function flipped(body: Uint8Array, bit: number): Uint8Array {
  const copy = body.slice()
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

/** s replaced by n − s: another valid signature of the same data. */
export function malleate(signature: Uint8Array): Uint8Array {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = n - BigInt(`0x${toHex(signature.subarray(32))}`)
  return concat(signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex'))
}
