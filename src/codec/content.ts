/**
 * The content of an envelope: a CBOR sequence (RFC 8742) of a head and 0..1024 messages, docs/PROTOCOL.md "Content".
 * The head is read alone, before the signature is checked; messages only after it.
 */
import { type LaneNumbers, MAX_MESSAGES, type Predecessor, type WireMessage } from '../wire.js'
import { type Budget, CborReader } from './cbor-reader.js'
import { CborError } from './cbor-value.js'
import { CborWriter } from './cbor-writer.js'
import {
  epochBytes,
  ignoredBudget,
  messageIdValue,
  messageSize,
  readEpoch,
  readMessage,
  readMessageId,
  timeMs,
  ttl,
  writeMessage,
} from './message.js'

export const CERT_ID_BYTES = 8
const MAX_CHAIN = 3
const MAX_CHAIN_BYTES = 4096
const HEAD_ITEMS = 7
const HEAD_SIZE = 61 // array head, two 8-byte strings, five integers at their longest
const EXTRAS_SIZE = 32 // map head, predecessor, heads of the others

/** What rides along until the peer is known to have it. */
export interface Extras {
  /** Leaf first, without the root; at most 3 certificates and 4 KiB. */
  readonly chain?: readonly Uint8Array[]
  readonly predecessor?: Predecessor
  /** The sender's card, as issued. */
  readonly card?: Uint8Array
}

export interface Head extends LaneNumbers, Extras {
  /** First 8 bytes of the sender's certificate hash. */
  readonly certId: Uint8Array
  readonly createdAtMs: number
  /** Whole seconds; what messages without a ttl of their own have. */
  readonly ttlSeconds: number
}

export interface Content {
  readonly head: Head
  readonly messages: readonly WireMessage[]
}

/** Writes head and messages. @throws RangeError for what the format does not have */
export function encodeContent({ head, messages }: Content): Uint8Array {
  if (messages.length > MAX_MESSAGES)
    throw new RangeError(`content: at most ${MAX_MESSAGES} messages, got ${messages.length}`)
  const size = messages.reduce((sum, message) => sum + messageSize(message), contentOverhead(head))
  const writer = new CborWriter(size)
  writeHead(writer, head)
  for (const message of messages) writeMessage(writer, message, head)
  return writer.finish()
}

/** Bytes of a head at most, with these extras and a predecessor. */
export function contentOverhead({ chain = [], card }: Extras): number {
  const chainSize = chain.reduce((sum, der) => sum + der.length + 3, 0)
  return HEAD_SIZE + EXTRAS_SIZE + chainSize + (card === undefined ? 0 : card.length + 6)
}

function writeHead(writer: CborWriter, head: Head): void {
  const extras = extrasOf(head)
  writer.array(extras === undefined ? HEAD_ITEMS : HEAD_ITEMS + 1)
  writer.bytes(head.certId)
  writer.bytes(epochBytes(head.epoch))
  writer.integer(head.seq)
  writer.integer(gap(head.seq, head.floor))
  writer.integer(gap(head.seq, head.open))
  writer.integer(head.createdAtMs)
  writer.integer(head.ttlSeconds)
  if (extras !== undefined) writer.value(extras, 2)
}

function gap(seq: number, below: number): number {
  if (below > seq || below < 0)
    throw new RangeError(`content: floor and open must be 0..seq (${seq}), got ${below}`)
  return seq - below
}

function extrasOf({
  chain,
  predecessor,
  card,
}: Extras): Map<number, Uint8Array | ReturnType<typeof messageIdValue>> | undefined {
  if (chain === undefined && predecessor === undefined && card === undefined) return undefined
  const extras = new Map<number, Uint8Array | ReturnType<typeof messageIdValue>>()
  if (chain !== undefined) extras.set(1, checkedChain(chain))
  if (predecessor !== undefined) {
    extras.set(2, messageIdValue({ epoch: predecessor.epoch, seq: predecessor.lastSeq }))
  }
  if (card !== undefined) extras.set(3, card)
  return extras
}

