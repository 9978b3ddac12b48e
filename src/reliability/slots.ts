/**
 * A message on its way through the receiver: the body that brought it, the envelope that it shares with others, its
 * number. What is known of it, and how events, marks and handlers name it.
 */
import type { Sender } from '../bus.js'
import type { Opened } from '../crypto/sealing.js'
import { ReceivedMessage, type ReplyFunction } from '../delivery.js'
import type { Grant } from '../transport/transport.js'
import { partyKey, type WireMessage } from '../wire.js'
import type { SeenMark } from './seen.js'

/** One unacknowledged body, and how many of its messages are not final yet. */
export interface Arrival {
  readonly body: Uint8Array
  readonly claimedFrom: string | undefined
  /** Which life of the channel; an arrival of a former one is stale, and will come again. */
  readonly generation: number
  readonly grant?: Grant
  ack(): boolean
  left: number
  /** The lane that counts it among its own. */
  lane: { arrivals: number } | undefined
}

/** What the messages of one envelope share. */
export interface Envelope {
  readonly id: string
  readonly body: Uint8Array
  readonly from: Sender
  readonly epoch: string
  /** Whole content hash, 64 hex digits. */
  readonly contentHash: string
  /** Its first 8 bytes. */
  readonly hash: string
  readonly count: number
  /** Messages of it that were parked alone. */
  alone: number
  /** The one copy in the parking queue that stands for any of its messages. */
  whole: Promise<void> | undefined
}

/** One message whose number is not used up yet. */
export interface Slot {
  readonly seq: number
  /** Its place in the envelope. */
  readonly index: number
  readonly message: WireMessage
  readonly envelope: Envelope
  readonly expiresAtMs: number
  /** Its share of the body, for bounding what is held. */
  readonly bytes: number
  /** Every body that brought it; each is acknowledged when all of its messages are final. */
  readonly arrivals: Arrival[]
  /** `held`: waits for its turn; `running`: handler; `settling`: decided, being parked or remembered. */
  state: 'held' | 'running' | 'settling'
  /** Counted as held beyond a gap. */
  ahead: boolean
}

/** The messages of an opened envelope, in order. @param lifetimeMs - the longest that one may live here */
export function slotsOf(opened: Opened, body: Uint8Array, lifetimeMs: number): readonly Slot[] {
  const envelope = envelopeOf(opened, body)
  const bytes = Math.ceil(body.length / envelope.count)
  return opened.messages.map((message, index) => ({
    seq: opened.seq + index,
    index,
    message,
    envelope,
    expiresAtMs: expiryMs(message, lifetimeMs),
    bytes,
    arrivals: [],
    state: 'held',
    ahead: false,
  }))
}

/** An operator's word about this message, where one of the bodies that brought it has one. */
export function grantOf(slot: Slot): Grant | undefined {
  return slot.arrivals.find(arrival => isGranted(arrival, slot))?.grant
}

export function isGranted({ grant }: Arrival, { index }: Slot): boolean {
  return grant !== undefined && (grant.index === undefined || grant.index === index)
}

/** When a message is over: its signed expiry, cut to the recipient's own longest lifetime. */
export function expiryMs(message: WireMessage, lifetimeMs: number): number {
  return message.createdAtMs + Math.min(message.ttlSeconds * 1000, lifetimeMs)
}

/** What a handler gets. */
export function deliveryOf(slot: Slot, reply: ReplyFunction): ReceivedMessage {
  const { message, envelope, seq, expiresAtMs } = slot
  return new ReceivedMessage({
    ...{ message, id: { epoch: envelope.epoch, seq } },
    ...{ from: envelope.from, expiresAtMs, reply },
  })
}

/** Names a message in events: never what is in it. */
export function describe(slot: Slot): { from: string; epoch: string; seq: number; type: string } {
  const { from, epoch } = slot.envelope
  return { from: partyKey(from), epoch, seq: slot.seq, type: slot.message.type }
}

/** How its number is used up. */
export function markOf(slot: Slot, mark: SeenMark['mark']): SeenMark {
  const { from, epoch, hash } = slot.envelope
  const { domain, address } = from
  return { domain, address, epoch, seq: slot.seq, mark, hash, createdAtMs: slot.message.createdAtMs }
}

function envelopeOf(opened: Opened, body: Uint8Array): Envelope {
  const { envelopeId, from, epoch, contentHash, messages } = opened
  return {
    ...{ id: envelopeId, body, from, epoch, contentHash, hash: contentHash.slice(0, 16) },
    ...{ count: messages.length, alone: 0, whole: undefined },
  }
}
