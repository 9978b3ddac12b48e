/**
 * Gives a parked body to the process of its inbox once more: into the state folder first, then out of parking, so that a
 * crash in between leaves two copies, of which the second is a duplicate. What the process made of it, it notes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Opened } from '../src/crypto/sealing.js'
import { type ErrorCode, SealbusError } from '../src/errors.js'
import { type ParkedNote, readParkedNotes } from '../src/parked-notes.js'
import { expiryMs } from '../src/reliability/slots.js'
import { putReplay, waitingReplays } from '../src/replay-folder.js'
import { messagesOf, type Placed } from './parked-facts.js'
import type { ParkedInbox, ParkedItem } from './parked-inbox.js'

const POLL_MS = 200
/** A note may be written a moment after the file is gone. */
const NOTE_MS = 2_000

/** Moves one item, and its like, from parking into the state folder. @throws SealbusError `configuration`, `store-failed` */
export async function grantReplay(
  inbox: ParkedInbox,
  item: ParkedItem,
  copies: readonly ParkedItem[],
): Promise<void> {
  const state = stateOf(inbox)
  expectReplayable(inbox, item)
  const { id, index, body } = item
  await putReplay(state, index === undefined ? { id } : { id, index }, body)
  for (const copy of copies) await copy.remove()
}

/**
 * Waits until the process has taken the body in and is done with it.
 * @returns how each message ended; undefined where no process took it in until then
 */
export async function replayOutcome(
  inbox: ParkedInbox,
  id: string,
  sinceMs: number,
  waitMs: number,
): Promise<readonly ParkedNote[] | undefined> {
  const state = stateOf(inbox)
  const endAt = performance.now() + waitMs
  while ((await waitingReplays(state)).includes(id)) {
    if (performance.now() >= endAt) return undefined
    await sleep(POLL_MS)
  }
  const noteBy = performance.now() + NOTE_MS
  for (;;) {
    const notes = (await readParkedNotes(state)).filter(
      note => note.event === 'replayed' && note.id === id && note.atMs >= sinceMs,
    )
    if (notes.length > 0 || performance.now() > noteBy) return notes
    await sleep(POLL_MS)
  }
}

function stateOf({ state, folder }: ParkedInbox): string {
  if (state !== undefined) return state
  throw new SealbusError(
    'configuration',
    `a replay goes through the state folder of the process: name it with --state, or set "state" in ${folder.dir}/config.json`,
  )
}

type Hindrance = readonly [ErrorCode, string]

/** n.b. the process asks all of it again: this is only to leave in parking what would come to nothing. */
function expectReplayable(inbox: ParkedInbox, item: ParkedItem): void {
  const { opened, id } = item
  if (!opened.ok)
    throw refuse(id, ['untrusted', `it does not open (${opened.reason}: ${opened.detail}); mend that first`])
  const hindrances = messagesOf(item, opened).map(placed => hindrance(inbox, opened, placed))
  const [first] = hindrances
  if (first !== undefined && hindrances.every(each => each !== undefined)) throw refuse(id, first)
}

/** Why this message would not be handled; undefined: nothing speaks against it. */
function hindrance({ folder }: ParkedInbox, { from }: Opened, { message }: Placed): Hindrance | undefined {
  const { identity, policy } = folder
  const { lifetimeSeconds } = identity.card
  const over = expiryMs(message, lifetimeSeconds * 1000)
  if (over <= Date.now())
    return ['message-expired', `it expired ${new Date(over).toISOString()}; export it and see to it by hand`]
  if (message.type.startsWith('sealbus/'))
    return ['not-permitted', `${message.type} is the bus's own; its sender repeats it`]
  const rule = policy.permit(from, identity.certificate, message.type)
  if (rule === undefined)
    return [
      'not-permitted',
      `the policy does not let ${from.address} send ${message.type} to us; mend policy.json first`,
    ]
  if (Date.now() - message.createdAtMs <= (rule.maxAgeMs ?? Number.POSITIVE_INFINITY)) return undefined
  return [
    'message-expired',
    `the policy lets ${message.type} be no older than ${(rule.maxAgeMs ?? 0) / 1000} s; export it and see to it by hand`,
  ]
}

function refuse(id: string, [code, why]: Hindrance): SealbusError {
  return new SealbusError(code, `${id}: not replayed, it stays parked: ${why}`)
}
