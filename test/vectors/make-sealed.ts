/**
 * Made test/vectors/sealed-v1.json, once: keys and certificates are new at every run, so a second run gives other bytes.
 * `SEALBUS_MAKE_VECTORS=1 npx vitest run --project unit test/unit/vectors.test.ts` writes the file anew. The file is frozen:
 * change it only together with the version of the envelope.
 */
import { randomBytes } from 'node:crypto'
import { generateIdentityKey, issueCertificate, spkiHash } from '../../pki/certificate.js'
import { PROFILES } from '../../pki/profiles.js'
import { concat, fromHex, toHex, utf8 } from '../../src/bytes.js'
import { type CborValue, encodeCbor } from '../../src/codec/cbor.js'
import { encodeHeader, envelopeKey, partyBytes, sealEnvelope, sessionInfo, signedBytes, syntheticEnvelopeId } from '../../src/crypto/envelope.js'
import { sha256 } from '../../src/crypto/kdf.js'
import { issueRevocationList } from '../../src/crypto/revocation.js'
import { suiteOf } from '../../src/crypto/suites.js'
import { malleate, NOW, newAuthority, newParticipant, type Participant } from '../support/fixtures-sealing.js'

export interface VectorFile {
  readonly warning: string
  readonly trust: {
    readonly domain: string
    readonly suites: readonly number[]
    readonly roots: readonly string[]
    readonly issuers: readonly { spkiSha256: string; domain: string; roles: string[]; prefixes: string[] }[]
    readonly revocationSigners: readonly string[]
  }
  readonly recipient: {
    readonly domain: string
    readonly address: string
    readonly lifetimeSeconds: number
    readonly sealingKeys: readonly { suite: number; privateKey: string; publicKey: string; keyId: string }[]
    readonly destroyedKeyIds: readonly string[]
  }
  readonly senders: Readonly<Record<string, { chain: readonly string[]; card: string }>>
  readonly cases: readonly VectorCase[]
}

export interface VectorCase {
  readonly name: string
  readonly nowMs: number
  /** Senders whose certificates the recipient knows already. */
  readonly known: readonly string[]
  /** The revocation list in force, where one is configured. */
  readonly revocationList?: string
  readonly body: string
  /** What lies between, for whoever writes a client. */
  readonly steps?: Readonly<Record<string, string>>
  readonly expected: { ok: true; [field: string]: unknown } | { ok: false; reason: string }
}

const EPOCH = '0102030405060708'
const DAY = 86_400_000

/** Makes all cases. Needs `sodiumReady()`. */
export function makeVectors(): VectorFile {
  const authority = newAuthority('field')
  const alice = newParticipant(authority, 'vpp-0001', { role: 'vpp' })
  const mallory = newParticipant(authority, 'heh-0666')
  const elsewhere = newParticipant(newAuthority('field'), 'vpp-0001', { role: 'vpp' })
  const privateKey = randomBytes(32)
  const bob = newParticipant(authority, 'heh-0001', { privateSealingKey: privateKey })
  const maker = new Maker(alice, bob)
  const signer = issueCertificate(
    {
      profile: PROFILES.revocationSigner,
      subject: { organization: 'field', commonName: 'field revocation' },
      publicKey: signerKey.publicKey,
      nowMs: NOW,
    },
    authority.root,
  )
  const list = (addresses: { address: string; issuedBeforeMs: number }[]): string =>
    toHex(
      issueRevocationList(
        { domain: 'field', number: 1, issuedAtMs: NOW - 1000, maxAgeSeconds: 86_400, serials: [], addresses },
        [new Uint8Array(signer.raw)],
        signerKey.privateKey,
      ),
    )
  const destroyedKeyIds = ['00112233445566ff']
  return {
    warning: 'TEST VECTORS. Every private key in this file is public: use none of them for anything.',
    trust: {
      domain: 'field',
      suites: [1],
      roots: [toHex(authority.root.certificate.raw)],
      issuers: [
        { spkiSha256: spkiHash(authority.issuing.certificate.publicKey).toString('hex'), domain: 'field', roles: ['vpp', 'heh'], prefixes: ['vpp-', 'heh-'] },
      ],
      revocationSigners: [spkiHash(signerKey.publicKey).toString('hex')],
    },
    recipient: {
      domain: 'field',
      address: 'heh-0001',
      lifetimeSeconds: 86_400,
      sealingKeys: [
        { suite: 1, privateKey: toHex(privateKey), publicKey: toHex(bob.key.publicKey), keyId: toHex(bob.key.keyId) },
      ],
      destroyedKeyIds,
    },
    senders: Object.fromEntries(
      [alice, mallory].map(({ identity: { certificate, card } }) => [
        certificate.address,
        { chain: certificate.chain.map(toHex), card: toHex(card.bytes) },
      ]),
    ),
    cases: [
      ...maker.successes(),
      ...maker.failures(mallory, elsewhere, destroyedKeyIds),
      maker.refused('the sender is revoked', 'revoked', maker.body(), {
        revocationList: list([{ address: 'vpp-0001', issuedBeforeMs: NOW + DAY }]),
      }),
      maker.refused('the revocation list is too old', 'stale-revocation', maker.body(), {
        revocationList: list([]),
        nowMs: NOW + 2 * DAY,
      }),
    ],
  }
}

