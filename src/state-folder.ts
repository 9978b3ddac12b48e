/**
 * The state folder of a process: cards that were learnt from peers, the newest revocation list, and what could not be opened on a bus that has no
 * parking of its own. Cards are self-proving and parked bodies sealed: a stolen folder shows who talked, nothing else.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Party } from './bus.js'
import { toHex } from './bytes.js'
import { asError, SealbusError } from './errors.js'
import type { Publication } from './transport/transport.js'
import { partyKey } from './wire.js'

const CARDS = 'cards'
const LIST = 'revoked.cbor'
const PARKED = 'parked'
/** Bodies kept in `parked/` at once; beyond it consuming halts until somebody looks. */
const MAX_PARKED = 10_000

/** Makes the folder, only for its owner. @throws SealbusError `store-failed` */
export async function makeStateFolder(dir: string): Promise<void> {
  await storing(dir, () => mkdir(dir, { recursive: true, mode: 0o700 }))
}

/** Cards that were learnt in an earlier life. A folder that is not there yet holds none. */
export async function learntCards(dir: string): Promise<Uint8Array[]> {
  const folder = join(dir, CARDS)
  const names = await readdir(folder).catch(() => [])
  const cards = names.filter(name => name.endsWith('.cbor'))
  return storing(folder, () =>
    Promise.all(cards.map(async name => new Uint8Array(await readFile(join(folder, name))))),
  )
}

/** Keeps a learnt card in place of the older one of that party. */
export async function keepCard(dir: string, party: Party, bytes: Uint8Array): Promise<void> {
  const folder = join(dir, CARDS)
  const name = createHash('sha256').update(partyKey(party)).digest('hex').slice(0, 32)
  await storing(folder, () => writeWhole(folder, `${name}.cbor`, bytes))
}

/** The newest revocation list of an earlier life; undefined: none was kept. @throws SealbusError `store-failed` */
export async function keptRevocationList(dir: string): Promise<Uint8Array | undefined> {
  const path = join(dir, LIST)
  return storing(path, async () => {
    try {
      return new Uint8Array(await readFile(path))
    } catch (error) {
      if ((asError(error) as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  })
}

/** Keeps the newest revocation list, so that an old file and a restart do not roll it back. @throws SealbusError */
export async function keepRevocationList(dir: string, bytes: Uint8Array): Promise<void> {
  await storing(dir, () => writeWhole(dir, LIST, bytes))
}

/** Keeps one parked body as `parked/MESSAGEID[-INDEX].sealed`. @throws SealbusError `buffer-full`, `store-failed` */
export async function keepParked(dir: string, publication: Publication): Promise<void> {
  const folder = join(dir, PARKED)
  const kept = await readdir(folder).catch(() => [])
  if (kept.length >= MAX_PARKED) {
    throw new SealbusError(
      'buffer-full',
      `${folder}: ${kept.length} parked bodies, the limit: look at them and move them away`,
    )
  }
  const index = publication.index === undefined ? '' : `-${publication.index}`
  const id = /^[0-9A-Za-z-]{1,64}$/.test(publication.messageId)
    ? publication.messageId
    : toHex(createHash('sha256').update(publication.body).digest()).slice(0, 32)
  await storing(folder, () => writeWhole(folder, `${id}${index}.sealed`, publication.body))
}

/** One body that was parked in the state folder. */
export interface ParkedFile {
  readonly messageId: string
  /** Of a message that was parked alone. */
  readonly index: number | undefined
  readonly body: Uint8Array
  /** When it was written, ms since 1970. */
  readonly atMs: number
  remove(): Promise<void>
}

/** What is parked in the folder, oldest first. @throws SealbusError `store-failed` */
export async function parkedFiles(dir: string): Promise<ParkedFile[]> {
  const folder = join(dir, PARKED)
  const names = await readdir(folder).catch(() => [])
  const found = names.map(name => ({ name, parts: /^([0-9A-Za-z-]+?)(?:-(\d{1,4}))?\.sealed$/.exec(name) }))
  const files = await Promise.all(
    found.flatMap(({ name, parts }) => (parts ? [parkedFile(join(folder, name), parts)] : [])),
  )
  return files.sort((a, b) => a.atMs - b.atMs)
}

async function parkedFile(path: string, [, messageId = '', index]: readonly string[]): Promise<ParkedFile> {
  const [body, { mtimeMs }] = await storing(path, () => Promise.all([readFile(path), stat(path)]))
  return {
    messageId,
    index: index === undefined ? undefined : Number(index),
    body: new Uint8Array(body),
    atMs: mtimeMs,
    remove: () => storing(path, () => rm(path, { force: true })),
  }
}

/** Written aside, flushed, then renamed: whoever reads sees all of it or nothing. */
async function writeWhole(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = join(folder, `.${name}.${process.pid}`)
  await writeFile(draft, bytes, { mode: 0o600, flush: true })
  await rename(draft, join(folder, name))
}

async function storing<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    throw new SealbusError(
      'store-failed',
      `${path}: ${asError(error).message}; check the disk and its rights`,
      { cause: error },
    )
  }
}