function checkedChain(chain: readonly Uint8Array[]): readonly Uint8Array[] {
  const bytes = chain.reduce((sum, der) => sum + der.length, 0)
  if (chain.length < 1 || chain.length > MAX_CHAIN || bytes > MAX_CHAIN_BYTES) {
    throw new RangeError(
      `content: a chain has 1..${MAX_CHAIN} certificates of ${MAX_CHAIN_BYTES} bytes together`,
    )
  }
  return chain
}

/** Reads the head and nothing else; `messagesAt` is where the first message starts. @throws CborError */
export function parseHead(content: Uint8Array): { head: Head; messagesAt: number } {
  const reader = new CborReader(content)
  const items = reader.array()
  if (items !== HEAD_ITEMS && items !== HEAD_ITEMS + 1) throw new CborError('expected a head of 7 or 8 items')
  const certId = reader.bytes()
  if (certId.length !== CERT_ID_BYTES) throw new CborError(`expected a certId of ${CERT_ID_BYTES} bytes`)
  const epoch = readEpoch(reader)
  const seq = reader.unsigned()
  const floor = seq - reader.unsigned()
  const open = seq - reader.unsigned()
  if (floor < 0 || open < 0) throw new CborError('expected floor and open of 0 or more')
  const createdAtMs = timeMs(reader.unsigned())
  const ttlSeconds = ttl(reader.unsigned())
  const head: Head = { certId, epoch, seq, floor, open, createdAtMs, ttlSeconds }
  if (items > HEAD_ITEMS) Object.assign(head, readExtras(reader))
  return { head, messagesAt: reader.position }
}

/** Reads what follows the head, all or nothing. @throws CborError */
export function parseMessages(content: Uint8Array, messagesAt: number, head: Head): WireMessage[] {
  const reader = new CborReader(content.subarray(messagesAt))
  const messages: WireMessage[] = []
  while (!reader.done) {
    if (messages.length === MAX_MESSAGES) throw new CborError(`expected at most ${MAX_MESSAGES} messages`)
    messages.push(readMessage(reader, head))
  }
  if (!Number.isSafeInteger(head.seq + messages.length)) throw new CborError('expected numbers below 2^53')
  return messages
}

type Draft = { -readonly [K in keyof Extras]: Extras[K] }

function readExtras(reader: CborReader): Extras {
  const draft: Draft = {}
  const ignored = ignoredBudget()
  let before = 0
  for (let left = reader.map(); left > 0; left--) {
    const key = reader.unsigned()
    if (key <= before) throw new CborError('expected extras once, rising, from 1')
    before = key
    readExtra(reader, key, draft, ignored)
  }
  return draft
}

function readExtra(reader: CborReader, key: number, draft: Draft, ignored: Budget): void {
  if (key === 1) draft.chain = readChain(reader)
  else if (key === 2) draft.predecessor = readPredecessor(reader)
  else if (key === 3) draft.card = reader.bytes()
  else if (key === 4)
    reader.bytes() // padding
  else if (key < 64) throw new CborError(`expected no extra ${key}`)
  else reader.spend(ignored, 3) // ignored, but well-formed
}

function readChain(reader: CborReader): Uint8Array[] {
  const length = reader.array()
  if (length < 1 || length > MAX_CHAIN)
    throw new CborError(`expected a chain of 1..${MAX_CHAIN} certificates`)
  const chain: Uint8Array[] = []
  for (let i = 0; i < length; i++) chain.push(reader.bytes())
  if (chain.reduce((sum, der) => sum + der.length, 0) > MAX_CHAIN_BYTES) {
    throw new CborError(`expected a chain of at most ${MAX_CHAIN_BYTES} bytes`)
  }
  return chain
}

function readPredecessor(reader: CborReader): Predecessor {
  const { epoch, seq } = readMessageId(reader)
  return { epoch, lastSeq: seq }
}