const signerKey: ReturnType<typeof generateIdentityKey> = generateIdentityKey()

interface Parts {
  content: Uint8Array
  /** Who signs; default: the sender. */
  signer: Participant
  /** Whose certificate is signed along; default: the signer's. */
  certHash: Uint8Array
  /** The recipient that is signed, and the one that the session is made for. */
  signedFor: { domain: string; address: string }
  sessionFor: { domain: string; address: string }
  change: (signature: Uint8Array) => Uint8Array
}

class Maker {
  readonly #alice: Participant
  readonly #bob: Participant
  readonly #seed: Uint8Array = randomBytes(32)

  constructor(alice: Participant, bob: Participant) {
    this.#alice = alice
    this.#bob = bob
  }

  /** Seals by hand, step by step as docs/PROTOCOL.md has it. */
  make(parts: Partial<Parts> = {}): { body: Uint8Array; steps: Record<string, string> } {
    const { identity } = parts.signer ?? this.#alice
    const { certificate } = identity
    const { content = this.content([this.message()]), change = same, certHash = certificate.hash } = parts
    const bob = this.#bob.identity.certificate
    const suite = suiteOf(1)
    const info = sessionInfo(1, parts.sessionFor ?? bob)
    const session = suite?.encapsulate(this.#bob.key.publicKey, info, this.#seed.slice())
    if (suite === undefined || session === undefined) throw new Error('suite 1 expected')
    const contentHash = sha256(content)
    const random = randomBytes(16)
    const envelopeId = syntheticEnvelopeId(session.secret, random, contentHash)
    const header = encodeHeader({ suite, keyId: this.#bob.key.keyId, enc: session.enc, envelopeId })
    const recipient = partyBytes(parts.signedFor ?? bob)
    const signed = signedBytes({ header, recipient, publicKeyHash: sha256(this.#bob.key.publicKey), certHash, contentHash })
    const signature = change(identity.sign(signed))
    const okm = envelopeKey(session.secret, envelopeId)
    const body = sealEnvelope(session.secret, { bytes: header, envelopeId }, signature, content)
    const steps = { ephemeralPrivateKey: this.#seed, enc: session.enc, info, secret: session.secret, random, contentHash, envelopeId, header, signed, signature, content }
    return {
      body,
      steps: { ...hexed(steps), key: toHex(okm.subarray(0, 32)), nonce: toHex(okm.subarray(32)) },
    }
  }

  body(parts?: Partial<Parts>): Uint8Array {
    return this.make(parts).body
  }

  head(extras?: ReadonlyMap<number, CborValue>, fields: Partial<Record<number, CborValue>> = {}): CborValue[] {
    const { hash } = this.#alice.identity.certificate
    const head: CborValue[] = [hash.subarray(0, 8), fromHex(EPOCH), 41, 3, 1, NOW, 86_400]
    const changed = head.map((item, index) => fields[index] ?? item)
    return extras === undefined ? changed : [...changed, extras]
  }

  message(more: readonly (readonly [number, CborValue])[] = []): CborValue {
    return new Map<number, CborValue>([[1, 'report'], [2, utf8('{"power":-1200}')], ...more])
  }

  content(messages: readonly CborValue[], head: CborValue[] = this.head()): Uint8Array {
    return concat(encodeCbor(head), ...messages.map(encodeCbor))
  }

  /** Content with a message as raw bytes behind a good head. */
  raw(hex: string): Uint8Array {
    return this.body({ content: concat(encodeCbor(this.head()), fromHex(hex)) })
  }

  opened(name: string, parts: Partial<Parts>, expected: Record<string, unknown> = {}, more: Partial<VectorCase> = {}): VectorCase {
    const { body, steps } = this.make(parts)
    const { domain, address, role, fingerprint } = this.#alice.identity.certificate
    const message = {
      type: 'report', payload: { hex: toHex(utf8('{"power":-1200}')) }, createdAtMs: NOW, ttlSeconds: 86_400,
      contentType: 'application/json', receiptWanted: false, request: false,
    }
    return {
      name, nowMs: NOW, known: ['vpp-0001'], body: toHex(body), steps, ...more,
      expected: {
        ok: true, from: { domain, address, role, fingerprint },
        envelopeId: steps['envelopeId'] ?? '', contentHash: steps['contentHash'] ?? '',
        epoch: EPOCH, seq: 41, floor: 38, open: 40, createdAtMs: NOW, messages: [message], ...expected,
      },
    }
  }

  refused(name: string, reason: string, body: Uint8Array, more: Partial<VectorCase> = {}): VectorCase {
    return { name, nowMs: NOW, known: ['vpp-0001', 'heh-0666'], body: toHex(body), ...more, expected: { ok: false, reason } }
  }

  successes(): VectorCase[] {
    const { identity } = this.#alice
    const introduction = new Map<number, CborValue>([
      [1, identity.certificate.chain],
      [2, [fromHex('ffffffffffffffff'), 9]],
      [3, identity.card.bytes],
    ])
    const plain = { type: 'report', payload: { hex: '' }, createdAtMs: NOW, ttlSeconds: 86_400, contentType: 'application/json', receiptWanted: false, request: false }
    const bare = (more: readonly (readonly [number, CborValue])[] = []): CborValue =>
      new Map<number, CborValue>([[1, 'report'], [2, new Uint8Array(0)], ...more])
    const full: [number, CborValue][] = [
      [3, 1500], [4, 60], [5, 'text/plain'], [6, utf8('id')], [7, 'vpp-0001/answers'], [8, [fromHex('aaaaaaaaaaaaaaaa'), 5]], [9, 3],
      [10, new Map<string, CborValue>([['a', 'text'], ['b', Uint8Array.of(1, 2)], ['c', -7], ['__proto__', true]])],
    ]
    const fullMessage = {
      ...plain, createdAtMs: NOW + 1500, ttlSeconds: 60, contentType: 'text/plain', correlationId: { hex: '6964' }, replyTo: 'vpp-0001/answers',
      inReplyTo: { epoch: 'aaaaaaaaaaaaaaaa', seq: 5 }, receiptWanted: true, request: true,
      headers: [['a', 'text'], ['b', { hex: '0102' }], ['c', -7], ['__proto__', true]],
    }
    const ignored = new Map<number, CborValue>([[4, new Uint8Array(16)], [64, 'later'], [70, [1, 2]]])
    return [
      this.opened('one message', {}),
      this.opened('another envelope of the same session', {}),
      this.opened('a batch of three: numbers, times and lifetimes of each', {
        content: this.content([bare(), bare([[3, 20]]), bare([[3, 40], [4, 10]])]),
      }, { messages: [plain, { ...plain, createdAtMs: NOW + 20 }, { ...plain, createdAtMs: NOW + 40, ttlSeconds: 10 }] }),
      this.opened('every field of a message, headers of each kind', { content: this.content([bare(full)]) }, { messages: [fullMessage] }),
      this.opened('chain, predecessor and card attached, nothing known before', {
        content: this.content([this.message()], this.head(introduction)),
      }, { predecessor: { epoch: 'ffffffffffffffff', lastSeq: 9 } }, { known: [] }),
      this.opened('a floor notice: no message at all', { content: this.content([]) }, { messages: [] }),
      this.opened('padding and extras from 64 on are ignored', { content: this.content([this.message()], this.head(ignored)) }),
      this.opened('message keys from 64 on are ignored', { content: this.content([this.message([[64, 'later'], [99, [true]]])]) }),
      this.opened('defaults spelt out', {
        content: this.content([this.message([[3, 0], [4, 86_400], [5, 'application/json'], [9, 0], [10, new Map()]])]),
      }, { messages: [{ ...plain, payload: { hex: toHex(utf8('{"power":-1200}')) }, headers: [] }] }),
      this.opened('s replaced by n − s', { change: malleate }),
      this.opened('a lifetime over the recipient’s limit counts as the limit', {
        content: this.content([this.message([[4, 600_000]])]),
      }),
      this.opened('created 120 s ahead', { content: this.content([this.message()]) }, {}, { nowMs: NOW - 120_000 }),
    ]
  }

  failures(mallory: Participant, elsewhere: Participant, destroyed: readonly string[]): VectorCase[] {
    const good = this.body()
    const set = (at: number, bytes: Uint8Array): Uint8Array => {
      const copy = good.slice()
      copy.set(bytes, at)
      return copy
    }
    const flip = (at: number): Uint8Array => set(at, Uint8Array.of((good.at(at) ?? 0) ^ 1))
    const withHead = (head: CborValue[]): Uint8Array => this.body({ content: this.content([this.message()], head) })
    const withMessage = (more: [number, CborValue]): Uint8Array => this.body({ content: this.content([this.message([more])]) })
    const chain = (p: Participant): ReadonlyMap<number, CborValue> => new Map([[1, p.identity.certificate.chain]])
    const certId = (p: Participant): CborValue => p.identity.certificate.hash.subarray(0, 8)
    const n = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
    const headers65 = new Map(Array.from({ length: 65 }, (_, i): [string, number] => [`h${i}`, i]))
    const start = 'a20166' + '7265706f7274' // {1: "report", …
    return [
      this.refused('nothing', 'not-an-envelope', new Uint8Array(0)),
      this.refused('plaintext', 'not-an-envelope', utf8('{"type":"report"}')),
      this.refused('version 2', 'not-an-envelope', set(0, Uint8Array.of(2))),
      this.refused('suite 0', 'unknown-suite', set(1, Uint8Array.of(0))),
      this.refused('suite 2, which the trust file does not allow', 'unknown-suite', set(1, Uint8Array.of(2))),
      this.refused('a header alone', 'not-an-envelope', good.subarray(0, 58)),
      this.refused('no content', 'not-an-envelope', good.subarray(0, 58 + 80)),
      this.refused('sealed to a key that was never ours', 'unknown-key', set(2, new Uint8Array(8))),
      this.refused('sealed to a destroyed key', 'destroyed-key', set(2, fromHex(destroyed[0] ?? ''))),
      this.refused('a bit of enc flipped', 'bad-tag', flip(20)),
      this.refused('a bit of the envelope id flipped', 'bad-tag', flip(50)),
      this.refused('a bit of the ciphertext flipped', 'bad-tag', flip(100)),
      this.refused('a bit of the tag flipped', 'bad-tag', flip(-1 + good.length)),
      this.refused('a byte too few', 'bad-tag', good.subarray(0, -1)),
      this.refused('a byte too many', 'bad-tag', concat(good, Uint8Array.of(0))),
      this.refused('two envelopes in one body', 'bad-tag', concat(good, good)),
      this.refused('enc all zero', 'bad-tag', set(10, new Uint8Array(32))),
      this.refused('a session for another address', 'bad-tag', this.body({ sessionFor: { domain: 'field', address: 'heh-0002' } })),
      this.refused('certificate neither known nor attached', 'unknown-certificate', good, { known: ['heh-0666'] }),
      this.refused('same name, other authority', 'untrusted-certificate', this.body({
        signer: elsewhere, content: this.content([], this.head(chain(elsewhere), { 0: certId(elsewhere) })),
      })),
      this.refused('an attached certificate that has expired', 'untrusted-certificate', withHead(this.head(chain(this.#alice))), { known: [], nowMs: NOW + 91 * DAY }),
      this.refused('an attached certificate that the head does not name', 'malformed', withHead(this.head(chain(this.#alice), { 0: new Uint8Array(8) }))),
      this.refused('no signature', 'bad-signature', this.body({ change: () => new Uint8Array(64) })),
      this.refused('s = n', 'bad-signature', this.body({ change: s => concat(s.subarray(0, 32), n) })),
      this.refused('a signature by somebody else', 'bad-signature', this.body({ signer: mallory, certHash: this.#alice.identity.certificate.hash })),
      this.refused('somebody else’s certificate over a stolen signature', 'bad-signature', this.body({ content: this.content([], this.head(undefined, { 0: certId(mallory) })) })),
      this.refused('signed for another recipient', 'bad-signature', this.body({ signedFor: { domain: 'field', address: 'heh-0002' } })),
      this.refused('a head of null', 'malformed', this.body({ content: fromHex('f6') })),
      this.refused('a head with ttl 0', 'malformed', withHead(this.head(undefined, { 6: 0 }))),
      this.refused('a head whose floor is below 0', 'malformed', withHead(this.head(undefined, { 3: 42 }))),
      this.refused('extra 5', 'malformed', withHead(this.head(new Map([[5, 1]])))),
      this.refused('a message without payload', 'malformed', this.raw('a101667265706f7274')),
      this.refused('a payload of text', 'malformed', this.raw(`${start}0261 61`.replaceAll(' ', ''))),
      this.refused('message key 11', 'malformed', withMessage([11, 1])),
      this.refused('a key twice', 'malformed', this.raw('a3016172024001 6172'.replaceAll(' ', ''))),
      this.refused('keys out of order', 'malformed', this.raw('a20240016172')),
      this.refused('an unknown flag', 'malformed', withMessage([9, 4])),
      this.refused('65 headers', 'malformed', withMessage([10, headers65])),
      this.refused('a header of an array', 'malformed', withMessage([10, new Map([['a', [1]]])])),
      this.refused('a type with a space', 'malformed', this.raw('a2016361 2062 0240'.replaceAll(' ', ''))),
      this.refused('a tag', 'malformed', this.raw('c0a20161720240')),
      this.refused('a float', 'malformed', this.raw('a30161720240 03f93c00'.replaceAll(' ', ''))),
      this.refused('an indefinite length', 'malformed', this.raw('bf0161720240ff')),
      this.refused('an integer not in its shortest form', 'malformed', this.raw('a30161720240031801')),
      this.refused('2^31 pairs', 'malformed', this.raw('ba80000000')),
      this.refused('depth 5 under an ignored key', 'malformed', this.raw('a30161720240184081818180')),
      this.refused('the second message of a batch malformed', 'malformed', this.raw('a20161720240f6')),
      this.refused('created more than 120 s from now', 'clock-ahead', good, { nowMs: NOW - 120_001 }),
    ]
  }
}

function same(signature: Uint8Array): Uint8Array {
  return signature
}

function hexed(parts: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  return Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, toHex(bytes)]))
}
