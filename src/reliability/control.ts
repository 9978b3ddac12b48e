/**
 * Messages that the bus itself takes: receipts, cards and replies to open requests. At once, not in their lane's order: a
 * handler may be waiting for just this reply.
 */
import type { Sender } from '../bus.js'
import type { ReplyFunction } from '../delivery.js'
import { CARD_TYPE, parseReceipts, RECEIPT_TYPE, type Receipt } from './receipts.js'
import type { Requests } from './requests.js'
import { deliveryOf, describe, type Slot } from './slots.js'

export interface ControlOptions {
  readonly requests?: Requests
  readonly reply: ReplyFunction
  /** A receipt came; true where it settled something outstanding with that very party. */
  readonly onReceipt: (from: Sender, receipt: Receipt) => boolean
  /** A card came as a message; throws where it is not accepted. */
  readonly onCard: (bytes: Uint8Array, from: Sender) => void
  readonly emit: (event: string, detail: object) => void
}

/** False where the message is not what its type says. */
export function takeControl(options: ControlOptions, slot: Slot): boolean {
  const { message, envelope } = slot
  try {
    if (message.type === RECEIPT_TYPE) takeReceipts(options, slot)
    else if (message.type === CARD_TYPE) options.onCard(message.payload, envelope.from)
    else if (message.inReplyTo)
      options.requests?.resolve(envelope.from, message.inReplyTo, deliveryOf(slot, options.reply))
    return true
  } catch {
    return false
  }
}

/** @throws where they are malformed */
function takeReceipts({ onReceipt, emit }: ControlOptions, slot: Slot): void {
  const { message, envelope } = slot
  const unexpected = parseReceipts(message.payload).filter(receipt => !onReceipt(envelope.from, receipt))
  const count = unexpected.length
  if (count > 0) emit('receipt-unexpected', { ...describe(slot), count, alarm: false })
}
