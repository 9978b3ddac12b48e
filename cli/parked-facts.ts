/** What can be said of a parked item, for people and as JSON: never a payload unless it is asked for. */
import { toHex } from '../src/bytes.js'
import type { Opened } from '../src/crypto/sealing.js'
import { expiryMs } from '../src/reliability/slots.js'
import { partyKey, type WireMessage } from '../src/wire.js'
import type { ParkedItem } from './parked-inbox.js'

/** One message of a parked body. */
export interface MessageFacts {
  readonly index: number
  readonly seq: number
  readonly type: string
  readonly contentType: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly expired: boolean
  readonly payloadBytes: number
  /** Text where it is text, else hex digits: only where it was asked for. */
  readonly payload?: string
  readonly payloadEncoding?: 'utf-8' | 'hex'
}

/** All about one parked body. */
export interface ItemFacts {
  readonly id: string
  readonly where: string
  readonly parkedAt: string | null
  /** Why, in words of docs/PROTOCOL.md; more than one where one copy stands for several messages. */
  readonly reasons: readonly string[]
  /** `domain/address`, by its signature; null where it does not open. */
  readonly from: string | null
  readonly claimedFrom: string | null
  readonly bodyBytes: number
  readonly messageId: string
  /** Why it does not open, now; null where it does. */
  readonly notOpened: string | null
  readonly epoch: string | null
  /** Those that are meant: the one that was parked alone, else all. */
  readonly messages: readonly MessageFacts[]
}

export function factsOf(item: ParkedItem, payloads: boolean): ItemFacts {
  const { id, where, messageId, opened, body, notes } = item
  const at = notes.at(-1)?.atMs
  return {
    id,
    where,
    parkedAt: at === undefined ? null : new Date(at).toISOString(),
    reasons: reasonsOf(item),
    from: opened.ok ? partyKey(opened.from) : null,
    claimedFrom: item.claimedFrom ?? null,
    bodyBytes: body.length,
    messageId,
    notOpened: opened.ok ? null : `${opened.reason}: ${opened.detail}`,
    epoch: opened.ok ? opened.epoch : null,
    messages: opened.ok ? messagesOf(item, opened).map(each => messageFacts(each, opened, payloads)) : [],
  }
}

/** A message with its place in the envelope. */
export interface Placed {
  readonly index: number
  readonly message: WireMessage
}

/** The messages that a parked body stands for. n.b. without a note nobody knows which: all of them then. */
export function messagesOf({ index, notes }: ParkedItem, { seq, messages }: Opened): readonly Placed[] {
  const placed = messages.map((message, at): Placed => ({ index: at, message }))
  if (index !== undefined) return placed.filter(each => each.index === index)
  const noted = new Set(notes.flatMap(note => note.seq ?? []))
  const meant = placed.filter(each => noted.has(seq + each.index))
  return meant.length === 0 ? placed : meant
}

function reasonsOf({ notes, deadLettered, opened }: ParkedItem): readonly string[] {
  const noted = [...new Set(notes.map(({ reason }) => reason))]
  if (noted.length > 0) return noted
  if (deadLettered !== undefined) return [`broker: ${deadLettered}`]
  return opened.ok ? [] : [opened.reason]
}

function messageFacts({ index, message }: Placed, opened: Opened, payloads: boolean): MessageFacts {
  const over = expiryMs(message, Number.POSITIVE_INFINITY)
  return {
    index,
    seq: opened.seq + index,
    type: message.type,
    contentType: message.contentType,
    createdAt: new Date(message.createdAtMs).toISOString(),
    expiresAt: new Date(over).toISOString(),
    expired: over <= Date.now(),
    payloadBytes: message.payload.length,
    ...(payloads && payloadOf(message.payload)),
  }
}

/** n.b. text that could steer a terminal is no text. */
function payloadOf(payload: Uint8Array): Pick<MessageFacts, 'payload' | 'payloadEncoding'> {
  const text = Buffer.from(payload).toString('utf8')
  const isText =
    Buffer.from(text, 'utf8').equals(payload) && !/[\p{Cc}\p{Cf}]/u.test(text.replace(/[\n\t]/g, ''))
  return isText
    ? { payload: text, payloadEncoding: 'utf-8' }
    : { payload: toHex(payload), payloadEncoding: 'hex' }
}
