/**
 * Receipts: the recipient's signed word on what became of a message (docs/PROTOCOL.md, "Receipt"). A message of type
 * `sealbus/receipt` whose payload is CBOR `[[epoch bstr8, seq, H(content) bstr32, outcome, at ms]…]`.
 */
import type { Party } from '../bus.js'
import { fromHex, toHex } from '../bytes.js'
import { type CborValue, decodeCbor, encodeCbor } from '../codec/cbor.js'
import { type MessageId, partyKey } from '../wire.js'

export const RECEIPT_TYPE = 'sealbus/receipt'
export const CARD_TYPE = 'sealbus/card'

/** On the wire the index in this list. */
export const RECEIPT_OUTCOMES = ['handled', 'rejected', 'expired', 'parked'] as const
export type ReceiptOutcome = (typeof RECEIPT_OUTCOMES)[number]

export interface Receipt extends MessageId {
  /** SHA-256 of the content of the envelope that brought it, 64 hex digits. */
  readonly contentHash: string
  readonly outcome: ReceiptOutcome
  readonly atMs: number
}

const EPOCH_BYTES = 8
const HASH_BYTES = 32
/** Receipts that one message may carry. */
const MAX_ITEMS = 1_024
const MAX_BATCH = 64
const LINGER_MS = 5

export function encodeReceipts(receipts: readonly Receipt[]): Uint8Array {
  return encodeCbor(
    receipts.map(receipt => [
      fromHex(receipt.epoch),
      receipt.seq,
      fromHex(receipt.contentHash),
      RECEIPT_OUTCOMES.indexOf(receipt.outcome),
      receipt.atMs,
    ]),
  )
}

/** The inverse of {@link encodeReceipts}. @throws RangeError, CborError for anything else */
export function parseReceipts(payload: Uint8Array): readonly Receipt[] {
  const items = decodeCbor(payload)
  if (!Array.isArray(items) || items.length > MAX_ITEMS) throw malformed()
  return (items as readonly CborValue[]).map(parseReceipt)
}

function parseReceipt(item: CborValue): Receipt {
  if (!Array.isArray(item) || item.length !== 5) throw malformed()
  const [epoch, seq, hash, index, atMs] = item as readonly CborValue[]
  const outcome = typeof index === 'number' ? RECEIPT_OUTCOMES[index] : undefined
  if (
    !isBytes(epoch, EPOCH_BYTES) ||
    !isBytes(hash, HASH_BYTES) ||
    !isCount(seq) ||
    !isCount(atMs) ||
    !outcome
  ) {
    throw malformed()
  }
  return { epoch: toHex(epoch), seq, contentHash: toHex(hash), outcome, atMs }
}

function isBytes(value: CborValue | undefined, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}

function isCount(value: CborValue | undefined): value is number {
  return typeof value === 'number' && value >= 0
}

function malformed(): RangeError {
  return new RangeError(`receipt: expected an array of at most ${MAX_ITEMS} [epoch, seq, hash, outcome, at]`)
}

/**
 * Collects receipts for each party: one envelope carries up to 64, or what came within 5 ms.
 * @param send - best effort, in the lane for receipts; must not throw
 */
export class ReceiptBatcher {
  readonly #send: (to: Party, payload: Uint8Array) => void
  readonly #waiting: Map<string, { to: Party; receipts: Receipt[] }> = new Map()
  #timer: NodeJS.Timeout | undefined

  constructor(send: (to: Party, payload: Uint8Array) => void) {
    this.#send = send
  }

  add(to: Party, receipt: Receipt): void {
    const key = partyKey(to)
    const batch = this.#waiting.get(key) ?? { to: { domain: to.domain, address: to.address }, receipts: [] }
    batch.receipts.push(receipt)
    this.#waiting.set(key, batch)
    if (batch.receipts.length >= MAX_BATCH) this.#flushOne(key)
    else this.#timer ??= setTimeout(() => this.flush(), LINGER_MS)
  }

  /** Sends all that wait. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const key of [...this.#waiting.keys()]) this.#flushOne(key)
  }

  #flushOne(key: string): void {
    const batch = this.#waiting.get(key)
    this.#waiting.delete(key)
    if (batch) this.#send(batch.to, encodeReceipts(batch.receipts))
  }
}
