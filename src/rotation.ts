/**
 * The life of one's own sealing keys (docs/PROTOCOL.md, "Time"): a new key and card when half of the card's life
 * is over; a key is destroyed once nothing that was sealed to it can still be valid. That is the forward-secrecy horizon.
 *
 * ```text
 * sealing/KEYID.key        the private key           sealing/KEYID.card   the card that it was replaced on
 * sealing/KEYID.destroyed  there was one: "destroyed" and "never ours" can be told apart
 * ```
 */
import { generateKeyPairSync } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from './bytes.js'
import { DEFAULT_CARD_LIFETIME_MS, issueCard, parseCard } from './crypto/card.js'
import { parseSealingKey } from './crypto/identity.js'
import type { Card } from './crypto/peers.js'
import { keyIdOf } from './crypto/suites.js'
import { isSealbusError } from './errors.js'
import type { LoadedFolder } from './identity-folder.js'
import { acquireLock, type Lock } from './reliability/lock.js'
import { SKEW_MS } from './wire.js'

/** A card that would end hardly later than the present one is not worth a key. */
const WORTHWHILE_MS: number = 24 * 3_600_000
const SEALING = 'sealing'
const LOCK = '.rotation.lock'

/** What a round did. */
export interface Rotation {
  /** Key id of the new sealing key, 16 hex digits. */
  readonly renewed?: string
  readonly destroyed: readonly string[]
}

/**
 * Renews the card where it is due, destroys what is over, and reads the identity again. Another process that does the same
 * for this folder just now is left to it.
 * @throws SealbusError `identity`; errors of the file system
 */
export async function rotate(folder: LoadedFolder, nowMs: number): Promise<Rotation> {
  const lock = tryLock(folder.dir)
  if (lock === undefined) return { destroyed: [] }
  try {
    const destroyed = await destroyOver(folder, nowMs)
    const renewed = await renewWhereDue(folder, nowMs)
    if (renewed !== undefined || destroyed.length > 0) await folder.reloadIdentity()
    return renewed === undefined ? { destroyed } : { renewed, destroyed }
  } finally {
    lock.release()
  }
}

function tryLock(dir: string): Lock | undefined {
  try {
    return acquireLock(join(dir, SEALING, LOCK))
  } catch (error) {
    if (isSealbusError(error, 'configuration')) return undefined
    throw error
  }
}

function isDue({ identity: { card, certificate } }: LoadedFolder, nowMs: number): boolean {
  const halfway = card.notBeforeMs + (card.notAfterMs - card.notBeforeMs) / 2
  const nextEnd = Math.min(nowMs + DEFAULT_CARD_LIFETIME_MS, certificate.notAfterMs)
  return nowMs >= halfway && nextEnd - card.notAfterMs >= WORTHWHILE_MS
}

/** n.b. first read again: where the folder is broken, the new card could not be taken, and every round would write one. */
async function renewWhereDue(folder: LoadedFolder, nowMs: number): Promise<string | undefined> {
  if (!isDue(folder, nowMs)) return undefined
  await folder.reloadIdentity()
  return isDue(folder, nowMs) ? renewCard(folder, nowMs) : undefined
}

/** n.b. the key is on the disk before the card that offers it, and the old card beside its key before it is replaced. */
async function renewCard({ dir, identity }: LoadedFolder, nowMs: number): Promise<string> {
  const { card, certificate } = identity
  const pem = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const key = parseSealingKey(pem)
  const bytes = issueCard({
    domain: certificate.domain,
    chain: certificate.chain,
    signer: data => identity.sign(data),
    keys: [[key.suite, key.publicKey]],
    nowMs,
    lastCounter: card.counter,
    lifetimeSeconds: card.lifetimeSeconds,
    inbox: card.inbox,
  })
  const keyId = toHex(key.keyId)
  await writeWhole(join(dir, SEALING, `${keyId}.key`), pem, 0o600)
  for (const old of keyIds(card)) await writeWhole(join(dir, SEALING, `${old}.card`), card.bytes, 0o600)
  await writeWhole(join(dir, 'card.cbor'), bytes, 0o644)
  return keyId
}

async function destroyOver(folder: LoadedFolder, nowMs: number): Promise<string[]> {
  const sealing = join(folder.dir, SEALING)
  const current = keyIds(parseCard(new Uint8Array(await readFile(join(folder.dir, 'card.cbor')))))
  const destroyed: string[] = []
  for (const name of await readdir(sealing)) {
    const keyId = /^([0-9a-f]{16})\.card$/.exec(name)?.[1]
    if (keyId === undefined || current.includes(keyId)) continue
    const card = parseCard(new Uint8Array(await readFile(join(sealing, name))))
    if (nowMs <= card.notAfterMs + card.lifetimeSeconds * 1000 + SKEW_MS) continue
    await destroy(sealing, keyId)
    destroyed.push(keyId)
  }
  return destroyed
}

/** n.b. overwriting is no promise on flash or a copying file system; what counts is that the file is gone. */
async function destroy(sealing: string, keyId: string): Promise<void> {
  const file = join(sealing, `${keyId}.key`)
  await writeFile(join(sealing, `${keyId}.destroyed`), '', { flush: true })
  const size = await stat(file).then(
    found => found.size,
    () => 0,
  )
  if (size > 0) await writeFile(file, Buffer.alloc(size), { flag: 'r+', flush: true })
  await rm(file, { force: true })
  await rm(join(sealing, `${keyId}.card`), { force: true })
}

function keyIds({ keys }: Pick<Card, 'keys'>): string[] {
  return keys.map(([suite, publicKey]) => toHex(keyIdOf(suite, publicKey)))
}

/** Written aside, flushed, renamed, the folder flushed: after a power cut there is the old file or the new one. */
async function writeWhole(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const draft = `${path}.new`
  await rm(draft, { force: true })
  await writeFile(draft, content, { mode, flag: 'wx', flush: true })
  await rename(draft, path)
  const folder = await open(join(path, '..'), constants.O_RDONLY)
  await folder.sync().finally(() => folder.close())
}
