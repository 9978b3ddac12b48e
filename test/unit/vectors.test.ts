/** The frozen cases of test/vectors/sealed-v1.json, each through the public opener. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/bytes.js'
import { createDirectory } from '../../src/crypto/directory.js'
import { createOpener } from '../../src/crypto/opener.js'
import type { Identity, SealingKey } from '../../src/crypto/peers.js'
import type { OpenResult } from '../../src/crypto/sealing.js'
import { sodiumReady } from '../../src/crypto/sodium.js'
import { createTrust, type KeptTrust } from '../../src/crypto/trust.js'
import type { WireMessage } from '../../src/wire.js'
import { makeVectors, type VectorCase, type VectorFile } from '../vectors/make-sealed.js'

const FILE = new URL('../vectors/sealed-v1.json', import.meta.url)

await sodiumReady()
if (process.env['SEALBUS_MAKE_VECTORS'] === '1' || !existsSync(FILE)) {
  writeFileSync(FILE, `${JSON.stringify(makeVectors(), null, 1)}\n`)
}
const vectors = JSON.parse(readFileSync(FILE, 'utf8')) as VectorFile

function trustOf(vector: VectorCase): KeptTrust {
  const { domain, suites, roots, issuers, revocationSigners } = vectors.trust
  const revocation = vector.revocationList === undefined ? undefined : { signers: revocationSigners }
  const trust = createTrust({ domain, suites, roots: roots.map(fromHex), issuers, revocation })
  const learntAtMs = Math.min(...vectors.cases.map(({ nowMs }) => nowMs))
  for (const name of vector.known) trust.verify((vectors.senders[name]?.chain ?? []).map(fromHex), learntAtMs)
  if (vector.revocationList !== undefined) {
    trust.acceptRevocationList(
      fromHex(vector.revocationList),
      Math.min(vector.nowMs, vectors.cases[0]?.nowMs ?? 0),
    )
  }
  return trust
}

function identity(): Identity {
  const { domain, address, lifetimeSeconds, sealingKeys, destroyedKeyIds } = vectors.recipient
  const keys = new Map(
    sealingKeys.map(({ suite, privateKey, publicKey, keyId }): [string, SealingKey] => [
      keyId,
      {
        suite,
        keyId: fromHex(keyId),
        publicKey: fromHex(publicKey),
        withPrivateKey: use => use(fromHex(privateKey)),
      },
    ]),
  )
  // n.b. to open, one's own certificate is asked for the party alone, the card for the lifetime alone
  return {
    certificate: { domain, address } as Identity['certificate'],
    card: { lifetimeSeconds } as Identity['card'],
    sign: () => new Uint8Array(64),
    sealingKey: id => keys.get(id),
    destroyed: id => destroyedKeyIds.includes(id),
  }
}

function open(vector: VectorCase): OpenResult | Promise<OpenResult> {
  const trust = trustOf(vector)
  const directory = createDirectory(trust)
  return createOpener({ identity: identity(), trust, directory, now: () => vector.nowMs }).open(
    fromHex(vector.body),
  )
}

const bytes = (value: unknown): unknown => (value instanceof Uint8Array ? { hex: toHex(value) } : value)

/** As the file has it: bytes as hex, headers as pairs. */
function plain(message: WireMessage): object {
  const { headers, correlationId, payload, ...rest } = message
  return {
    ...rest,
    payload: bytes(payload),
    ...(correlationId === undefined ? {} : { correlationId: bytes(correlationId) }),
    ...(headers && { headers: Object.entries(headers).map(([name, value]) => [name, bytes(value)]) }),
  }
}

describe('sealed-v1.json', () => {
  beforeAll(() => {
    expect(vectors.warning).toMatch(/TEST VECTORS/)
  })

  it('holds at least 8 successes and 25 failures, each name once', () => {
    const good = vectors.cases.filter(({ expected }) => expected.ok)
    expect(good.length).toBeGreaterThanOrEqual(8)
    expect(vectors.cases.length - good.length).toBeGreaterThanOrEqual(25)
    expect(new Set(vectors.cases.map(({ name }) => name)).size).toBe(vectors.cases.length)
  })

  it.each(vectors.cases.filter(({ expected }) => expected.ok))('opens: $name', vector => {
    const result = open(vector)
    if (result instanceof Promise || !result.ok) throw new Error(JSON.stringify(result))
    expect({ ...result, messages: result.messages.map(plain) }).toEqual(vector.expected)
  })

  it.each(vectors.cases.filter(({ expected }) => !expected.ok))('refuses: $name', vector => {
    expect(open(vector)).toMatchObject(vector.expected)
  })

  it('every flipped bit and every truncation of the first is refused', () => {
    const [vector] = vectors.cases
    if (vector === undefined) throw new Error('no case')
    const trust = trustOf(vector)
    const opener = createOpener({
      identity: identity(),
      trust,
      directory: createDirectory(trust),
      now: () => vector.nowMs,
    })
    const body = fromHex(vector.body)
    expect(opener.open(body)).toMatchObject({ ok: true })
    for (let bit = 0; bit < body.length * 8; bit++) {
      const changed = body.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
      expect(opener.open(changed), `bit ${bit}`).toMatchObject({ ok: false })
    }
    for (let length = 0; length < body.length; length++) {
      expect(opener.open(body.subarray(0, length)), `length ${length}`).toMatchObject({ ok: false })
    }
  })
})
