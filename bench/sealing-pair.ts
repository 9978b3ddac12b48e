/** A sender and a recipient with real certificates and cards, who know each other: what the sealing benchmark runs on. */
import { randomBytes } from 'node:crypto'
import { generateIdentityKey, type Issuer, issueCertificate, selfSign, spkiHash } from '../pki/certificate.js'
import { PROFILES } from '../pki/profiles.js'
import { toHex } from '../src/bytes.js'
import { issueCard } from '../src/crypto/card.js'
import { createDirectory } from '../src/crypto/directory.js'
import { signP256 } from '../src/crypto/ecdsa.js'
import { createOpener } from '../src/crypto/opener.js'
import type { Identity, SealingKey } from '../src/crypto/peers.js'
import { createSealer } from '../src/crypto/sealer.js'
import { x25519PublicKey } from '../src/crypto/sodium.js'
import { keyIdOf } from '../src/crypto/suites.js'
import { createTrust } from '../src/crypto/trust.js'
import type { WireMessage } from '../src/wire.js'

const DOMAIN = 'field'

export interface Pair {
  readonly nowMs: number
  /** Seals with the session at hand and no chain attached. */
  seal(messages: readonly WireMessage[]): Uint8Array
  /** @throws Error unless it opens */
  open(body: Uint8Array): void
}

/** Needs `sodiumReady()`. */
export function createPair(): Pair {
  const nowMs = Date.now()
  const { root, issuing } = authority(nowMs)
  const issuer = {
    spkiSha256: spkiHash(issuing.certificate.publicKey).toString('hex'),
    domain: DOMAIN,
    roles: ['*'],
    prefixes: [''],
  }
  const trust = createTrust({ domain: DOMAIN, suites: [1], roots: [root.certificate.raw], issuers: [issuer] })
  const directory = createDirectory(trust)
  const identities = ['vpp-0001', 'heh-0001'].map(address => {
    const { publicKey, privateKey } = generateIdentityKey()
    const subject = { commonName: address, organizationalUnit: 'heh' }
    const leaf = issueCertificate({ profile: PROFILES.device, subject, publicKey, nowMs }, issuing)
    const chain = [new Uint8Array(leaf.raw), new Uint8Array(issuing.certificate.raw)]
    const certificate = trust.verify(chain, nowMs)
    const key = newSealingKey()
    directory.offer(
      issueCard({ domain: DOMAIN, chain, signer: privateKey, keys: [[1, key.publicKey]], nowMs }),
      nowMs,
    )
    const card = directory.find(certificate)
    if (card === undefined) throw new Error('bench: the card was not accepted')
    const identity: Identity = {
      certificate,
      card,
      sign: data => signP256(privateKey, data),
      sealingKey: id => (id === toHex(key.keyId) ? key : undefined),
      destroyed: () => false,
    }
    return identity
  })
  const [sender, recipient] = identities
  if (sender === undefined || recipient === undefined) throw new Error('bench: two identities expected')
  const now = (): number => Date.now()
  const sealer = createSealer({ identity: sender, trust, directory, now })
  const opener = createOpener({ identity: recipient, trust, directory, now })
  const { domain, address } = recipient.certificate
  const to = { domain, address }
  let seq = 1_000
  return {
    nowMs,
    seal(messages) {
      seq += messages.length
      const epoch = '0102030405060708'
      return sealer.seal({ epoch, seq, floor: seq, open: seq, to, messages, introduce: false }).body
    },
    open(body) {
      const result = opener.open(body)
      if (result instanceof Promise || !result.ok)
        throw new Error(`bench: not opened: ${JSON.stringify(result)}`)
    },
  }
}

function authority(nowMs: number): { root: Issuer; issuing: Issuer } {
  const rootKey = generateIdentityKey()
  const named = (commonName: string): { organization: string; commonName: string } => ({
    organization: DOMAIN,
    commonName,
  })
  const rootRequest = {
    profile: PROFILES.identityRoot,
    subject: named('root'),
    publicKey: rootKey.publicKey,
    nowMs,
  }
  const root = { certificate: selfSign(rootRequest, rootKey.privateKey), key: rootKey.privateKey }
  const key = generateIdentityKey()
  const request = {
    profile: PROFILES.issuingCa,
    subject: named('issuing CA'),
    publicKey: key.publicKey,
    nowMs,
  }
  return { root, issuing: { certificate: issueCertificate(request, root), key: key.privateKey } }
}

function newSealingKey(): SealingKey {
  const privateKey = randomBytes(32)
  const publicKey = x25519PublicKey(privateKey)
  return { suite: 1, publicKey, keyId: keyIdOf(1, publicKey), withPrivateKey: use => use(privateKey) }
}
