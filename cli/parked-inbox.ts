/**
 * What is parked for one inbox, wherever it is: in the parking queue at the broker, or in the state folder. Each item with
 * the reason that the receiver noted, and opened by the inbox's own keys.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { rabbitOptions } from '../src/broker-options.js'
import { createOpener } from '../src/crypto/opener.js'
import type { Opener, OpenResult } from '../src/crypto/sealing.js'
import { sodiumReady } from '../src/crypto/sodium.js'
import { SealbusError } from '../src/errors.js'
import { type LoadedFolder, loadIdentityFolder } from '../src/identity-folder.js'
import { type ParkedNote, readParkedNotes } from '../src/parked-notes.js'
import { recall } from '../src/recall.js'
import { parkedFiles } from '../src/state-folder.js'
import { withParkedBodies } from '../src/transport/parked-queue.js'

/** Hex digits of the body's SHA-256: what is the same has the same id, wherever it came from. */
const ID_DIGITS = 16

/** One parked body. */
export interface ParkedItem {
  /** 16 hex digits, with `-INDEX` where one message of the body is meant. */
  readonly id: string
  readonly where: 'broker' | 'state folder'
  /** As it was parked. n.b. a claim of whoever may write there. */
  readonly messageId: string
  readonly index: number | undefined
  readonly claimedFrom: string | undefined
  /** Why the broker put it there itself. */
  readonly deadLettered: string | undefined
  readonly body: Uint8Array
  /** What the receiver noted, oldest first; of the whole body, one for each message. */
  readonly notes: readonly ParkedNote[]
  readonly opened: OpenResult
  /** Takes it out of parking. */
  remove(): Promise<void>
}

export interface ParkedInbox {
  readonly folder: LoadedFolder
  /** The state folder, where there is one. */
  readonly state: string | undefined
  /** Notes of parking by message id and index. */
  readonly notes: ReadonlyMap<string, readonly ParkedNote[]>
  readonly opener: Opener
}

/** Reads the folder of an identity, to look at what is parked for it. @param warn - hears what is not as it should be */
export async function openInbox(
  identity: string,
  state: string | undefined,
  warn: (message: string) => void,
): Promise<ParkedInbox> {
  await sodiumReady()
  const folder = await loadIdentityFolder(identity, { onWarning: warn })
  const path = state === undefined ? folder.statePath : resolve(state)
  if (path !== undefined) await recall(folder, path, Date.now, () => undefined)
  const { trust, directory } = folder
  return {
    folder,
    state: path,
    notes: path === undefined ? new Map() : byMessage(await readParkedNotes(path)),
    opener: createOpener({ identity: folder.identity, trust, directory, now: Date.now }),
  }
}

const noteKey = (messageId: string, index: number | undefined): string => `${messageId} ${index ?? ''}`

function byMessage(notes: readonly ParkedNote[]): ReadonlyMap<string, readonly ParkedNote[]> {
  const found = new Map<string, ParkedNote[]>()
  for (const note of notes) {
    if (note.event !== 'parked') continue
    const key = noteKey(note.id, note.index)
    const known = found.get(key)
    if (known) known.push(note)
    else found.set(key, [note])
  }
  return found
}

/** Items of one id together, in the order of the first of each. */
export function groupedById<T extends { readonly id: string }>(
  items: readonly T[],
): readonly (readonly [T, ...T[]])[] {
  const groups = new Map<string, [T, ...T[]]>()
  for (const each of items) {
    const group = groups.get(each.id)
    if (group) group.push(each)
    else groups.set(each.id, [each])
  }
  return [...groups.values()]
}

/** Runs `work` over everything that is parked; what it does not remove stays. @param local - only the state folder's */
export async function withParked<T>(
  inbox: ParkedInbox,
  local: boolean,
  work: (items: readonly ParkedItem[]) => Promise<T>,
): Promise<T> {
  const kept = await keptItems(inbox)
  if (local && inbox.state === undefined)
    throw new SealbusError(
      'configuration',
      '--local: expected a state folder, got none; name it with --state',
    )
  if (local) return work(kept)
  return withParkedBodies(await rabbitOptions(inbox.folder), async bodies => {
    const items = bodies.map(body =>
      item(inbox, 'broker', body, () => {
        body.remove()
        return Promise.resolve()
      }),
    )
    return work([...(await Promise.all(items)), ...kept])
  })
}

async function keptItems(inbox: ParkedInbox): Promise<readonly ParkedItem[]> {
  const files = inbox.state === undefined ? [] : await parkedFiles(inbox.state)
  const claims = { claimedFrom: undefined, deadLettered: undefined }
  return Promise.all(
    files.map(file => item(inbox, 'state folder', { ...file, ...claims }, () => file.remove())),
  )
}

async function item(
  inbox: ParkedInbox,
  where: ParkedItem['where'],
  parked: Pick<ParkedItem, 'messageId' | 'index' | 'body' | 'claimedFrom' | 'deadLettered'>,
  remove: () => Promise<void>,
): Promise<ParkedItem> {
  const { body, index, messageId, claimedFrom, deadLettered } = parked
  const notes = inbox.notes.get(noteKey(messageId, index)) ?? []
  const id = idOf(body, index)
  const opened = await inbox.opener.open(body)
  return { id, where, messageId, index, claimedFrom, deadLettered, body, notes, opened, remove }
}

function idOf(body: Uint8Array, index: number | undefined): string {
  const digest = createHash('sha256').update(body).digest('hex').slice(0, ID_DIGITS)
  return index === undefined ? digest : `${digest}-${index}`
}
